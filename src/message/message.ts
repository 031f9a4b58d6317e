import { FILTERED_PAYLOAD, type FilteredPayload } from "./filtered.ts";
import type { Partition } from "./partition.ts";

/** Partition to the next offset to read: what may be committed once a message is done. Never changed once passed on. */
export type Committable = ReadonlyMap<Partition, number>;

/**
 * A message that came from a broker, at one partition and offset. (Arroyo's `BrokerValue`.)
 *
 * Made once per message on the hot path: four plain fields, everything else is derived when it is asked for.
 */
export class BrokerMessage<out T> {
  readonly payload: T;
  readonly partition: Partition;
  readonly offset: number;
  /** When the message was made, by its producer or (LogAppendTime) by the broker, in milliseconds since the epoch. */
  readonly timestampMs: number | undefined;

  constructor(payload: T, partition: Partition, offset: number, timestampMs?: number) {
    this.payload = payload;
    this.partition = partition;
    this.offset = offset;
    this.timestampMs = timestampMs;
  }

  /** The offset that is read next once this message is done: its own + 1. */
  get nextOffset(): number {
    return this.offset + 1;
  }

  get committable(): Committable {
    return new Map([[this.partition, this.offset + 1]]);
  }

  /** The same message with another payload; partition, offset and timestamp stay. */
  replace<U>(payload: U): BrokerMessage<U> {
    return new BrokerMessage(payload, this.partition, this.offset, this.timestampMs);
  }
}

/** A message that was made from others (a batch, a part of one). It brings its own committable. (Arroyo's `Value`.) */
export class DerivedMessage<out T> {
  readonly payload: T;
  readonly committable: Committable;
  readonly timestampMs: number | undefined;

  constructor(payload: T, committable: Committable, timestampMs?: number) {
    this.payload = payload;
    this.committable = committable;
    this.timestampMs = timestampMs;
  }

  get partition(): undefined {
    return undefined;
  }

  get offset(): undefined {
    return undefined;
  }

  /** The same message with another payload; committable and timestamp stay. */
  replace<U>(payload: U): DerivedMessage<U> {
    return new DerivedMessage(payload, this.committable, this.timestampMs);
  }
}

/** What flows through strategies. */
export type Message<T> = BrokerMessage<T> | DerivedMessage<T>;

/** What `submit` takes: a message with its payload, or one that was filtered out further up. */
export type Submitted<T> = Message<T> | Message<FilteredPayload>;

/** Whether a message was filtered out further up: pass it on in its turn, and do nothing else with it. */
export function isFiltered<T>(message: Submitted<T>): message is Message<FilteredPayload> {
  return message.payload === FILTERED_PAYLOAD;
}
