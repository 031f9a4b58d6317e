import type { KafkaPayload } from "../message/payload.ts";
import type { BrokerMessage } from "../message/message.ts";
import type { Partition } from "../message/partition.ts";
import type { FetchedRecords, FetchProgress } from "./client/protocol.ts";
import { RecordDecoder } from "./records/record-decoder.ts";

/** Records that wait on the main thread, a move of the position without records, or why there will be no more. */
type Queued =
  { readonly records: FetchedRecords } | { readonly progress: FetchProgress } | { readonly failure: Error };

/** One assigned partition, as delivery sees it. */
class PartitionDelivery {
  readonly partition: Partition;
  readonly queue: Queued[] = [];
  decoder: RecordDecoder | undefined;
  /** What `decoder` reads from. */
  reading: FetchedRecords | undefined;
  /** The offset that is delivered next. */
  position: number;
  /** Of the record before the position; -1 when it is not known. */
  leaderEpoch: number;
  /** Of this assignment or the last seek: what was fetched under another one is dropped. 0: not fetching (yet). */
  epoch = 0;
  highWatermark = -1;
  paused = false;
  /** About to be revoked: nothing of it is delivered any more. */
  held = false;
  /** The position at which the end of the partition was last told. */
  toldEnd = -1;

  constructor(partition: Partition, position: number, leaderEpoch: number) {
    this.partition = partition;
    this.position = position;
    this.leaderEpoch = leaderEpoch;
  }

  get ready(): boolean {
    return !this.paused && !this.held && (this.decoder !== undefined || this.queue.length > 0);
  }
}

export interface DeliveryEvents {
  /** Bytes of a partition are consumed, or were dropped: as many may be fetched anew. */
  credit(partition: Partition, bytes: number): void;
  /** Everything up to the high watermark was delivered; once for each position. */
  end(partition: Partition, offset: number): void;
}

/**
 * What was fetched and waits for a poll: decodes it record by record, in order per partition and fairly between them, and
 * keeps the positions. Nothing is delivered that belongs to an old assignment or to before a seek.
 */
export class Delivery {
  readonly #partitions = new Map<Partition, PartitionDelivery>();
  /** In the order in which they have their turn. */
  #turns: PartitionDelivery[] = [];
  readonly #events: DeliveryEvents;
  #epoch = 0;

  constructor(events: DeliveryEvents) {
    this.#events = events;
  }

  has(partition: Partition): boolean {
    return this.#partitions.has(partition);
  }

  get partitions(): IterableIterator<Partition> {
    return this.#partitions.keys();
  }

  positions(): Map<Partition, number> {
    const positions = new Map<Partition, number>();
    for (const state of this.#partitions.values()) positions.set(state.partition, state.position);
    return positions;
  }

  /** Takes a partition in, at a position, without fetching yet. */
  add(partition: Partition, position: number, leaderEpoch: number): void {
    this.remove(partition);
    const state = new PartitionDelivery(partition, position, leaderEpoch);
    this.#partitions.set(partition, state);
    this.#turns.push(state);
  }

  remove(partition: Partition): void {
    const state = this.#partitions.get(partition);
    if (state === undefined) return;
    this.#drop(state);
    this.#partitions.delete(partition);
    this.#turns = this.#turns.filter((other) => other !== state);
  }

  /** A fresh epoch under which the partition's fetching starts or moves. */
  restart(partition: Partition): {
    readonly offset: number;
    readonly leaderEpoch: number;
    readonly epoch: number;
  } {
    const state = this.#state(partition);
    this.#drop(state);
    state.epoch = ++this.#epoch;
    return { offset: state.position, leaderEpoch: state.leaderEpoch, epoch: state.epoch };
  }

  /** Moves the position; what waits is dropped, and what is still on its way will be. */
  seek(partition: Partition, offset: number, leaderEpoch: number): void {
    const state = this.#state(partition);
    this.#drop(state);
    state.epoch = 0;
    state.position = offset;
    state.leaderEpoch = leaderEpoch;
    state.toldEnd = -1;
  }

  /** Whether this is the epoch under which the partition is fetched now. */
  isCurrent(partition: Partition, epoch: number): boolean {
    return epoch !== 0 && this.#partitions.get(partition)?.epoch === epoch;
  }

  pause(partition: Partition, paused: boolean): void {
    this.#state(partition).paused = paused;
  }

  isPaused(partition: Partition): boolean {
    return this.#partitions.get(partition)?.paused === true;
  }

  /** Stops delivery for good, ahead of a revocation. */
  hold(partition: Partition): void {
    const state = this.#partitions.get(partition);
    if (state !== undefined) state.held = true;
  }

  /** Messages that are not delivered yet, per the high watermark of the last answer; undefined before the first. */
  lag(partition: Partition): number | undefined {
    const state = this.#partitions.get(partition);
    if (state === undefined || state.highWatermark < 0) return undefined;
    return Math.max(0, state.highWatermark - state.position);
  }

  /** Takes in what was fetched. Returns whether it was of use. */
  records(partition: Partition, records: FetchedRecords): boolean {
    const state = this.#partitions.get(partition);
    if (state === undefined || state.epoch !== records.epoch) {
      this.#events.credit(partition, records.bytes);
      return false;
    }
    state.highWatermark = records.highWatermark;
    state.queue.push({ records });
    return true;
  }

  progress(partition: Partition, progress: FetchProgress): boolean {
    const state = this.#partitions.get(partition);
    if (state === undefined || state.epoch !== progress.epoch) return false;
    state.highWatermark = progress.highWatermark;
    if (state.decoder === undefined && state.queue.length === 0) this.#moveTo(state, progress);
    else state.queue.push({ progress });
    return true;
  }

  /** Fetching of the partition has ended: says so in its turn, again and again until it is sought or taken away. */
  fail(partition: Partition, failure: Error): void {
    this.#state(partition).queue.push({ failure });
  }

  /** Whether a poll would find something. */
  get ready(): boolean {
    for (const state of this.#turns) if (state.ready) return true;
    return false;
  }

  /**
   * The next messages, at most so many. Whole buffers of one partition in a row, then the next partition has its turn.
   *
   * @throws what a partition has failed with, and CorruptBatchError when a record cannot be read. Its position stays
   * where it is, and the other partitions go on with the next call.
   */
  take(maxMessages: number): BrokerMessage<KafkaPayload>[] {
    const messages: BrokerMessage<KafkaPayload>[] = [];
    let idle = 0;
    while (messages.length < maxMessages && idle < this.#turns.length) {
      const state = this.#turns[0] as PartitionDelivery;
      if (!state.ready) {
        idle++;
        this.#rotate();
        continue;
      }
      idle = 0;
      try {
        if (this.#takeFrom(state, maxMessages - messages.length, messages)) this.#rotate();
      } catch (error) {
        // Whatever it was stays at the head of its partition: what came before goes out first, and the next call throws.
        if (messages.length > 0) return messages;
        this.#rotate();
        throw error;
      }
    }
    return messages;
  }

  /** Returns whether a buffer was finished, so that another partition has its turn. */
  #takeFrom(state: PartitionDelivery, max: number, into: BrokerMessage<KafkaPayload>[]): boolean {
    if (state.decoder === undefined) {
      const queued = state.queue[0];
      if (queued === undefined) return true;
      if ("failure" in queued) throw queued.failure;
      state.queue.shift();
      if ("progress" in queued) {
        this.#moveTo(state, queued.progress);
        return false;
      }
      state.reading = queued.records;
      state.decoder = new RecordDecoder(state.partition, queued.records);
    }
    const { decoder } = state;
    const before = into.length;
    let done: boolean;
    try {
      done = decoder.next(max, into);
    } finally {
      const last = into.length > before ? into.at(-1) : undefined;
      if (last !== undefined) state.position = last.nextOffset;
    }
    if (!done) return false;
    const reading = state.reading as FetchedRecords;
    state.decoder = undefined;
    state.reading = undefined;
    this.#events.credit(state.partition, reading.bytes);
    this.#moveTo(state, reading);
    return true;
  }

  #moveTo(state: PartitionDelivery, to: { readonly nextOffset: number; readonly leaderEpoch: number }): void {
    if (to.nextOffset > state.position) state.position = to.nextOffset;
    if (to.leaderEpoch >= 0) state.leaderEpoch = to.leaderEpoch;
    const atEnd = state.queue.length === 0 && state.position >= state.highWatermark;
    if (atEnd && state.toldEnd !== state.position) {
      state.toldEnd = state.position;
      this.#events.end(state.partition, state.position);
    }
  }

  #rotate(): void {
    const first = this.#turns.shift();
    if (first !== undefined) this.#turns.push(first);
  }

  #drop(state: PartitionDelivery): void {
    let bytes = state.reading?.bytes ?? 0;
    for (const queued of state.queue) if ("records" in queued) bytes += queued.records.bytes;
    state.queue.length = 0;
    state.decoder = undefined;
    state.reading = undefined;
    if (bytes > 0) this.#events.credit(state.partition, bytes);
  }

  #state(partition: Partition): PartitionDelivery {
    const state = this.#partitions.get(partition);
    if (state === undefined) throw new Error(`${partition} is not assigned`);
    return state;
  }
}
