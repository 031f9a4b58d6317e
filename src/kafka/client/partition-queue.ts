import { resealBatch, sealBatch, type ProducerIdentity } from "../records/batch-writer.ts";
import type { Codec } from "../records/compression.ts";
import type { Backoff } from "./backoff.ts";
import type { OutgoingBatch } from "./producer-protocol.ts";
import { Sequences } from "./sequences.ts";

/** A batch until it is delivered or has failed. It is compressed and sealed once, however often it is sent. */
export class QueuedBatch {
  readonly id: number;
  readonly recordCount: number;
  /** On the monotonic clock. */
  readonly deadlineMs: number;
  tries = 0;
  /** Sent, without an answer yet. */
  isInFlight = false;
  /** Failed because its time ran out, though it may still arrive. */
  isExpired = false;
  /** What kept it from being delivered, as a sentence. */
  problem = "It has not been sent yet.";
  /** What it was sent under; undefined before that, and without idempotence. */
  identity: ProducerIdentity | undefined;
  /** It was sent before under the same identity: the broker may have it. */
  isSentAgain = false;
  /** The broker has said that its sequence number does not follow: it does not have it. */
  isOutOfOrder = false;
  /** The broker has taken a later one, so it has this one too, though it has not said where. */
  isThere = false;
  #written: OutgoingBatch | undefined;
  #sealed: Buffer | undefined;
  /** That of the written batch, if it is what is sent. */
  #memory: ArrayBuffer | undefined;
  #sealedFor: ProducerIdentity | undefined;

  constructor(written: OutgoingBatch, nowMs: number) {
    this.id = written.id;
    this.recordCount = written.recordCount;
    this.deadlineMs = nowMs + written.timeoutMs;
    this.#written = written;
  }

  /** How much it takes on the wire; before it is sealed, at the most. */
  get bytes(): number {
    return this.#sealed?.length ?? this.#written!.length;
  }

  /** The bytes to send. */
  seal(codec: Codec): Buffer {
    if (this.#sealed === undefined) {
      const { buffer } = this.#written!;
      this.#sealed = sealBatch(this.#written!, codec, this.identity);
      this.#written = undefined;
      if (this.#sealed.buffer === buffer) this.#memory = buffer;
      else buffer.transfer(0);
    } else if (this.identity !== undefined && this.identity !== this.#sealedFor) {
      this.#sealed = resealBatch(this.#sealed, this.identity);
    }
    this.#sealedFor = this.identity;
    return this.#sealed;
  }

  /**
   * The broker has it: gives its memory back, which otherwise would stay until the next collection of the whole heap. A copy of
   * it that was sent before may still be on its way to somebody else, and keeps it.
   */
  release(): void {
    if (this.tries === 1) this.#memory?.transfer(0);
  }
}

/** How many batches of a partition a broker remembers, to know one that it has already. */
const WINDOW = 5;

/**
 * The batches of one partition, in order, and which of them may be sent.
 *
 * Without idempotence they are sent one after another, since a later one might overtake one that has to be sent again. With
 * sequence numbers the broker keeps them in order, so that several may be in flight. But where it has no state of this
 * producer it takes any number, so the first batch goes alone; and what has to be sent again goes one by one.
 */
export class PartitionQueue {
  readonly topic: string;
  readonly index: number;
  readonly batches: QueuedBatch[] = [];
  readonly backoff: Backoff;
  /** Undefined without idempotence. */
  readonly sequences: Sequences | undefined;
  /** Waits before it tries again. */
  isBackingOff = false;
  #inFlight = 0;
  /** The first batch does not follow what the broker has: it is asked for which of those behind it it has. */
  #isProbing = false;

  constructor(topic: string, index: number, backoff: Backoff, isIdempotent: boolean) {
    this.topic = topic;
    this.index = index;
    this.backoff = backoff;
    this.sequences = isIdempotent ? new Sequences() : undefined;
  }

  /** The batch to send next; undefined when there is none, or it is not its time. */
  next(): QueuedBatch | undefined {
    const [first] = this.batches;
    if (first === undefined || this.isBackingOff) return undefined;
    if (this.sequences === undefined) return first.isInFlight ? undefined : first;
    if (this.#isProbing) {
      if (this.#inFlight > 0) return undefined;
      const probe = this.batches.findLast(mayBeThere);
      if (probe !== undefined) return probe;
      this.#renumber();
    }
    if (this.sequences.mustRestart && first.identity === undefined) this.sequences.restart();
    if (!first.isInFlight) return first;
    if (first.isSentAgain || this.#inFlight >= (this.sequences.isKnown ? WINDOW : 1)) return undefined;
    const next = this.batches.find(({ isInFlight }) => !isInFlight);
    // One that was sent before has its turn when those before it are settled; a new one, when it is clear what it follows.
    const isClear = !this.sequences.mustRestart && !this.batches.some(({ isExpired }) => isExpired);
    return next?.identity === undefined && isClear ? next : undefined;
  }

  /** A batch goes out: it has a sequence number from now on. */
  sent(batch: QueuedBatch): void {
    this.#inFlight++;
    batch.isInFlight = true;
    batch.isOutOfOrder = false;
    batch.tries++;
    if (batch.identity === undefined) batch.identity = this.sequences?.next(batch.recordCount);
    else batch.isSentAgain = true;
  }

  /** Its request has come to its end, whichever. */
  returned(batch: QueuedBatch): void {
    this.#inFlight--;
    batch.isInFlight = false;
  }

  /** The broker has a batch. Returns those before it that it has said to be out of order, but must have, then. */
  delivered(batch: QueuedBatch): readonly QueuedBatch[] {
    this.backoff.reset();
    if (this.sequences === undefined) {
      this.#remove(batch);
      return [];
    }
    this.sequences.isKnown = true;
    const before = this.batches.slice(0, this.batches.indexOf(batch));
    this.#remove(batch);
    for (const each of before) each.isThere = true;
    if (!this.#isProbing) return [];
    this.#isProbing = false;
    for (const each of before) this.#remove(each);
    return before;
  }

  /** Takes out a batch that the broker does not have, and will not have. */
  refused(batch: QueuedBatch): void {
    const behind = this.batches.slice(this.batches.indexOf(batch) + 1);
    this.#remove(batch);
    // Those behind it that were sent find out for themselves.
    if (batch.identity !== undefined && !behind.some(({ identity }) => identity !== undefined)) {
      this.sequences!.mustRestart = true;
    }
    this.forgetExpired();
  }

  /** A batch has failed, whatever still becomes of it. */
  expire(batch: QueuedBatch): void {
    batch.isExpired = true;
    this.forgetExpired();
  }

  /**
   * Takes out what has failed. But as long as something behind it that was sent has not failed, it keeps its place, and goes
   * on being sent: a copy of it may still be on its way, and only in its order does it do no harm to what is behind it.
   */
  forgetExpired(): void {
    const last = this.batches.findLastIndex(
      ({ identity, isExpired }) => identity !== undefined && !isExpired,
    );
    for (const batch of this.batches.slice(last + 1)) {
      if (!batch.isExpired || batch.isInFlight) continue;
      this.#remove(batch);
      if (batch.identity !== undefined && !batch.isThere) this.sequences!.mustRestart = true;
    }
  }

  /** The broker says that a batch does not follow what it has. Returns whether that is because it is there already. */
  outOfOrder(batch: QueuedBatch): boolean {
    if (batch.isThere) {
      this.#remove(batch);
      return true;
    }
    batch.isOutOfOrder = true;
    // Otherwise one before it has failed, and is sent again first.
    if (batch === this.batches[0]) this.#isProbing = true;
    return false;
  }

  /** None of these is there: they get new numbers, under a new epoch, which shuts out what may still be on its way. */
  #renumber(): void {
    this.#isProbing = false;
    this.sequences!.restart();
    for (const batch of this.batches) {
      batch.identity = undefined;
      batch.isSentAgain = false;
      batch.isOutOfOrder = false;
    }
  }

  #remove(batch: QueuedBatch): void {
    const at = this.batches.indexOf(batch);
    if (at >= 0) this.batches.splice(at, 1);
  }
}

const mayBeThere = ({ identity, isOutOfOrder }: QueuedBatch): boolean =>
  identity !== undefined && !isOutOfOrder;
