import { parentPort } from "node:worker_threads";
import { systemClock } from "../../clock.ts";
import type { OpenRequest } from "./io-thread.ts";

/**
 * The I/O thread's program: serves each client that it is asked to, until it is told to end. Each kind's code is loaded
 * when the first of its kind comes; what a client sends meanwhile waits in its port.
 */
parentPort?.on("message", (request: OpenRequest | "end") => {
  if (request === "end") parentPort?.close();
  else void serve(request);
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
