import { ConfigurationError, InvalidStateError } from "../errors.ts";
import { stderrLogger, type Logger } from "../logger.ts";
import type { ProbeServerEvent } from "../watch/probe-server.ts";
import { openWatch, type WatchPort } from "../watch/watch-thread.ts";
import { resolveRules, type HealthRules, type ResolvedHealthRules } from "./rules.ts";
import { vitalsOf, type HealthSources } from "./source.ts";

/** What a {@link HealthServer} watches, by which rules, and where it listens. */
export interface HealthServerOptions {
  /** Whose health it is: a `StreamProcessor`, or several by name (each of them has to be alive and ready). */
  readonly watch: HealthSources;
  /** Where to listen; 0 takes any free port. */
  readonly port: number;
  /** Default: every address of the machine, since Kubernetes asks from outside. It tells times and counts, no payloads. */
  readonly host?: string | undefined;
  readonly rules?: HealthRules | undefined;
  /** Default: lines of JSON on standard error. */
  readonly logger?: Logger | undefined;
}

/**
 * Answers the probes `/livez`, `/readyz` (200, or 503 with the reasons as text) and `/healthz` (all checks as JSON) over HTTP,
 * from a thread of its own: a main thread that is blocked cannot silence it. It does not keep the process alive.
 *
 * ```ts
 * await using health = new HealthServer({ watch: processor, port: 8080 });
 * await health.listen();
 * await processor.run();
 * ```
 */
export class HealthServer implements AsyncDisposable {
  readonly #options: HealthServerOptions;
  readonly #rules: ResolvedHealthRules;
  readonly #vitals: readonly (readonly [string, SharedArrayBuffer])[];
  readonly #logger: Logger;
  #watch: WatchPort | undefined;
  #opening: PromiseWithResolvers<number> | undefined;
  #closing: PromiseWithResolvers<void> | undefined;
  #port: number | undefined;

  /** @throws ConfigurationError for rules, or a port, that make no sense. */
  constructor(options: HealthServerOptions) {
    const { port } = options;
    if (!Number.isInteger(port) || port < 0 || port > 65_535) {
      throw new ConfigurationError(`HealthServer: port is ${port}, but must be from 0 to 65535.`);
    }
    this.#options = options;
    this.#rules = resolveRules(options.rules);
    this.#vitals = Array.from(vitalsOf(options.watch), ([name, { buffer }]) => [name, buffer]);
    this.#logger = options.logger ?? stderrLogger;
  }

  /** The port that it listens on; undefined before it does. */
  get port(): number | undefined {
    return this.#port;
  }

  /** Resolves when it answers. Rejects with a ConfigurationError when it cannot listen there. */
  async listen(): Promise<void> {
    if (this.#watch !== undefined || this.#closing !== undefined) {
      throw new InvalidStateError("This HealthServer has been started already: make a new one.");
    }
    const { port, host } = this.#options;
    const request = {
      kind: "probes",
      vitals: this.#vitals,
      rules: this.#rules,
      listen: { port, host },
    } as const;
    this.#opening = Promise.withResolvers();
    this.#watch = openWatch(request, (error) => this.#failed(error.message));
    // Until it listens, its port keeps the process alive.
    this.#watch.port.on("message", (event: ProbeServerEvent) => this.#receive(event));
    try {
      this.#port = await this.#opening.promise;
    } finally {
      this.#watch?.port.unref();
      this.#opening = undefined;
    }
  }

  /** Ends it; open connections are closed. */
  async close(): Promise<void> {
    if (this.#watch !== undefined && this.#closing === undefined) {
      this.#closing = Promise.withResolvers();
      this.#watch.port.ref();
      this.#watch.port.postMessage("close");
    }
    await this.#closing?.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #receive(event: ProbeServerEvent): void {
    if (event.type === "listening") this.#opening?.resolve(event.port);
    else if (event.type === "failed") this.#failed(event.message);
    else this.#end();
  }

  #failed(message: string): void {
    const { port } = this.#options;
    const error = new ConfigurationError(`HealthServer: it cannot listen on port ${port}: ${message}.`);
    if (this.#opening !== undefined) this.#opening.reject(error);
    else if (this.#closing === undefined) {
      this.#logger.error(
        { port, reason: message },
        "The health server has ended: probes are not answered any more.",
      );
    }
    this.#end();
  }

  #end(): void {
    this.#watch?.port.close();
    this.#watch?.release();
    this.#watch = undefined;
    this.#closing?.resolve();
  }
}
