import type { Logger } from "../../logger.ts";
import type { ResolvedProducerConfig } from "../config.ts";
import { ErrorCodes, errorName, isRetriable, needsMetadataRefresh } from "./error-codes.ts";
import type { PartitionQueue, QueuedBatch } from "./partition-queue.ts";
import { FENCED, fencedBatch, OUT_OF_ORDER, refusedBatch, triedTooOften } from "./produce-errors.ts";
import type { ProduceAnswer, Sending } from "./produce-request.ts";
import type { DeliveredBatch } from "./producer-protocol.ts";
import { partitionKey } from "./protocol.ts";
import type { RequestUnderWay } from "./requests-under-way.ts";
import type { SenderCluster, SenderEvents } from "./sender.ts";

export interface BatchOutcomesOptions {
  readonly cluster: Pick<SenderCluster, "leader" | "updateLeader">;
  readonly config: ResolvedProducerConfig;
  readonly logger: Logger;
  readonly events: SenderEvents;
  /** Nothing of a partition is sent for a while. */
  readonly backOff: (queue: PartitionQueue) => void;
}

/** A batch that fails so often in a row deserves a line in the log. */
const TRIES_BEFORE_TELLING = 5;

/** Says what becomes of batches by what their broker has answered: delivered, failed for good, or to be sent again. */
export class BatchOutcomes {
  readonly #options: BatchOutcomesOptions;

  constructor(options: BatchOutcomesOptions) {
    this.#options = options;
  }

  /**
   * Goes over the batches of a request that has come to its end; without `answers`, there was no answer, for this problem.
   * Returns whether the leaders should be looked up anew.
   */
  settle(
    { nodeId, sendings }: RequestUnderWay,
    answers: ReadonlyMap<string, ProduceAnswer> | undefined,
    problem: string,
  ): boolean {
    const delivered: DeliveredBatch[] = [];
    let refresh = answers === undefined;
    for (const { queue, batch } of sendings) {
      queue.returned(batch);
      const answer = answers?.get(partitionKey(queue));
      if (answer === undefined) {
        batch.problem = problem;
        this.#tryAgain(nodeId, { queue, batch }, undefined);
      } else if (isThere(answer)) {
        this.#delivered(queue, batch, answer, delivered);
      } else if (queue.sequences !== undefined && OUT_OF_ORDER.has(answer.errorCode)) {
        batch.problem = `The broker answered ${errorName(answer.errorCode)}.`;
        if (queue.outOfOrder(batch) && !batch.isExpired) delivered.push(withoutOffset(batch.id));
      } else if (!isRetriable(answer.errorCode)) {
        this.#refused(queue, batch, answer);
      } else {
        batch.problem = `The broker answered ${errorName(answer.errorCode)}.`;
        if (needsMetadataRefresh(answer.errorCode)) refresh = true;
        this.#tryAgain(nodeId, { queue, batch }, answer);
      }
      queue.forgetExpired();
    }
    if (delivered.length > 0) this.#options.events.delivered(delivered);
    return refresh;
  }

  #delivered(
    queue: PartitionQueue,
    batch: QueuedBatch,
    { errorCode, baseOffset, logAppendTimeMs: appendTimeMs }: ProduceAnswer,
    delivered: DeliveredBatch[],
  ): void {
    batch.release();
    // Those before it, whose answers were lost, are there as well.
    for (const { id, isExpired } of queue.delivered(batch)) {
      if (!isExpired) delivered.push(withoutOffset(id));
    }
    if (batch.isExpired) return;
    const isFirst = errorCode === ErrorCodes.NONE;
    delivered.push(isFirst ? { id: batch.id, baseOffset, appendTimeMs } : withoutOffset(batch.id));
  }

  /** No retry helps. */
  #refused(queue: PartitionQueue, batch: QueuedBatch, answer: ProduceAnswer): void {
    const { events, logger } = this.#options;
    const { topic, index } = queue;
    queue.refused(batch);
    const id = batch.identity?.producerId;
    const isFenced = id !== undefined && FENCED.has(answer.errorCode);
    if (isFenced) queue.sequences!.disown(id);
    if (batch.isExpired) return;
    if (!isFenced) {
      events.failed([batch.id], refusedBatch(topic, index, answer));
      return;
    }
    const error = fencedBatch(topic, index, answer.errorCode);
    logger.error(
      { topic, partition: index, err: error },
      "A batch was refused: another producer writes with the same id.",
    );
    events.failed([batch.id], error);
  }

  #tryAgain(nodeId: number, { queue, batch }: Sending, answer: ProduceAnswer | undefined): void {
    const { cluster, config, events, logger, backOff } = this.#options;
    queue.forgetExpired();
    if (!queue.batches.includes(batch)) return;
    const { topic, index } = queue;
    const { problem, tries } = batch;
    if (tries > config.retries && !batch.isExpired) {
      queue.expire(batch);
      events.failed([batch.id], triedTooOften(topic, index, tries, problem));
      return;
    }
    if (tries === TRIES_BEFORE_TELLING) {
      logger.warn(
        { topic, partition: index, reason: problem },
        "A batch cannot be delivered; trying again until it can.",
      );
    }
    if (answer !== undefined && answer.currentLeader.leaderId >= 0) {
      const { leaderId, leaderEpoch } = answer.currentLeader;
      cluster.updateLeader(topic, index, leaderId, leaderEpoch);
      // The broker has named the new leader: no need to wait.
      if (cluster.leader(topic, index)?.nodeId !== nodeId) return;
    }
    backOff(queue);
  }
}

/** Whether a batch is in the log: by this request, or by one whose answer was lost. */
function isThere({ errorCode }: ProduceAnswer): boolean {
  return errorCode === ErrorCodes.NONE || errorCode === ErrorCodes.DUPLICATE_SEQUENCE_NUMBER;
}

/** The broker has it, but does not remember where. */
function withoutOffset(id: number): DeliveredBatch {
  return { id, baseOffset: -1, appendTimeMs: -1 };
}
