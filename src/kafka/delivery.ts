import type { KafkaPayload } from "../message/payload.ts";
import type { BrokerMessage } from "../message/message.ts";
import { Partition } from "../message/partition.ts";
import type { FetchedRecords, FetchPosition, FetchProgress } from "./client/protocol.ts";
import { LeaderEpochs, noteEpochs } from "./records/leader-epochs.ts";
import { releaseBatches } from "./records/fetched-batches.ts";
import { RecordDecoder } from "./records/record-decoder.ts";
import type { FetchStatistics } from "./client/statistics.ts";
import type { DeliveredPosition } from "./statistics.ts";
import type { YoungGarbage } from "./young-garbage.ts";

/** What a message takes on the heap, with its payload and its numbers. */
const MESSAGE_BYTES = 160;

/** What is known of a position besides its offset. */
export interface PositionOrigin {
  /** The group has committed it. */
  readonly isCommitted?: boolean | undefined;
  /** The topic that it was found in: under another id it means nothing. */
  readonly topicId?: string | undefined;
}

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
  /** Behind the last message that was delivered. What lies between it and the position is no message. */
  delivered: number;
  /** What the group has, as far as this assignment or seek goes; -1 for nothing. */
  committed = -1;
  epochs: LeaderEpochs;
  topicId: string | undefined;
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
    this.delivered = position;
    this.epochs = new LeaderEpochs(position, leaderEpoch);
  }

  get ready(): boolean {
    return !this.paused && !this.held && (this.decoder !== undefined || this.queue.length > 0);
  }
}

export interface DeliveryEvents {
  /**
   * Bytes of a partition are consumed, or were dropped: as many may be fetched anew. With how many buffers have come, if
   * nothing is left to deliver of them.
   */
  credit(partition: Partition, bytes: number, emptyAfter: number | undefined): void;
  /** Everything up to the high watermark was delivered; once for each position. */
  end(partition: Partition, offset: number): void;
  /**
   * The position has gone on over what is no message (the markers of transactions, aborted ones, what compaction has
   * taken), and everything before it is committed: so may the position be.
   */
  passed?(partition: Partition): void;
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
  /** Undefined where it is left to V8. */
  readonly #garbage: YoungGarbage | undefined;
  #epoch = 0;
  /** Buffers that have come, */
  #received = 0;
  /** and those of them that are not consumed. */
  #unfinished = 0;
  /** After how many it was last told that nothing is left; there is nothing at first. */
  #toldEmptyAfter = 0;

  constructor(events: DeliveryEvents, garbage?: YoungGarbage) {
    this.#events = events;
    this.#garbage = garbage;
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
  add(partition: Partition, position: number, leaderEpoch: number, origin: PositionOrigin = {}): void {
    this.remove(partition);
    const state = new PartitionDelivery(partition, position, leaderEpoch);
    if (origin.isCommitted === true) state.committed = position;
    state.topicId = origin.topicId;
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
  restart(partition: Partition): Omit<FetchPosition, "topic" | "index"> {
    const state = this.#state(partition);
    this.#drop(state);
    state.epoch = ++this.#epoch;
    const { position: offset, epoch, topicId } = state;
    return { offset, leaderEpoch: state.epochs.before(offset), epoch, topicId };
  }

  /** Moves the position; what waits is dropped, and what is still on its way will be. */
  seek(partition: Partition, offset: number, leaderEpoch: number): void {
    const state = this.#state(partition);
    this.#drop(state);
    state.epoch = 0;
    state.position = offset;
    state.delivered = offset;
    state.committed = -1;
    state.epochs = new LeaderEpochs(offset, leaderEpoch);
    // Whoever seeks means the topic as it is now.
    state.topicId = undefined;
    state.toldEnd = -1;
  }

  /**
   * What to commit for an offset up to which everything is done: the position, when that is all that was delivered, so that
   * the group's lag does not count what is no message. With the leader epoch of the record before it.
   */
  commitPoint(
    partition: Partition,
    offset: number,
  ): { readonly offset: number; readonly leaderEpoch: number } {
    const state = this.#partitions.get(partition);
    if (state === undefined) return { offset, leaderEpoch: -1 };
    const to = offset === state.delivered ? Math.max(offset, state.position) : offset;
    return { offset: to, leaderEpoch: state.epochs.before(to) };
  }

  /** The group has this offset of a partition now. */
  committed(partition: Partition, offset: number): void {
    const state = this.#partitions.get(partition);
    if (state === undefined) return;
    state.committed = offset;
    this.#tellPassed(state);
  }

  /** Where a partition may be committed, behind what it has told as passed; undefined when there is nothing to do. */
  passed(partition: Partition): number | undefined {
    const state = this.#partitions.get(partition);
    return state !== undefined && this.#hasPassed(state) ? state.position : undefined;
  }

  #hasPassed({ committed, delivered, position }: PartitionDelivery): boolean {
    return committed >= delivered && committed < position;
  }

  #tellPassed(state: PartitionDelivery): void {
    if (this.#hasPassed(state)) this.#events.passed?.(state.partition);
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

  /** Where a partition is that statistics speak of, which may know of a later end; undefined when it is not assigned. */
  at(statistics: FetchStatistics): DeliveredPosition | undefined {
    const partition = Partition.of(statistics.topic, statistics.partition);
    const state = this.#partitions.get(partition);
    if (state === undefined) return undefined;
    const { epoch, endOffset = -1 } = statistics;
    if (this.isCurrent(partition, epoch)) state.highWatermark = Math.max(state.highWatermark, endOffset);
    return { position: state.position, lag: this.lag(partition) };
  }

  /** Takes in what was fetched. Returns whether it was of use. */
  records(partition: Partition, records: FetchedRecords): boolean {
    this.#received += 1;
    const state = this.#partitions.get(partition);
    if (state === undefined || state.epoch !== records.epoch) {
      releaseBatches(records);
      this.#credit(partition, records.bytes);
      return false;
    }
    state.highWatermark = records.highWatermark;
    state.queue.push({ records });
    this.#unfinished += 1;
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

  /** After how many buffers nothing is left to deliver; undefined where there is something, or where that was said before. */
  emptyAfter(): number | undefined {
    if (this.#toldEmptyAfter === this.#received || (this.#unfinished > 0 && this.ready)) return undefined;
    this.#toldEmptyAfter = this.#received;
    return this.#received;
  }

  /**
   * The next messages, at most so many. Whole buffers of one partition in a row, then the next partition has its turn.
   *
   * @throws what a partition has failed with, and CorruptBatchError when a record cannot be read. Its position stays
   * where it is, and the other partitions go on with the next call.
   */
  take(maxMessages: number): BrokerMessage<KafkaPayload>[] {
    this.#garbage?.collectIfDue();
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
      this.#goBack(state, queued.records.fromOffset);
      noteEpochs(state.epochs, queued.records.batches);
      state.decoder = new RecordDecoder(state.partition, queued.records);
    }
    const { decoder } = state;
    const before = into.length;
    const memoryBefore = decoder.memoryBytes;
    let done: boolean;
    try {
      done = decoder.next(max, into);
    } finally {
      const last = into.length > before ? into.at(-1) : undefined;
      if (last !== undefined) state.position = state.delivered = last.nextOffset;
      const messageBytes = (into.length - before) * MESSAGE_BYTES;
      this.#garbage?.made(messageBytes + decoder.memoryBytes - memoryBefore);
    }
    if (!done) return false;
    const reading = state.reading as FetchedRecords;
    state.decoder = undefined;
    state.reading = undefined;
    this.#unfinished -= 1;
    this.#credit(state.partition, reading.bytes);
    this.#moveTo(state, reading);
    return true;
  }

  #moveTo(state: PartitionDelivery, to: { readonly nextOffset: number; readonly leaderEpoch: number }): void {
    this.#goBack(state, to.nextOffset);
    state.position = to.nextOffset;
    state.epochs.note(to.nextOffset - 1, to.nextOffset, to.leaderEpoch);
    this.#tellPassed(state);
    const atEnd = state.queue.length === 0 && state.position >= state.highWatermark;
    if (atEnd && state.toldEnd !== state.position) {
      state.toldEnd = state.position;
      this.#events.end(state.partition, state.position);
    }
  }

  /** The position has been reset to an earlier offset: what was committed is nothing to go by any more. */
  #goBack(state: PartitionDelivery, offset: number): void {
    if (offset >= state.position) return;
    state.position = offset;
    state.delivered = offset;
    state.committed = -1;
  }

  #rotate(): void {
    const first = this.#turns.shift();
    if (first !== undefined) this.#turns.push(first);
  }

  #drop(state: PartitionDelivery): void {
    const dropped = state.queue.flatMap((queued) => ("records" in queued ? [queued.records] : []));
    if (state.reading !== undefined) dropped.push(state.reading);
    const bytes = dropped.reduce((sum, records) => sum + records.bytes, 0);
    for (const records of dropped) releaseBatches(records);
    this.#unfinished -= dropped.length;
    state.queue.length = 0;
    state.decoder = undefined;
    state.reading = undefined;
    if (bytes > 0) this.#credit(state.partition, bytes);
  }

  #credit(partition: Partition, bytes: number): void {
    // Whether what is left is all paused is not looked into for each buffer: the next poll that finds nothing says so.
    this.#events.credit(partition, bytes, this.#unfinished === 0 ? this.emptyAfter() : undefined);
  }

  #state(partition: Partition): PartitionDelivery {
    const state = this.#partitions.get(partition);
    if (state === undefined) throw new Error(`${partition} is not assigned`);
    return state;
  }
}
