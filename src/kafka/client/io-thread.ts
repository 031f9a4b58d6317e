import { MessageChannel, Worker, type MessagePort } from "node:worker_threads";
import type { Logger } from "../../logger.ts";
import type { ResolvedConsumerConfig, ResolvedProducerConfig } from "../config.ts";
import { crossing } from "../token-refresher.ts";

/** What the I/O thread is asked to serve: one client, whose engine talks through `port`. */
export type OpenRequest =
  | {
      readonly kind: "consumer";
      readonly config: ResolvedConsumerConfig;
      readonly port: MessagePort;
      readonly polls: SharedArrayBuffer;
      /** Where tokens for OAUTHBEARER come in. */
      readonly tokens: MessagePort | undefined;
    }
  | {
      readonly kind: "producer";
      readonly config: ResolvedProducerConfig;
      readonly port: MessagePort;
      readonly tokens: MessagePort | undefined;
    };

/** A client's end of its connection to the I/O thread. */
export interface ClientPort {
  readonly port: MessagePort;
  /** Lets go of the thread; it does not keep the process alive once no client needs it. */
  release(): void;
}

/**
 * What this thread makes lives shortly: requests, answers without their records (which have memory of their own, see
 * `frame-reader.ts`), and what TLS reads. More than this made nothing faster and took 10 to 20 MB.
 */
const YOUNG_MB = 3;

/**
 * The one thread that does the network work of every client in the process. A second one would cost about 60 MB, so they
 * share it; it is started by the first client, and stopped when the last one is gone.
 */
class IoThread {
  static #shared: IoThread | undefined;

  readonly #worker: Worker;
  readonly #failed = new Set<(error: Error) => void>();

  private constructor() {
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
    // Inherited, that flag of a script given on the command line would refuse any file.
    const isScript = process.execArgv.some((flag) => flag.startsWith("--input-type"));
    this.#worker = new Worker(new URL(`./io-worker.${extension}`, import.meta.url), {
      name: "arroyo-io",
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
      ...(isScript ? { execArgv: [] } : {}),
    });
    this.#worker.on("error", (error) =>
      this.#fail(error instanceof Error ? error : new Error(String(error))),
    );
    this.#worker.on("exit", (code) => this.#fail(new Error(`The I/O thread has ended with code ${code}.`)));
  }

  static shared(): IoThread {
    return (IoThread.#shared ??= new IoThread());
  }

  open(request: OpenRequest, onFailure: (error: Error) => void): () => void {
    this.#failed.add(onFailure);
    const { port, tokens } = request;
    this.#worker.postMessage(request, tokens === undefined ? [port] : [port, tokens]);
    return () => this.#release(onFailure);
  }

  #release(onFailure: (error: Error) => void): void {
    if (!this.#failed.delete(onFailure) || this.#failed.size > 0) return;
    if (IoThread.#shared === this) IoThread.#shared = undefined;
    this.#worker.postMessage("end");
  }

  #fail(error: Error): void {
    if (IoThread.#shared === this) IoThread.#shared = undefined;
    const listeners = [...this.#failed];
    this.#failed.clear();
    for (const listener of listeners) listener(error);
  }
}

/** Has a consumer served by the I/O thread. `polls` is where the main thread counts its polls. */
export function openConsumer(
  config: ResolvedConsumerConfig,
  polls: SharedArrayBuffer,
  logger: Logger,
  onFailure: (error: Error) => void,
): ClientPort {
  return openClient(config, logger, (shared) =>
    IoThread.shared().open({ kind: "consumer", polls, ...shared }, onFailure),
  );
}

/** Has a producer served by the I/O thread. */
export function openProducer(
  config: ResolvedProducerConfig,
  logger: Logger,
  onFailure: (error: Error) => void,
): ClientPort {
  return openClient(config, logger, (shared) =>
    IoThread.shared().open({ kind: "producer", ...shared }, onFailure),
  );
}

function openClient<Config extends ResolvedConsumerConfig | ResolvedProducerConfig>(
  given: Config,
  logger: Logger,
  open: (shared: {
    readonly config: Config;
    readonly port: MessagePort;
    readonly tokens: MessagePort | undefined;
  }) => () => void,
): ClientPort {
  const { port1, port2 } = new MessageChannel();
  const shared = crossing(given, logger);
  const release = open({ config: shared.config, port: port2, tokens: shared.tokens });
  return {
    port: port1,
    release() {
      shared.close();
      release();
    },
  };
}
