import type { Clock, ClockTimer } from "../../clock.ts";
import { ArroyoError } from "../../errors.ts";
import type { Logger } from "../../logger.ts";
import type { ResolvedProducerConfig } from "../config.ts";
import { Backoff } from "./backoff.ts";
import type { Cluster } from "./cluster.ts";
import type { BrokerConnection } from "./connection.ts";
import { Deadlines } from "./deadlines.ts";
import { ErrorCodes, errorName, isRetriable, needsMetadataRefresh } from "./error-codes.ts";
import { PartitionQueue, QueuedBatch } from "./partition-queue.ts";
import { Produce } from "./produce-apis.ts";
import { refusedBatch, timedOutBatch, triedTooOften } from "./produce-errors.ts";
import { answersOf, produceRequest, type ProduceAnswer, type Sending } from "./produce-request.ts";
import type { DeliveredBatch, OutgoingBatch } from "./producer-protocol.ts";
import { partitionKey } from "./protocol.ts";
import { ClosedError } from "./transport-error.ts";

/** What the sender needs of a cluster. */
export type SenderCluster = Pick<Cluster, "leader" | "updateLeader" | "refresh" | "onChange"> & {
  connection(nodeId: number, purpose: "produce"): Promise<Pick<BrokerConnection, "request">>;
};

export interface SenderEvents {
  delivered(batches: readonly DeliveredBatch[]): void;
  failed(ids: readonly number[], error: Error): void;
}

export interface SenderOptions {
  readonly cluster: SenderCluster;
  readonly config: ResolvedProducerConfig;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events: SenderEvents;
}

/** A broker serves one request of a connection at a time: with more than these under way, it only has a longer queue. */
const MAX_USEFUL_IN_FLIGHT = 5;
/** A request that has so much takes no more partitions. Compressing it must not keep this thread for long. */
const ENOUGH_REQUEST_BYTES = 4 * 1024 * 1024;
/** On top of `request.timeout.ms`, for which the broker itself waits for its replicas. */
const ANSWER_SLACK_MS = 5_000;
/** A batch that fails so often in a row deserves a line in the log. */
const TRIES_BEFORE_TELLING = 5;

/**
 * Sends batches to the leaders of their partitions, several partitions in one request, and again to the leader of the day
 * when that failed for a passing reason. The batches of one partition are sent one after another, so that they stay in
 * order whatever happens.
 */
export class Sender {
  readonly #cluster: SenderCluster;
  readonly #config: ResolvedProducerConfig;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #events: SenderEvents;
  readonly #maxInFlight: number;
  readonly #requestMs: number;
  readonly #queues = new Map<string, PartitionQueue>();
  /** Those that may have something to send. */
  readonly #ready = new Set<PartitionQueue>();
  /** Those without a leader, until the metadata changes. */
  readonly #leaderless = new Set<PartitionQueue>();
  /** Node id to the number of requests under way. */
  readonly #requests = new Map<number, number>();
  readonly #stopListening: () => void;
  readonly #timers = new Set<ClockTimer>();
  readonly #deadlines: Deadlines;
  #isScheduled = false;
  #refreshProblem = "";
  #isClosed = false;

  constructor(options: SenderOptions) {
    const { cluster, config, clock, logger, events } = options;
    this.#cluster = cluster;
    this.#config = config;
    this.#clock = clock;
    this.#logger = logger;
    this.#events = events;
    this.#maxInFlight = Math.min(config["max.in.flight.requests.per.connection"], MAX_USEFUL_IN_FLIGHT);
    this.#requestMs = Math.max(config["socket.timeout.ms"], config["request.timeout.ms"] + ANSWER_SLACK_MS);
    this.#deadlines = new Deadlines(clock, (nowMs) => this.#expire(nowMs));
    this.#stopListening = cluster.onChange(() => this.#retryLeaderless());
  }

  add(batches: readonly OutgoingBatch[]): void {
    const nowMs = this.#clock.monotonicMs();
    for (const written of batches) {
      const batch = new QueuedBatch(written, nowMs);
      const queue = this.#queue(written.topic, written.index);
      queue.batches.push(batch);
      this.#ready.add(queue);
      this.#deadlines.add(batch.deadlineMs);
    }
    this.#schedule();
  }

  /** Fails all batches of a topic. */
  failTopic(topic: string, error: Error): void {
    const ids: number[] = [];
    for (const queue of this.#queues.values()) {
      if (queue.topic !== topic) continue;
      for (const batch of [...queue.batches]) if (this.#giveUp(queue, batch)) ids.push(batch.id);
    }
    if (ids.length > 0) this.#events.failed(ids, error);
  }

  /** Forgets everything. */
  close(): void {
    this.#isClosed = true;
    this.#stopListening();
    this.#deadlines.close();
    for (const timer of this.#timers) timer.cancel();
    this.#queues.clear();
    this.#ready.clear();
    this.#leaderless.clear();
  }

  #queue(topic: string, index: number): PartitionQueue {
    const key = partitionKey({ topic, index });
    let queue = this.#queues.get(key);
    if (queue === undefined) {
      const initialMs = this.#config["retry.backoff.ms"];
      const maxMs = this.#config["retry.backoff.max.ms"];
      queue = new PartitionQueue(topic, index, new Backoff({ initialMs, maxMs }));
      this.#queues.set(key, queue);
    }
    return queue;
  }

  /** What becomes ready in one turn of the event loop goes into the same requests. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      if (!this.#isClosed) this.#sendReady();
    });
  }

  #sendReady(): void {
    const byLeader = new Map<number, Sending[]>();
    for (const queue of this.#ready) {
      const batch = queue.next;
      if (batch === undefined) {
        this.#ready.delete(queue);
        continue;
      }
      const leader = this.#cluster.leader(queue.topic, queue.index);
      if (leader === undefined) {
        this.#lacksLeader(queue, batch);
        continue;
      }
      const sendings = byLeader.get(leader.nodeId);
      if (sendings === undefined) byLeader.set(leader.nodeId, [{ queue, batch }]);
      else sendings.push({ queue, batch });
    }
    for (const [nodeId, sendings] of byLeader) {
      while (sendings.length > 0 && (this.#requests.get(nodeId) ?? 0) < this.#maxInFlight) {
        let bytes = 0;
        const enough = sendings.findIndex(({ batch }) => (bytes += batch.bytes) >= ENOUGH_REQUEST_BYTES);
        void this.#send(nodeId, sendings.splice(0, enough < 0 ? sendings.length : enough + 1));
      }
    }
  }

  async #send(nodeId: number, sendings: readonly Sending[]): Promise<void> {
    for (const { queue, batch } of sendings) {
      batch.isInFlight = true;
      batch.tries++;
      this.#ready.delete(queue);
    }
    this.#requests.set(nodeId, (this.#requests.get(nodeId) ?? 0) + 1);
    let answers: ReadonlyMap<string, ProduceAnswer> | undefined;
    let problem = "The broker's answer does not speak of it.";
    try {
      const connection = await this.#cluster.connection(nodeId, "produce");
      const request = produceRequest(sendings, this.#config);
      answers = answersOf(await connection.request(Produce, [request], { timeoutMs: this.#requestMs }));
    } catch (error) {
      problem = error instanceof Error ? error.message : String(error);
      // Of those of this client, some say whose retries have failed for long; others are faults.
      if (!(error instanceof ArroyoError))
        this.#logger.error({ error, nodeId }, "A Produce request has failed.");
    }
    if (this.#isClosed) return;
    this.#requests.set(nodeId, this.#requests.get(nodeId)! - 1);
    this.#settle(nodeId, sendings, answers, problem);
    this.#schedule();
  }

  /** Goes over the batches of a request that has come to its end; without `answers`, there was no answer. */
  #settle(
    nodeId: number,
    sendings: readonly Sending[],
    answers: ReadonlyMap<string, ProduceAnswer> | undefined,
    problem: string,
  ): void {
    const delivered: DeliveredBatch[] = [];
    let refresh = answers === undefined;
    for (const { queue, batch } of sendings) {
      batch.isInFlight = false;
      this.#ready.add(queue);
      const answer = answers?.get(partitionKey(queue));
      if (batch.isExpired) {
        queue.remove(batch);
      } else if (answer?.errorCode === ErrorCodes.NONE) {
        queue.remove(batch);
        queue.backoff.reset();
        delivered.push({ id: batch.id, baseOffset: answer.baseOffset, appendTimeMs: answer.logAppendTimeMs });
      } else if (answer !== undefined && !isRetriable(answer.errorCode)) {
        queue.remove(batch);
        this.#events.failed([batch.id], refusedBatch(queue.topic, queue.index, answer));
      } else {
        batch.problem =
          answer === undefined ? problem : `The broker answered ${errorName(answer.errorCode)}.`;
        if (answer !== undefined && needsMetadataRefresh(answer.errorCode)) refresh = true;
        this.#retry(nodeId, { queue, batch }, answer);
      }
    }
    if (delivered.length > 0) this.#events.delivered(delivered);
    if (refresh) this.#refresh();
  }

  #retry(nodeId: number, { queue, batch }: Sending, answer: ProduceAnswer | undefined): void {
    const { topic, index } = queue;
    const { problem, tries } = batch;
    if (tries > this.#config.retries) {
      queue.remove(batch);
      this.#events.failed([batch.id], triedTooOften(topic, index, tries, problem));
      return;
    }
    if (tries === TRIES_BEFORE_TELLING) {
      this.#logger.warn(
        { topic, partition: index, problem },
        "A batch cannot be delivered; trying again until it can.",
      );
    }
    if (answer !== undefined && answer.currentLeader.leaderId >= 0) {
      this.#cluster.updateLeader(
        topic,
        index,
        answer.currentLeader.leaderId,
        answer.currentLeader.leaderEpoch,
      );
      // The broker has named the new leader: no need to wait.
      if (this.#cluster.leader(topic, index)?.nodeId !== nodeId) return;
    }
    queue.isBackingOff = true;
    this.#ready.delete(queue);
    this.#after(queue.backoff.next(), () => {
      queue.isBackingOff = false;
      this.#ready.add(queue);
      this.#schedule();
    });
  }

  #lacksLeader(queue: PartitionQueue, batch: QueuedBatch): void {
    batch.problem = "The partition has no leader.";
    this.#ready.delete(queue);
    this.#leaderless.add(queue);
    this.#refresh();
  }

  #retryLeaderless(): void {
    if (this.#leaderless.size === 0) return;
    for (const queue of this.#leaderless) this.#ready.add(queue);
    this.#leaderless.clear();
    this.#schedule();
  }

  /** The cluster sees to it that several who ask share a refresh, and that it is repeated while leaders are missing. */
  #refresh(): void {
    this.#cluster.refresh().then(
      () => (this.#refreshProblem = ""),
      (error: unknown) => {
        const problem = String(error);
        if (ClosedError.is(error) || problem === this.#refreshProblem) return;
        this.#refreshProblem = problem;
        this.#logger.error({ error }, "The leaders of partitions cannot be found.");
      },
    );
  }

  #after(delayMs: number, run: () => void): void {
    const timer = this.#clock.setTimeout(() => {
      this.#timers.delete(timer);
      run();
    }, delayMs);
    this.#timers.add(timer);
  }

  /** Fails the batches whose time has run out, and says when the next one's will. */
  #expire(nowMs: number): number {
    let nextMs = Infinity;
    for (const queue of this.#queues.values()) {
      for (const batch of [...queue.batches]) {
        if (batch.isExpired) continue;
        if (batch.deadlineMs > nowMs) {
          nextMs = Math.min(nextMs, batch.deadlineMs);
        } else if (this.#giveUp(queue, batch)) {
          const problem = batch.isInFlight ? "The broker has not answered yet." : batch.problem;
          const timeoutMs = this.#config["message.timeout.ms"];
          this.#events.failed([batch.id], timedOutBatch(queue.topic, queue.index, timeoutMs, problem));
        }
      }
    }
    return nextMs;
  }

  /** Lets go of a batch. One that is in flight keeps its place until its request has ended, so that none overtakes it. */
  #giveUp(queue: PartitionQueue, batch: QueuedBatch): boolean {
    if (batch.isExpired) return false;
    if (batch.isInFlight) batch.isExpired = true;
    else queue.remove(batch);
    return true;
  }
}
