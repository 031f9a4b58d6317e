import { setImmediate } from "node:timers/promises";
import { ArroyoError, type ErrorCode } from "../../errors.ts";
import { Fetch, type FetchRequest } from "./apis.ts";
import { Backoff } from "./backoff.ts";
import type { ConnectionPurpose } from "./cluster.ts";
import { FetchAnswers, type HandOver } from "./fetch-answers.ts";
import type { FetchBroker, FetchPlan } from "./fetch-broker.ts";
import type { FetchConnection, FetchContext } from "./fetch-context.ts";
import type { Flight, FlightOutcome } from "./fetch-partition.ts";
import type { FetchTroubles } from "./fetch-troubles.ts";
import { MalformedResponseError } from "./response-cursor.ts";
import {
  AuthenticationError,
  ClosedError,
  ResponseTooLargeError,
  UnsupportedBrokerError,
} from "./transport-error.ts";

/** How long checking may hold up what else this thread does, heartbeats above all. */
const SLICE_MS = 8;
/** An answer with less is handed over sooner than the next request is written (0.1 to 0.2 ms), so that comes after it. */
const SMALL_BYTES = 32_768;
/** How often a broker may refuse the credentials before its partitions fail. */
const MAX_REFUSALS = 3;
/** How many requests in a row may remain without an answer before somebody should know. */
const TRIES_BEFORE_TELLING = 3;

function malformedOf(error: unknown): MalformedResponseError | undefined {
  const causes = [error, (error as { cause?: unknown }).cause];
  return causes.find((cause) => cause instanceof MalformedResponseError);
}

function codeOf(error: unknown): ErrorCode | undefined {
  return error instanceof ArroyoError ? error.code : undefined;
}

/**
 * One connection to one broker, and the Fetch that is under way on it. When an answer of some size has come, the next request
 * goes out before its records are checked and handed over, so the broker and the network are busy meanwhile.
 */
export class FetchLane {
  readonly #broker: FetchBroker;
  readonly #context: FetchContext;
  readonly #troubles: FetchTroubles;
  readonly #purpose: ConnectionPurpose;
  readonly #answers: FetchAnswers;
  readonly #backoff: Backoff;
  #connection: FetchConnection | undefined;
  #flight: Flight | undefined;
  #running = false;
  #woken = false;
  #wake: (() => void) | undefined;
  /** The connection was closed on purpose: its end is no reason to wait. */
  #isBreaking = false;
  #refusals = 0;
  /** Requests in a row that had no answer. */
  #unanswered = 0;

  constructor(
    broker: FetchBroker,
    context: FetchContext,
    troubles: FetchTroubles,
    purpose: ConnectionPurpose,
  ) {
    this.#broker = broker;
    this.#context = context;
    this.#troubles = troubles;
    this.#purpose = purpose;
    this.#answers = new FetchAnswers(context, troubles, this);
    const { config } = context;
    this.#backoff = new Backoff({
      initialMs: config["retry.backoff.ms"],
      maxMs: config["retry.backoff.max.ms"],
    });
  }

  get flight(): Flight | undefined {
    return this.#flight;
  }

  /** There may be something to fetch. */
  wake(): void {
    this.#woken = true;
    if (this.#wake !== undefined) {
      this.#wake();
    } else if (!this.#running) {
      this.#running = true;
      this.#run()
        .catch((error: unknown) => this.#context.crashed(error))
        .finally(() => (this.#running = false));
    }
  }

  close(): void {
    this.#connection?.close();
    this.wake();
  }

  async #run(): Promise<void> {
    let flight: Flight | undefined;
    for (;;) {
      flight ??= await this.#nextFlight();
      if (flight === undefined) return;
      const handOvers = this.#land(flight, await flight.outcome);
      const isSmall = handOvers.reduce((sum, { answer }) => sum + answer.records.length, 0) < SMALL_BYTES;
      if (isSmall) await this.#handOver(handOvers);
      flight = this.#depart();
      // What has landed here may be the other lane's to ask for, and that one may have found nothing to ask for before.
      if (flight === undefined) this.#broker.wake();
      if (!isSmall) await this.#handOver(handOvers);
    }
  }

  /** Waits until there is something to ask for and somebody to ask. Undefined when the fetcher is closed. */
  async #nextFlight(): Promise<Flight | undefined> {
    const { closed } = this.#context;
    while (!closed.aborted) {
      this.#woken = false;
      if (this.#connection?.alive !== true && this.#broker.plan(this) !== undefined) {
        await this.#connect();
        continue;
      }
      const flight = this.#depart();
      if (flight !== undefined) return flight;
      if (!this.#woken) await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = undefined;
    }
    return undefined;
  }

  async #connect(): Promise<void> {
    try {
      const connection = await this.#context.cluster.connection(this.#broker.nodeId, this.#purpose);
      this.#refusals = 0;
      this.#isBreaking = false;
      this.#broker.isLost = false;
      this.#connection = connection;
      if (this.#context.closed.aborted) connection.close();
      else if (!connection.alive) this.#lost(new Error("The connection was lost before it was used."));
    } catch (error) {
      this.#connectionFailed(error);
    }
  }

  #connectionFailed(error: unknown): void {
    if (this.#context.closed.aborted || ClosedError.is(error)) return;
    if (error instanceof AuthenticationError) this.#refusals += 1;
    if (error instanceof UnsupportedBrokerError || this.#refusals >= MAX_REFUSALS) {
      this.#refusals = 0;
      const problem = `broker ${this.#broker.nodeId} cannot be used`;
      for (const partition of [...this.#broker.partitions]) {
        this.#troubles.fail(partition, problem, { code: codeOf(error), cause: error });
      }
      return;
    }
    this.#lost(error);
  }

  /** The broker cannot be reached now. Perhaps others lead its partitions already. */
  #lost(error: unknown): void {
    const { logger } = this.#context;
    const delayMs = this.#backoff.next();
    logger.debug({ brokerId: this.#broker.nodeId, err: error, delayMs }, "A broker cannot be fetched from.");
    this.#broker.holdOff(delayMs);
    this.#broker.isLost = true;
    this.#context.refresh();
    for (const partition of [...this.#broker.partitions]) {
      if (partition.replica === undefined) continue;
      partition.replica = undefined;
      this.#context.place(partition);
    }
  }

  /** Sends the next request, if there is something to ask for. */
  #depart(): Flight | undefined {
    const connection = this.#connection;
    if (connection?.alive !== true || this.#context.closed.aborted) return undefined;
    const plan = this.#broker.plan(this);
    if (plan === undefined) return undefined;
    const { clock, config, budget, window } = this.#context;
    const timeoutMs = plan.maxWaitMs + config["socket.timeout.ms"];
    const outcome = connection.request(Fetch, [this.#request(plan)], { timeoutMs }).then(
      (response): FlightOutcome => ({ response }),
      (error: unknown): FlightOutcome => ({ error }),
    );
    const flight: Flight = {
      partitions: plan.asks.map((ask) => ask.partition),
      dueAtMs: clock.monotonicMs() + plan.maxWaitMs,
      isHeld: plan.isHeld,
      outcome,
    };
    for (const { partition, maxBytes } of plan.asks) {
      partition.flight = flight;
      partition.asked = maxBytes;
      budget.expect(partition.account, maxBytes);
      if (partition.isBehind) {
        partition.windowed = maxBytes;
        window.expect(maxBytes);
      }
    }
    this.#flight = flight;
    this.#broker.watch();
    return flight;
  }

  #request(plan: FetchPlan): FetchRequest {
    const { config, isolationLevel } = this.#context;
    // Partitions of one topic that follow each other share an entry. A topic may have several: the order in which the
    // broker fills the answer is what makes it fair.
    const topics: { topicId: string; partitions: FetchRequest["topics"][number]["partitions"][number][] }[] =
      [];
    for (const { partition, maxBytes } of plan.asks) {
      let topic = topics.at(-1);
      if (topic === undefined || topic.topicId !== partition.topicId) {
        topic = { topicId: partition.topicId as string, partitions: [] };
        topics.push(topic);
      }
      topic.partitions.push({
        partition: partition.index,
        currentLeaderEpoch: partition.leader?.leaderEpoch ?? -1,
        fetchOffset: partition.offset,
        lastFetchedEpoch: partition.lastEpoch,
        partitionMaxBytes: maxBytes,
      });
    }
    return {
      maxWaitMs: plan.maxWaitMs,
      minBytes: config["fetch.min.bytes"],
      maxBytes: config["fetch.max.bytes"],
      isolationLevel,
      // No fetch session (KIP-227).
      sessionId: 0,
      sessionEpoch: -1,
      topics,
      forgottenTopics: [],
      rackId: config["client.rack"],
    };
  }

  /** Takes in an answer, or its failing to come: positions move, records are left for {@link #handOver}. */
  #land(flight: Flight, outcome: FlightOutcome): readonly HandOver[] {
    this.#flight = undefined;
    if (this.#context.closed.aborted) return [];
    if ("error" in outcome) {
      const landed = flight.partitions.filter((partition) => partition.flight === flight);
      for (const partition of landed) this.#broker.land(partition);
      const malformed = malformedOf(outcome.error);
      if (malformed !== undefined) {
        this.break();
        for (const partition of landed) this.#troubles.corrupt(partition, malformed);
      } else if (outcome.error instanceof ResponseTooLargeError) {
        this.#troubles.tooLarge(landed, outcome.error);
      } else if (!this.#isBreaking) {
        this.#tellUnanswered(outcome.error);
        this.#connectionFailed(outcome.error);
      }
      return [];
    }
    this.#tellAnswered();
    const { response } = outcome;
    this.#backoff.reset();
    if (response.throttleTimeMs > 0) this.#broker.holdOff(response.throttleTimeMs);
    return this.#answers.land(flight, response);
  }

  /** That a broker cannot be connected to is told where connections are made; this is about what comes after. */
  #tellUnanswered(error: unknown): void {
    this.#unanswered += 1;
    if (this.#unanswered !== TRIES_BEFORE_TELLING) return;
    const { nodeId } = this.#broker;
    this.#context.logger.warn(
      { brokerId: nodeId, err: error },
      "A broker answers none of the requests to fetch from it.",
    );
  }

  #tellAnswered(): void {
    if (this.#unanswered >= TRIES_BEFORE_TELLING) {
      this.#context.logger.info({ brokerId: this.#broker.nodeId }, "A broker can be fetched from again.");
    }
    this.#unanswered = 0;
  }

  async #handOver(handOvers: readonly HandOver[]): Promise<void> {
    if (handOvers.length === 0) return;
    const { clock, budget, window } = this.#context;
    let sliceEndMs = clock.monotonicMs() + SLICE_MS;
    for (const handOver of handOvers) {
      if (clock.monotonicMs() >= sliceEndMs) {
        await setImmediate();
        sliceEndMs = clock.monotonicMs() + SLICE_MS;
      }
      this.#answers.handOver(handOver);
    }
    // What the request under way does not cover may be fetched by others now, also by another broker's lanes.
    for (const { partition } of handOvers) {
      if (partition.broker !== this.#broker) partition.broker?.wake();
    }
    window.freed(budget.queued);
    this.#broker.wake();
  }

  /** What came over this connection was damaged: the next request goes over a new one. */
  break(): void {
    this.#isBreaking = true;
    this.#connection?.close();
  }
}
