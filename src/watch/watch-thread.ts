import { MessageChannel, Worker, type MessagePort } from "node:worker_threads";
import type { ResolvedHealthRules } from "../health/rules.ts";

/** What the watching thread is asked for; what it has to say comes through `port`. */
export type WatchRequest =
  | {
      readonly kind: "probes";
      readonly vitals: readonly (readonly [name: string, buffer: SharedArrayBuffer])[];
      readonly rules: ResolvedHealthRules;
      readonly listen: { readonly port: number; readonly host: string | undefined };
    }
  | { readonly kind: "stuck"; readonly vitals: SharedArrayBuffer; readonly timeoutMs: number };

/** The request as it goes to the thread. */
export interface OpenWatch {
  readonly request: WatchRequest;
  readonly port: MessagePort;
}

/** A connection to the watching thread. It does not keep the process alive, unless its port is made to. */
export interface WatchPort {
  readonly port: MessagePort;
  /** Lets go of the thread; the last to do so ends it. */
  release(): void;
}

/**
 * The thread that looks after the main thread, for health checks and stuck detectors: one for the process, from the first that
 * needs it to the last. It is not the I/O thread: that one is there for Kafka only, and may have its hands full.
 */
class WatchThread {
  static #shared: WatchThread | undefined;

  readonly #worker: Worker;
  readonly #failed = new Set<(error: Error) => void>();

  private constructor() {
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
    // Inherited, that flag of a script given on the command line would refuse any file.
    const isScript = process.execArgv.some((flag) => flag.startsWith("--input-type"));
    this.#worker = new Worker(new URL(`./watch-worker.${extension}`, import.meta.url), {
      name: "arroyo-watch",
      ...(isScript ? { execArgv: [] } : {}),
    });
    this.#worker.unref();
    this.#worker.on("error", (error) =>
      this.#fail(error instanceof Error ? error : new Error(String(error))),
    );
    this.#worker.on("exit", (code) =>
      this.#fail(new Error(`The watching thread has ended with code ${code}.`)),
    );
  }

  static shared(): WatchThread {
    return (WatchThread.#shared ??= new WatchThread());
  }

  open(request: WatchRequest, onFailure: (error: Error) => void): WatchPort {
    const { port1, port2 } = new MessageChannel();
    this.#failed.add(onFailure);
    this.#worker.postMessage({ request, port: port2 } satisfies OpenWatch, [port2]);
    return { port: port1, release: () => this.#release(onFailure) };
  }

  #release(onFailure: (error: Error) => void): void {
    if (!this.#failed.delete(onFailure) || this.#failed.size > 0) return;
    if (WatchThread.#shared === this) WatchThread.#shared = undefined;
    this.#worker.postMessage("end");
  }

  #fail(error: Error): void {
    if (WatchThread.#shared === this) WatchThread.#shared = undefined;
    const listeners = [...this.#failed];
    this.#failed.clear();
    for (const listener of listeners) listener(error);
  }
}

/** Has something watched from the thread that is there for it. `onFailure` is called if the thread ends before it is let go. */
export function openWatch(request: WatchRequest, onFailure: (error: Error) => void): WatchPort {
  return WatchThread.shared().open(request, onFailure);
}
