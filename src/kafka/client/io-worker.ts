import { parentPort } from "node:worker_threads";
import { systemClock } from "../../clock.ts";
import { ConsumerEngine } from "./consumer-engine.ts";
import type { OpenRequest } from "./io-thread.ts";
import { ProducerEngine } from "./producer-engine.ts";

/** The I/O thread's program: serves each client that it is asked to, until it is told to end. */
parentPort?.on("message", (request: OpenRequest | "end") => {
  if (request === "end") {
    parentPort?.close();
  } else if (request.kind === "consumer") {
    const { config, port, polls } = request;
    new ConsumerEngine({ config, port, polls, clock: systemClock });
  } else {
    const { config, port } = request;
    new ProducerEngine({ config, port, clock: systemClock });
  }
});
