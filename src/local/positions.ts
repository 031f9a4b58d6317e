import { EndOfPartition, OffsetOutOfRange } from "../errors.ts";
import type { BrokerMessage } from "../message/message.ts";
import type { Partition } from "../message/partition.ts";
import type { KafkaPayload } from "../message/payload.ts";
import type { LogReader, PartitionLog } from "./partition-log.ts";

/** An assigned partition, and how far it has been read. */
interface Position {
  readonly log: PartitionLog;
  readonly reader: LogReader;
  readonly stopListening: () => void;
  /** The offset that is delivered next. */
  offset: number;
  paused: boolean;
  /** The offset at which the end of the partition was told last; -1 for none. */
  toldEndAt: number;
}

export interface PositionsOptions {
  /** There is something to deliver. */
  readonly ready: () => void;
  /**
   * Where to go on from an offset that is not in the log.
   *
   * @throws what the poll is to throw instead.
   */
  readonly reset: (error: OffsetOutOfRange, log: PartitionLog) => number;
}

/** What is read from where: takes messages in order from each partition, and from each partition in turn. */
export class Positions {
  readonly #options: PositionsOptions;
  /** In the order in which they have their turn. */
  readonly #positions = new Map<Partition, Position>();

  constructor(options: PositionsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#positions.size;
  }

  /** Messages of a partition that it has, from the one that is next up to the end. */
  lag(partition: Partition): number {
    const { log, offset } = this.#positions.get(partition)!;
    return Math.max(0, log.endOffset - offset);
  }

  has(partition: Partition): boolean {
    return this.#positions.has(partition);
  }

  offsets(): Map<Partition, number> {
    return new Map(Array.from(this.#positions, ([partition, { offset }]) => [partition, offset]));
  }

  add(log: PartitionLog, offset: number): void {
    const position: Position = {
      log,
      reader: log.reader(),
      stopListening: log.onGrow(() => {
        if (!position.paused) this.#options.ready();
      }),
      offset,
      paused: false,
      toldEndAt: -1,
    };
    this.#positions.set(log.partition, position);
  }

  remove(partition: Partition): void {
    this.#positions.get(partition)?.stopListening();
    this.#positions.delete(partition);
  }

  clear(): void {
    for (const partition of this.#positions.keys()) this.remove(partition);
  }

  seek(partition: Partition, offset: number): void {
    const position = this.#positions.get(partition);
    if (position === undefined) return;
    position.offset = offset;
    position.toldEndAt = -1;
  }

  pause(partition: Partition, paused: boolean): void {
    const position = this.#positions.get(partition);
    if (position !== undefined) position.paused = paused;
  }

  paused(): readonly Partition[] {
    return [...this.#positions].filter(([, { paused }]) => paused).map(([partition]) => partition);
  }

  /** The end of a partition that was reached and not told yet. */
  takeEnd(): EndOfPartition | undefined {
    for (const [partition, position] of this.#positions) {
      const { offset, log, paused, toldEndAt } = position;
      if (paused || offset !== log.endOffset || offset === toldEndAt) continue;
      position.toldEndAt = offset;
      return new EndOfPartition(partition, offset);
    }
    return undefined;
  }

  /**
   * The messages that are at hand, at most so many.
   *
   * @throws OffsetOutOfRange, StorageError: what keeps a partition from being read, in its turn. Its position stays.
   */
  take(maxMessages: number): BrokerMessage<KafkaPayload>[] {
    const messages: BrokerMessage<KafkaPayload>[] = [];
    for (const [partition, position] of [...this.#positions]) {
      if (messages.length >= maxMessages) break;
      if (position.paused || position.offset === position.log.endOffset) continue;
      try {
        this.#takeFrom(partition, position, maxMessages - messages.length, messages);
      } catch (error) {
        // What others had goes out first; the next call begins here.
        if (messages.length > 0) break;
        this.#nextTurn(partition, position);
        throw error;
      }
      this.#nextTurn(partition, position);
    }
    return messages;
  }

  /** Brings to hand what `take` did not find at hand; undefined when there is nothing to bring. */
  load(): Promise<void> | undefined {
    const loads = [...this.#positions.values()]
      .filter(({ paused, offset, log }) => !paused && offset < log.endOffset)
      .map(({ reader, offset }) => reader.load(offset));
    return loads.length === 0 ? undefined : allOf(loads);
  }

  #takeFrom(
    partition: Partition,
    position: Position,
    maxMessages: number,
    into: BrokerMessage<KafkaPayload>[],
  ): void {
    const { log, reader, offset } = position;
    if (offset > log.endOffset) {
      position.offset = this.#options.reset(new OffsetOutOfRange(partition, offset), log);
    }
    const before = into.length;
    reader.take(position.offset, maxMessages, into);
    position.offset += into.length - before;
  }

  #nextTurn(partition: Partition, position: Position): void {
    this.#positions.delete(partition);
    this.#positions.set(partition, position);
  }
}

/** Waits for all of them also when one fails: a reader is used by one at a time. */
async function allOf(loads: readonly Promise<void>[]): Promise<void> {
  for (const load of await Promise.allSettled(loads)) {
    if (load.status === "rejected") throw load.reason;
  }
}
