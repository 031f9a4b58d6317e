import { ConsumerError } from "../../errors.ts";
import { readBatches } from "../records/batch-reader.ts";
import { CorruptBatchError } from "../records/corrupt-batch-error.ts";
import type { FetchedBatches } from "../records/fetched-batches.ts";
import { noteEpochs } from "../records/leader-epochs.ts";
import { walkBatches } from "./batch-walk.ts";
import { ErrorCodes } from "./error-codes.ts";
import type { FetchContext } from "./fetch-context.ts";
import type { FetchLane } from "./fetch-lane.ts";
import type { FetchPartition, Flight } from "./fetch-partition.ts";
import type { FetchPartitionAnswer, FetchResponse } from "./fetch-response.ts";
import type { FetchTroubles } from "./fetch-troubles.ts";

/** Records of an answer that are still to be checked and handed over. The partition's position is past them already. */
export interface HandOver {
  readonly partition: FetchPartition;
  readonly fromOffset: number;
  /** Of the record before `fromOffset`. */
  readonly fromEpoch: number;
  /** By the headers of the batches. */
  readonly nextOffset: number;
  readonly answer: FetchPartitionAnswer;
}

/** Turns the answers that come in a lane into positions, records and events. */
export class FetchAnswers {
  readonly #context: FetchContext;
  readonly #troubles: FetchTroubles;
  readonly #lane: FetchLane;
  readonly #maxBytes: number;

  constructor(context: FetchContext, troubles: FetchTroubles, lane: FetchLane) {
    this.#context = context;
    this.#troubles = troubles;
    this.#lane = lane;
    const { config } = context;
    this.#maxBytes = config["receive.message.max.bytes"];
  }

  /**
   * Takes in what an answer says of each partition. Positions move by what the headers of the batches say, so that the
   * next request can be sent at once; {@link handOver} checks the batches then, and takes it back when they lied.
   */
  land(flight: Flight, response: FetchResponse): HandOver[] {
    const handOvers: HandOver[] = [];
    for (const { topicId, partitions } of response.topics) {
      for (const answer of partitions) {
        const partition = this.#context.partition(topicId, answer.index);
        // Sought, stopped or moved to another broker since then: this answer is not for it any more.
        if (partition === undefined || partition.flight !== flight) continue;
        partition.broker?.land(partition);
        const errorCode = response.errorCode || answer.errorCode;
        if (errorCode === ErrorCodes.NONE) this.#take(partition, answer, handOvers);
        else this.#troubles.errorCode(partition, errorCode, answer.currentLeader);
        // Back to the leader when its word has run out.
        if (partition.replica !== undefined) this.#context.place(partition);
      }
    }
    for (const partition of flight.partitions) {
      if (partition.flight !== flight) continue;
      partition.broker?.land(partition);
      if (response.errorCode !== ErrorCodes.NONE) this.#troubles.errorCode(partition, response.errorCode);
      // A broker that throttles leaves all of them out; otherwise it must not.
      else if (response.throttleTimeMs === 0) this.#troubles.leftOut(partition);
    }
    return handOvers;
  }

  #take(partition: FetchPartition, answer: FetchPartitionAnswer, handOvers: HandOver[]): void {
    if (answer.divergingEpoch !== undefined) {
      this.#diverged(partition, answer.divergingEpoch);
      return;
    }
    if (answer.preferredReadReplica >= 0) {
      this.#follow(partition, answer.preferredReadReplica);
      return;
    }
    const endMoved = this.#moveEnd(partition, answer);
    const { records } = answer;
    if (records.length === 0) {
      this.#troubles.recovered(partition);
      if (endMoved) this.#progress(partition);
      return;
    }
    const walk = walkBatches(records, partition.offset);
    if (walk.batches === 0 && walk.cutOffBytes > records.length) {
      this.#grow(partition, walk.cutOffBytes);
      return;
    }
    this.#context.budget.expect(partition.account, records.length);
    this.#context.window.expect(records.length);
    const { offset: fromOffset, lastEpoch: fromEpoch } = partition;
    const { nextOffset, leaderEpoch } = walk;
    const handOver = { partition, fromOffset, fromEpoch, nextOffset, answer };
    partition.broker?.moveToEnd(partition);
    if (!Number.isSafeInteger(nextOffset) || nextOffset <= fromOffset) {
      // No good can come of asking for what these headers say.
      this.handOver(handOver);
      return;
    }
    handOvers.push(handOver);
    partition.handingOver = this.#lane;
    partition.offset = nextOffset;
    partition.lastEpoch = leaderEpoch;
  }

  /**
   * The leader's log and what we have read part. Of the last epoch that both have, either may have more: they part where the
   * shorter one ends.
   */
  #diverged(partition: FetchPartition, { epoch, endOffset }: { epoch: number; endOffset: number }): void {
    const ours = partition.epochs.endOf(epoch) ?? endOffset;
    this.#troubles.diverged(partition, Math.min(endOffset, ours, partition.offset));
  }

  /** Returns whether the end of what can be read has moved. */
  #moveEnd(partition: FetchPartition, answer: FetchPartitionAnswer): boolean {
    const isStable = this.#context.isolationLevel === "read_committed";
    const endOffset = isStable ? answer.lastStableOffset : answer.highWatermark;
    const moved = endOffset !== partition.endOffset;
    partition.endOffset = endOffset;
    partition.highWatermark = answer.highWatermark;
    partition.lastStableOffset = answer.lastStableOffset;
    partition.endAtMs = this.#context.clock.monotonicMs();
    partition.isNew = false;
    return moved;
  }

  /** The leader wants us to read from a replica that is nearer (KIP-392), until the metadata is next refreshed. */
  #follow(partition: FetchPartition, nodeId: number): void {
    const refreshMs = this.#context.config["topic.metadata.refresh.interval.ms"];
    const untilMs = refreshMs < 0 ? Infinity : this.#context.clock.monotonicMs() + refreshMs;
    partition.replica = { nodeId, untilMs };
    this.#context.place(partition);
  }

  /** Not even one batch was whole. Brokers that send the first one whole whatever its size do not come here. */
  #grow(partition: FetchPartition, batchBytes: number): void {
    if (batchBytes <= this.#maxBytes && partition.needsBytes < batchBytes) {
      partition.needsBytes = batchBytes;
      return;
    }
    const reason = `it says that it has ${batchBytes} bytes, of which not all can be had`;
    this.#corrupt(partition, new CorruptBatchError(partition.offset, reason, { where: `${partition} ` }));
  }

  /** Checks records and hands them over, unless fetching of the partition has ended or moved meanwhile. */
  handOver(handOver: HandOver): void {
    const { partition, fromOffset, fromEpoch } = handOver;
    const { budget, window } = this.#context;
    const { length } = handOver.answer.records;
    window.unexpect(length);
    if (partition.handingOver === this.#lane) partition.handingOver = undefined;
    if (partition.ended) return;
    budget.unexpect(partition.account, length);
    let fetched: FetchedBatches;
    try {
      fetched = this.#read(handOver);
    } catch (error) {
      this.#rewind(partition, fromOffset, fromEpoch);
      this.#corrupt(partition, error);
      return;
    }
    const { buffer, batches, nextOffset, lastLeaderEpoch: leaderEpoch } = fetched;
    // The rest of the answer cannot be read: it is fetched again.
    if (nextOffset !== handOver.nextOffset) this.#rewind(partition, nextOffset, leaderEpoch);
    this.#troubles.recovered(partition);
    noteEpochs(partition.epochs, batches);
    partition.epochs.note(nextOffset - 1, nextOffset, leaderEpoch);
    partition.corruptTries = 0;
    partition.needsBytes = 0;
    const bytes = buffer.byteLength;
    const { topic, index, epoch, endOffset: highWatermark } = partition;
    const progress = { topic, index, epoch, nextOffset, leaderEpoch, highWatermark };
    if (batches.length === 0) {
      this.#context.events.progress(progress);
    } else {
      budget.queue(partition.account, bytes);
      window.handedOver();
      const maxBatchBytes = this.#maxBytes;
      this.#context.events.records({ ...progress, buffer, batches, fromOffset, maxBatchBytes, bytes });
    }
  }

  #read({ partition, fromOffset, answer }: HandOver): FetchedBatches {
    const fetched = readBatches(answer.records, {
      fromOffset,
      mayTakeBytes: true,
      aborted: this.#context.isolationLevel === "read_committed" ? answer.abortedTransactions : undefined,
    });
    if (fetched.nextOffset <= fromOffset) {
      throw new ConsumerError(`The answer for offset ${fromOffset} of ${partition} ends before it.`);
    }
    return fetched;
  }

  /** Goes back: what has been asked for meanwhile is not what comes next. */
  #rewind(partition: FetchPartition, offset: number, lastEpoch: number): void {
    partition.broker?.land(partition);
    partition.offset = offset;
    partition.lastEpoch = lastEpoch;
  }

  /** What came is damaged: the next try is made over a new connection. */
  #corrupt(partition: FetchPartition, error: unknown): void {
    this.#lane.break();
    this.#troubles.corrupt(partition, error);
  }

  #progress(partition: FetchPartition): void {
    const { topic, index, epoch, offset: nextOffset, lastEpoch: leaderEpoch } = partition;
    const { endOffset: highWatermark } = partition;
    this.#context.events.progress({ topic, index, epoch, nextOffset, leaderEpoch, highWatermark });
  }
}
