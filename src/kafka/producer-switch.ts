import { setImmediate as newTurn } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import type { BatchSettled, Delivery, Producer, SentBatch } from "../backend/producer.ts";
import { deadlineAfter, type Clock } from "../clock.ts";
import { DeadlineError, InvalidStateError, ProducerError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { Partition } from "../message/partition.ts";
import type { KafkaPayload } from "../message/payload.ts";
import type { Topic } from "../message/topic.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { MetricName } from "../metrics/names.ts";
import { abortable, AbortedError } from "./client/abortable.ts";
import { sleep } from "./client/latch.ts";
import type { ResolvedProducerConfig } from "./config.ts";
import { HeldMessages } from "./held-messages.ts";

/** What the switch needs of a producer. */
export interface SwitchedProducer extends Producer<KafkaPayload> {
  readonly inFlight: number;
  readonly topics: readonly string[];
  connect(topics: readonly string[], timeoutMs: number): Promise<void>;
}

/** Settings, and the way to a producer that has them. */
export interface ProducerPlan {
  readonly settings: ResolvedProducerConfig;
  readonly create: () => SwitchedProducer;
}

export interface ProducerSwitchOptions {
  readonly first: ProducerPlan;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** How long a new producer has to prove itself. */
  readonly connectTimeoutMs: number;
  /** How long the old producer has to deliver what it has; undefined: `message.timeout.ms`. */
  readonly drainTimeoutMs: number | undefined;
  /** A change of settings begins so much later at the most, at random. */
  readonly jitterMs: number;
}

/** A change of settings. */
interface Change {
  readonly plan: ProducerPlan;
  readonly done: PromiseWithResolvers<void>;
  readonly abort: AbortController;
  /** There is no way back. */
  isSwitching: boolean;
}

/**
 * One producer after another, with other settings each time: what one has taken is settled before the next one gets anything,
 * so that nothing is lost and nothing overtakes. Messages that come between are held.
 */
export class ProducerSwitch {
  readonly #options: ProducerSwitchOptions;
  /** All that are not closed. */
  readonly #producers = new Set<SwitchedProducer>();
  #current: SwitchedProducer;
  #settings: ResolvedProducerConfig;
  #generation = 1;
  /** Set while the old producer drains. */
  #held: HeldMessages | undefined;
  /** Resolves when the new producer has what was held. */
  #switched: Promise<void> = Promise.resolve();
  #change: Change | undefined;
  /** Its turn comes after the one that is under way. */
  #nextChange: Change | undefined;
  #closing: Promise<void> | undefined;
  #refusal: Error | undefined;

  constructor(options: ProducerSwitchOptions) {
    this.#options = options;
    this.#settings = options.first.settings;
    this.#current = options.first.create();
    this.#producers.add(this.#current);
  }

  /** Which producer this is, counted from 1. */
  get generation(): number {
    return this.#generation;
  }

  get inFlight(): number {
    return this.#current.inFlight + (this.#held?.length ?? 0);
  }

  produce(destination: Topic | Partition | string, payload: KafkaPayload): Promise<Delivery> {
    if (this.#refusal !== undefined) return Promise.reject(this.#refusal);
    if (this.#held !== undefined) return this.#held.push(destination, payload);
    return this.#current.produce(destination, payload);
  }

  enqueue(topic: Topic, payload: KafkaPayload, onSettled: BatchSettled): SentBatch | "full" | undefined {
    // What is held back is in no batch yet.
    if (this.#refusal !== undefined || this.#held !== undefined) return undefined;
    return this.#current.enqueue?.(topic, payload, onSettled);
  }

  async flush(timeoutMs: number): Promise<void> {
    if (this.#held === undefined || this.#held.length === 0) return this.#current.flush(timeoutMs);
    const { clock } = this.#options;
    const startedMs = clock.monotonicMs();
    if (!(await this.#hasSwitched(timeoutMs))) {
      throw new DeadlineError(
        `${this.inFlight} messages are still on their way ${timeoutMs} ms after flush() was called.`,
      );
    }
    await this.#current.flush(Math.max(0, timeoutMs - (clock.monotonicMs() - startedMs)));
  }

  /** Changes the settings. Resolves when the new producer has taken over; one that is in no case to do so is dropped. */
  change(plan: ProducerPlan): Promise<void> {
    if (this.#refusal !== undefined) return Promise.reject(this.#refusal);
    const done = Promise.withResolvers<void>();
    const change = { plan, done, abort: new AbortController(), isSwitching: false };
    const superseded = new InvalidStateError("Other settings came before these were in force.");
    this.#nextChange?.done.reject(superseded);
    this.#nextChange = change;
    if (this.#change === undefined) void this.#nextTurn();
    else if (!this.#change.isSwitching) this.#change.abort.abort(superseded);
    return done.promise;
  }

  close(timeoutMs: number): Promise<void> {
    return (this.#closing ??= this.#close(timeoutMs));
  }

  async #close(timeoutMs: number): Promise<void> {
    const { clock } = this.#options;
    const startedMs = clock.monotonicMs();
    const closed = new InvalidStateError("The producer is closed: make a new one.");
    this.#refusal = closed;
    this.#nextChange?.done.reject(closed);
    this.#nextChange = undefined;
    if (this.#change?.isSwitching === false) this.#change.abort.abort(closed);
    if (!(await this.#hasSwitched(timeoutMs))) {
      this.#options.logger.error(
        { messages: this.#held?.length, timeoutMs },
        "The producer was closed before these messages were sent.",
      );
      this.#held?.fail(new ProducerError("The producer was closed before the message was sent."));
      this.#change?.abort.abort(closed);
    }
    const leftMs = Math.max(0, timeoutMs - (clock.monotonicMs() - startedMs));
    await Promise.all([...this.#producers].map((producer) => producer.close(leftMs)));
  }

  async #hasSwitched(timeoutMs: number): Promise<boolean> {
    if (timeoutMs === Infinity) {
      await this.#switched;
      return true;
    }
    using deadline = deadlineAfter(this.#options.clock, timeoutMs);
    try {
      await abortable(this.#switched, deadline);
      return true;
    } catch (error) {
      if (error instanceof AbortedError) return false;
      throw error;
    }
  }

  /** Makes the changes that wait, one after another. */
  async #nextTurn(): Promise<void> {
    for (let change = this.#nextChange; change !== undefined; change = this.#nextChange) {
      this.#change = change;
      this.#nextChange = undefined;
      try {
        await this.#make(change);
        change.done.resolve();
      } catch (error) {
        if (!InvalidStateError.is(error)) this.#failed(error);
        change.done.reject(error);
      }
      this.#change = undefined;
    }
  }

  #failed(error: unknown): void {
    const { logger, metrics } = this.#options;
    metrics.increment(MetricName.PRODUCER_RELOADS, 1, { status: "error" });
    logger.error(
      { err: error, settingsVersion: this.#generation },
      "The producer keeps the settings that it has, since the new ones do not work.",
    );
  }

  async #make(change: Change): Promise<void> {
    const { settings, create } = change.plan;
    const { signal } = change.abort;
    if (isDeepStrictEqual(settings, this.#settings)) return;
    const { clock, jitterMs, connectTimeoutMs } = this.#options;
    if (jitterMs > 0) await sleep(clock, Math.random() * jitterMs, signal);
    signal.throwIfAborted();
    const next = create();
    this.#producers.add(next);
    try {
      await abortable(next.connect(this.#current.topics, connectTimeoutMs), signal);
      // What was refused in this turn of the event loop must not be overtaken by what is held.
      await newTurn();
      signal.throwIfAborted();
    } catch (error) {
      this.#drop(next);
      throw signal.aborted ? signal.reason : error;
    }
    change.isSwitching = true;
    this.#switched = this.#switchTo(next, settings);
    await this.#switched;
    // Closed before it was done.
    signal.throwIfAborted();
  }

  /** Never rejects. */
  async #switchTo(next: SwitchedProducer, settings: ResolvedProducerConfig): Promise<void> {
    const old = this.#current;
    const held = new HeldMessages({
      maxMessages: settings["queue.buffering.max.messages"] || Infinity,
      maxBytes: settings["queue.buffering.max.kbytes"] * 1024,
      others: () => old.inFlight,
    });
    this.#held = held;
    await this.#drain(old);
    await newTurn();
    this.#held = undefined;
    this.#current = next;
    this.#settings = settings;
    this.#generation++;
    held.release(next);
    this.#drop(old);
    const { logger, metrics } = this.#options;
    metrics.increment(MetricName.PRODUCER_RELOADS, 1, { status: "success" });
    logger.info({ settingsVersion: this.#generation }, "The producer has new settings.");
  }

  async #drain(old: SwitchedProducer): Promise<void> {
    const { drainTimeoutMs, logger } = this.#options;
    const timeoutMs = drainTimeoutMs ?? (this.#settings["message.timeout.ms"] || Infinity);
    try {
      await old.flush(timeoutMs);
    } catch (error) {
      logger.warn(
        { err: error, messages: old.inFlight },
        "These messages fail: they were not delivered before the time was up for new settings to come into force.",
      );
      // Nothing may follow before it is settled, and its connections are gone.
      await old
        .close(0)
        .catch((error: unknown) => logger.error({ err: error }, "A producer could not be closed."));
    }
  }

  #drop(producer: SwitchedProducer): void {
    const { logger } = this.#options;
    producer
      .close(0)
      .catch((error: unknown) => logger.error({ err: error }, "A producer could not be closed."))
      .finally(() => this.#producers.delete(producer));
  }
}
