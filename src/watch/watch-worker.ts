import { parentPort } from "node:worker_threads";
import type { OpenWatch } from "./watch-thread.ts";

/** The watching thread's program. What a request needs is loaded when the first of its kind comes, to stay small. */
parentPort?.on("message", (message: OpenWatch | "end") => {
  if (message === "end") parentPort?.close();
  else void serve(message);
});

async function serve({ request, port }: OpenWatch): Promise<void> {
  if (request.kind === "probes") {
    const { serveProbes } = await import("./probe-server.ts");
    serveProbes(request, port);
  } else {
    const { watchForStuck } = await import("./stuck-reporter.ts");
    watchForStuck(request, port);
  }
}
