import { parentPort } from "node:worker_threads";
import { systemClock } from "../../clock.ts";
import type { OpenRequest } from "./io-thread.ts";
import { serializeError } from "./serialized-error.ts";

/**
 * The I/O thread's program: serves each client that it is asked to, until it is told to end. Each kind's code is loaded
 * when the first of its kind comes; what a client sends meanwhile waits in its port.
 */
parentPort?.on("message", (request: OpenRequest | "end") => {
  if (request === "end") parentPort?.close();
  else serve(request).catch((error: unknown) => refuse(request, error));
});

async function serve(request: OpenRequest): Promise<void> {
  if (request.kind === "consumer") {
    const { ConsumerEngine } = await import("./consumer-engine.ts");
    new ConsumerEngine({ ...request, clock: systemClock });
  } else {
    const { ProducerEngine } = await import("./producer-engine.ts");
    new ProducerEngine({ ...request, clock: systemClock });
  }
}

/** This client cannot be served (its certificates cannot be read): the others can, so the thread goes on. */
function refuse({ port }: OpenRequest, error: unknown): void {
  port.postMessage({ type: "fatal", error: serializeError(error) });
  port.on("message", ({ type }: { readonly type: string }) => {
    if (type !== "close") return;
    port.postMessage({ type: "closed" });
    port.close();
  });
}
