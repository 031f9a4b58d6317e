import { systemClock, type Clock } from "../../clock.ts";
import { Backoff } from "./backoff.ts";
import type { ClientConfig } from "./client-config.ts";

/** How requests are tried again. */
export interface RetryOptions {
  /** Default: the machine's. */
  readonly clock?: Clock | undefined;
  /** Default: what these settings are by default. */
  readonly config?:
    Pick<ClientConfig, "retry.backoff.ms" | "retry.backoff.max.ms" | "socket.timeout.ms"> | undefined;
}

/** Small requests of a broker that is well are answered in milliseconds: after this, another broker is looked for. */
const MAX_TIMEOUT_MS = 10_000;

/** The same with every default filled in. */
export class Retrying {
  readonly clock: Clock;
  readonly backoff: Backoff;
  /** Of one request. */
  readonly timeoutMs: number;

  constructor({ clock, config }: RetryOptions) {
    this.clock = clock ?? systemClock;
    this.backoff = new Backoff({
      initialMs: config?.["retry.backoff.ms"] ?? 100,
      maxMs: config?.["retry.backoff.max.ms"] ?? 1_000,
    });
    this.timeoutMs = Math.min(MAX_TIMEOUT_MS, config?.["socket.timeout.ms"] ?? MAX_TIMEOUT_MS);
  }
}
