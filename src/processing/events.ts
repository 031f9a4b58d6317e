import { channel, type Channel } from "node:diagnostics_channel";
import type { Partition } from "../message/partition.ts";
import type { ProcessingStrategy } from "../strategies/strategy.ts";

/** Names of the channels on `node:diagnostics_channel`. */
export const ProcessorChannel = {
  ASSIGNED: "arroyo:assigned",
  REVOKED: "arroyo:revoked",
  LOST: "arroyo:lost",
  CHAIN: "arroyo:chain",
  RECEIVED: "arroyo:received",
  BACKPRESSURE: "arroyo:backpressure",
  INVALID: "arroyo:invalid",
  COMMITTED: "arroyo:committed",
  STOPPING: "arroyo:stopping",
  STOPPED: "arroyo:stopped",
} as const;

/** One of {@link ProcessorChannel}'s values. */
export type ProcessorChannel = (typeof ProcessorChannel)[keyof typeof ProcessorChannel];

/** What is published on each channel, besides the `processor` that it is about. */
export interface ProcessorEvents {
  /** Partitions have come, with the offsets that are read first. */
  readonly [ProcessorChannel.ASSIGNED]: {
    readonly memberId: string;
    readonly partitions: ReadonlyMap<Partition, number>;
  };
  /** Partitions were handed over: drained within `tookMs`, and committed. */
  readonly [ProcessorChannel.REVOKED]: {
    readonly memberId: string;
    readonly partitions: readonly Partition[];
    readonly tookMs: number;
  };
  /** Partitions are somebody else's already. */
  readonly [ProcessorChannel.LOST]: { readonly memberId: string; readonly partitions: readonly Partition[] };
  /** A chain of strategies was made (its first one; `next` leads to the others), or there is none any more. */
  readonly [ProcessorChannel.CHAIN]: { readonly strategy: ProcessingStrategy<never> | undefined };
  /** So many messages were taken from the consumer at once. */
  readonly [ProcessorChannel.RECEIVED]: { readonly messages: number };
  /** A strategy began to reject messages, or takes them again. */
  readonly [ProcessorChannel.BACKPRESSURE]: { readonly active: boolean };
  readonly [ProcessorChannel.INVALID]: {
    readonly partition: Partition;
    readonly offset: number;
    readonly reason: string | undefined;
  };
  /** The broker has acknowledged a commit. */
  readonly [ProcessorChannel.COMMITTED]: { readonly offsets: ReadonlyMap<Partition, number> };
  /** The processor comes to its end: it was asked to, or because of an error. */
  readonly [ProcessorChannel.STOPPING]: { readonly error?: unknown };
  readonly [ProcessorChannel.STOPPED]: { readonly error?: unknown };
}

/**
 * Tells tools what goes on in a processor: per event and per batch, never per message. Costs nothing as long as nobody
 * listens.
 */
export class Events {
  readonly #processor: object;

  constructor(processor: object) {
    this.#processor = processor;
  }

  publish<Name extends ProcessorChannel>(name: Name, event: ProcessorEvents[Name]): void {
    const to = CHANNELS[name];
    if (to.hasSubscribers) to.publish({ processor: this.#processor, ...event });
  }
}

const CHANNELS = Object.fromEntries(
  Object.values(ProcessorChannel).map((name) => [name, channel(name)]),
) as unknown as Readonly<Record<ProcessorChannel, Channel>>;
