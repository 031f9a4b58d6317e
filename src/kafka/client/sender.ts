import type { Clock, ClockTimer } from "../../clock.ts";
import { ArroyoError } from "../../errors.ts";
import type { Logger } from "../../logger.ts";
import type { ResolvedProducerConfig } from "../config.ts";
import type { Cluster } from "./cluster.ts";
import type { BrokerConnection } from "./connection.ts";
import { BatchOutcomes } from "./batch-outcomes.ts";
import { Deadlines } from "./deadlines.ts";
import { QueuedBatch, type PartitionQueue } from "./partition-queue.ts";
import { PartitionQueues } from "./partition-queues.ts";
import { Produce } from "./produce-apis.ts";
import { answersOf, produceRequest, type ProduceAnswer, type Sending } from "./produce-request.ts";
import { ProducerIds } from "./producer-ids.ts";
import type { DeliveredBatch, OutgoingBatch } from "./producer-protocol.ts";
import { RequestsUnderWay } from "./requests-under-way.ts";
import type { BatchStatistics } from "./statistics.ts";
import { ClosedError } from "./transport-error.ts";

/** What the sender needs of a cluster. */
export type SenderCluster = Pick<Cluster, "leader" | "updateLeader" | "refresh" | "onChange"> & {
  connection(nodeId: number, purpose: "produce"): Promise<Pick<BrokerConnection, "request">>;
  anyBroker(): Promise<Pick<BrokerConnection, "request">>;
};

export interface SenderEvents {
  delivered(batches: readonly DeliveredBatch[]): void;
  failed(ids: readonly number[], error: Error): void;
  /** So many batches are sent again. */
  retried(batches: number): void;
  /** Nothing can be sent, now or later. */
  fatal(error: Error): void;
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
/** InitProducerId is answered at once, by a broker that is in order. */
const MAX_QUESTION_MS = 10_000;

/**
 * Sends batches to the leaders of their partitions, several partitions in one request, and again to the leader of the day
 * when that failed for a passing reason. The batches of one partition stay in order whatever happens, and with idempotence
 * none is there twice: {@link PartitionQueue} says which of them may be sent.
 */
export class Sender {
  readonly #cluster: SenderCluster;
  readonly #config: ResolvedProducerConfig;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #events: SenderEvents;
  readonly #maxInFlight: number;
  readonly #requestMs: number;
  readonly #queues: PartitionQueues;
  /** Those that may have something to send. */
  readonly #ready = new Set<PartitionQueue>();
  /** Those without a leader, until the metadata changes. */
  readonly #leaderless = new Set<PartitionQueue>();
  readonly #requests: RequestsUnderWay;
  readonly #stopListening: () => void;
  readonly #timers = new Set<ClockTimer>();
  readonly #deadlines: Deadlines;
  readonly #outcomes: BatchOutcomes;
  /** Undefined without idempotence. */
  readonly #ids: ProducerIds | undefined;
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
    this.#deadlines = new Deadlines(clock, (nowMs) =>
      this.#queues.expire(nowMs, (id, error) => events.failed([id], error)),
    );
    this.#queues = new PartitionQueues(config);
    this.#outcomes = new BatchOutcomes({
      cluster,
      config,
      logger,
      events,
      backOff: (queue) => this.#backOff(queue),
    });
    this.#requests = new RequestsUnderWay(clock, () => this.#refresh());
    if (config["enable.idempotence"]) {
      this.#ids = new ProducerIds({
        config,
        clock,
        logger,
        connection: () => cluster.anyBroker(),
        timeoutMs: Math.min(config["socket.timeout.ms"], MAX_QUESTION_MS),
        onId: () => this.#schedule(),
        onRefused: (error) => events.fatal(error),
      });
    }
    this.#stopListening = cluster.onChange(() => this.#leadersChanged());
  }

  add(batches: readonly OutgoingBatch[]): void {
    const nowMs = this.#clock.monotonicMs();
    for (const written of batches) {
      const batch = new QueuedBatch(written, nowMs);
      const queue = this.#queues.get(written.topic, written.index);
      queue.batches.push(batch);
      this.#ready.add(queue);
      this.#deadlines.add(batch.deadlineMs);
    }
    this.#schedule();
  }

  /** Resolves when there is a producer id, if one is needed. */
  async prepare(): Promise<void> {
    await this.#ids?.ready();
  }

  /** The batches that are not delivered. */
  count(): BatchStatistics {
    return this.#queues.count();
  }

  /** Fails all batches of a topic. */
  failTopic(topic: string, error: Error): void {
    const ids = this.#queues.dropTopic(topic);
    if (ids.length > 0) this.#events.failed(ids, error);
  }

  /** Forgets everything. */
  close(): void {
    this.#isClosed = true;
    this.#stopListening();
    this.#deadlines.close();
    this.#ids?.close();
    this.#requests.close();
    for (const timer of this.#timers) timer.cancel();
    this.#queues.clear();
    this.#ready.clear();
    this.#leaderless.clear();
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

  /** A request has one batch of each partition, so that it takes several to send several. */
  #sendReady(): void {
    let hasSent = true;
    while (hasSent) {
      hasSent = false;
      for (const [nodeId, sendings] of this.#nextByLeader()) {
        while (sendings.length > 0 && this.#requests.count(nodeId) < this.#maxInFlight) {
          let bytes = 0;
          const enough = sendings.findIndex(({ batch }) => (bytes += batch.bytes) >= ENOUGH_REQUEST_BYTES);
          void this.#send(nodeId, sendings.splice(0, enough < 0 ? sendings.length : enough + 1));
          hasSent = true;
        }
      }
    }
  }

  /** The next batch of each partition that is ready, by the leaders that have room for a request. */
  #nextByLeader(): ReadonlyMap<number, Sending[]> {
    const byLeader = new Map<number, Sending[]>();
    for (const queue of this.#ready) {
      const batch = queue.next();
      if (batch === undefined) {
        this.#ready.delete(queue);
        continue;
      }
      const leader = this.#cluster.leader(queue.topic, queue.index);
      if (leader === undefined) {
        this.#lacksLeader(queue, batch);
        continue;
      }
      if (!this.#hasId(queue, batch)) continue;
      if (this.#requests.count(leader.nodeId) >= this.#maxInFlight) continue;
      const sendings = byLeader.get(leader.nodeId);
      if (sendings === undefined) byLeader.set(leader.nodeId, [{ queue, batch }]);
      else sendings.push({ queue, batch });
    }
    return byLeader;
  }

  /** Whether a batch can be given a sequence number, if it needs one. */
  #hasId({ sequences }: PartitionQueue, batch: QueuedBatch): boolean {
    if (sequences === undefined || batch.identity !== undefined || !sequences.needsId) return true;
    if (sequences.spent !== undefined) this.#ids!.discard(sequences.spent);
    const id = this.#ids!.get();
    if (id === undefined) batch.problem = this.#ids!.problem;
    else sequences.begin(id);
    return id !== undefined;
  }

  async #send(nodeId: number, sendings: readonly Sending[]): Promise<void> {
    for (const { queue, batch } of sendings) {
      queue.sent(batch);
      // Behind the others that are ready.
      this.#ready.delete(queue);
      if (queue.next() !== undefined) this.#ready.add(queue);
    }
    const retries = sendings.reduce((sum, { batch }) => sum + (batch.tries > 1 ? 1 : 0), 0);
    if (retries > 0) this.#events.retried(retries);
    const underWay = this.#requests.begin(nodeId, sendings);
    let answers: ReadonlyMap<string, ProduceAnswer> | undefined;
    let problem = "The broker's answer does not speak of it.";
    try {
      const connection = await this.#cluster.connection(nodeId, "produce");
      if (underWay.sendings.length > 0) {
        const request = produceRequest(underWay.sendings, this.#config);
        answers = answersOf(await connection.request(Produce, [request], { timeoutMs: this.#requestMs }));
      }
    } catch (error) {
      problem = error instanceof Error ? error.message : String(error);
      // Of those of this client, some say whose retries have failed for long; others are faults.
      if (!(error instanceof ArroyoError))
        this.#logger.error({ err: error, brokerId: nodeId }, "A Produce request has failed.");
    }
    if (this.#isClosed) return;
    this.#requests.end(underWay);
    for (const { queue } of underWay.sendings) this.#ready.add(queue);
    if (underWay.sendings.length > 0 && this.#outcomes.settle(underWay, answers, problem)) this.#refresh();
    this.#schedule();
  }

  #backOff(queue: PartitionQueue): void {
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

  #leadersChanged(): void {
    for (const queue of this.#leaderless) this.#ready.add(queue);
    this.#leaderless.clear();
    if (this.#ids !== undefined) this.#sendMovedAgain();
    this.#schedule();
  }

  /**
   * What a replaced leader has not answered goes to the new one: with sequence numbers it does no harm if both have it. The old
   * one may be frozen, and its answer is of no interest any more.
   */
  #sendMovedAgain(): void {
    const moved = this.#requests.takeMoved(
      ({ queue: { topic, index } }) => this.#cluster.leader(topic, index)?.nodeId,
    );
    for (const { queue, batch } of moved) {
      batch.problem = "Its leader was replaced before it had answered.";
      queue.returned(batch);
      queue.forgetExpired();
      this.#ready.add(queue);
    }
  }

  /** The cluster sees to it that several who ask share a refresh, and that it is repeated while leaders are missing. */
  #refresh(): void {
    this.#cluster.refresh().then(
      () => (this.#refreshProblem = ""),
      (error: unknown) => {
        const problem = String(error);
        if (ClosedError.is(error) || problem === this.#refreshProblem) return;
        this.#refreshProblem = problem;
        this.#logger.error({ err: error }, "The leaders of partitions cannot be found.");
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
}
