import { Worker, type ResourceLimits } from "node:worker_threads";
import {
  Shared,
  type FromWorker,
  type RunRequest,
  type RunResults,
  type TaskName,
  type WorkerStart,
} from "./protocol.ts";
import { unpackThrown } from "./thrown.ts";

/** How a worker ended. */
export interface WorkerEnd {
  /** What it threw outside of a task, or that it exited. */
  readonly error: Error;
  /** Whether it had come as far as to take work: one that had not will not do better the next time. */
  readonly wasReady: boolean;
  /** The index of the message that it was at; -1 when it was at none. */
  readonly index: number;
}

/**
 * One worker thread. It does not keep the process alive but while it works.
 *
 * It speaks over the worker's own port, since Node delivers everything that came through that before it reports the end
 * of a worker: results that were sent before it died count.
 */
export class WorkerThread {
  readonly #worker: Worker;
  readonly #shared: Int32Array;
  readonly #exited: Promise<void>;
  #ready = false;
  #ending = false;
  #error: Error | undefined;

  constructor(options: {
    readonly name: string;
    readonly initializer: TaskName | undefined;
    readonly resourceLimits: ResourceLimits | undefined;
    readonly onResults: (results: RunResults) => void;
    readonly onEnd: (end: WorkerEnd) => void;
  }) {
    const shared = new SharedArrayBuffer(Shared.LENGTH * Int32Array.BYTES_PER_ELEMENT);
    this.#shared = new Int32Array(shared);
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
    this.#worker = new Worker(new URL(`./worker.${extension}`, import.meta.url), {
      name: options.name,
      workerData: { shared, initializer: options.initializer } satisfies WorkerStart,
      ...(options.resourceLimits === undefined ? undefined : { resourceLimits: options.resourceLimits }),
    });
    this.#worker.unref();
    this.#worker.on("message", (message: FromWorker) => {
      if (message.kind === "ready") this.#ready = true;
      else if (message.kind === "results") options.onResults(message);
      else this.#fail(unpackThrown(message.error));
    });
    this.#worker.on("messageerror", (error) => this.#fail(error));
    this.#worker.on("error", (error) => (this.#error ??= asError(error)));
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#exited = promise;
    this.#worker.on("exit", (code) => {
      resolve();
      options.onEnd({
        error: this.#error ?? new Error(`The worker exited with code ${code}.`),
        wasReady: this.#ready,
        index: this.begun - 1,
      });
    });
  }

  /** How many messages of its batch it has begun. */
  get begun(): number {
    return Atomics.load(this.#shared, Shared.BEGUN);
  }

  run(request: RunRequest): void {
    this.#worker.ref();
    this.#worker.postMessage(request, [request.block]);
  }

  /** Nobody waits for it now. */
  rest(): void {
    // While it is being ended somebody waits for that, perhaps with nothing else to keep the process alive.
    if (!this.#ending) this.#worker.unref();
  }

  /** Has it stop after the message that it is at; what it did goes for nothing. */
  cancel(id: number): void {
    Atomics.store(this.#shared, Shared.CANCELLED, id);
  }

  /** Ends it, whatever it does, and resolves when it has ended. */
  async terminate(): Promise<void> {
    this.#ending = true;
    void this.#worker.terminate();
    await this.#exited;
  }

  #fail(error: Error): void {
    this.#error ??= error;
    void this.terminate();
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(`A worker threw: ${String(error)}`);
}
