import type { BatchSettled, SentBatch } from "../backend/producer.ts";
import { ConfigurationError, MESSAGE_REJECTED, ProducerError } from "../errors.ts";
import { isFiltered, type Message, type Submitted } from "../message/message.ts";
import { Topic } from "../message/topic.ts";
import { MetricName } from "../metrics/names.ts";
import { Fifo } from "./fifo.ts";
import { Lifecycle } from "./lifecycle.ts";
import { Outlet } from "./outlet.ts";
import { detachedRuntime } from "./runtime.ts";
import type { ProcessingStrategy, StrategyRuntime } from "./strategy.ts";

/** The part of a `Producer` that {@link Produce} needs. */
export interface ProducesMessages<in T> {
  readonly produce: (destination: Topic, payload: T) => Promise<unknown>;
  /** See `Producer.enqueue`. */
  readonly enqueue?:
    ((topic: Topic, payload: T, onSettled: BatchSettled) => SentBatch | "full" | undefined) | undefined;
}

/** What a {@link Produce} writes with, and where to. */
export interface ProduceOptions<in T> {
  readonly producer: ProducesMessages<T>;
  /** Where the messages go, whatever topic they came from. */
  readonly topic: Topic | string;
  /** How many messages may be in flight before new ones are rejected. Default 10,000. */
  readonly maxBufferSize?: number | undefined;
}

const DEFAULT_MAX_BUFFER_SIZE = 10_000;
/** How many deliveries one poll hands on at most: the rest waits for the next turn of the event loop. */
const MAX_HANDED_ON_PER_POLL = 1_000;
/** How soon a message that the producer had no room for is tried again, when no delivery comes back before. */
const RESEND_AFTER_MS = 5;
const FIRST_RESENDS = 16;

/** What has become of a message: of it alone, where it was sent by itself. */
interface Sending {
  state: SentBatch["state"] | "refused";
  error: unknown;
}

/** A message on its way. */
interface InFlight<T> {
  readonly message: Submitted<T>;
  sending: Readonly<Sending>;
}

/** A filtered message, which is only waiting for its turn. */
const NOT_SENT: Readonly<Sending> = { state: "delivered", error: undefined };

/**
 * Sends each message to a topic, and hands it on once the broker has acknowledged it, in the order in which they came.
 * (Arroyo's `Produce`; Arroyo for Rust commits when a message is merely queued.)
 *
 * New messages are rejected while `maxBufferSize` are in flight, and while the producer's own queue is full: the message
 * that it had no room for is kept and sent again. A delivery that failed for good ends the processor with the producer's
 * error, after what came before it was handed on.
 */
export class Produce<T> implements ProcessingStrategy<T> {
  readonly name = "Produce";
  readonly next: ProcessingStrategy<never>;
  readonly #producer: ProducesMessages<T>;
  readonly #topic: Topic;
  readonly #maxBufferSize: number;
  readonly #lifecycle: Lifecycle = new Lifecycle("Produce");
  readonly #outlet: Outlet<T>;
  readonly #inFlight: Fifo<InFlight<T>> = new Fifo();
  readonly #settled: (sending: Readonly<Sending>) => void;
  #runtime: StrategyRuntime = detachedRuntime;
  #refused = 0;
  #maxResends = FIRST_RESENDS;
  #delivered = 0;
  #failed = 0;
  #emptied: (() => void) | undefined;

  /** @throws ConfigurationError for a topic that Kafka does not allow, or a `maxBufferSize` below 1. */
  constructor(options: ProduceOptions<T>, next: ProcessingStrategy<NoInfer<T>>) {
    const { maxBufferSize = DEFAULT_MAX_BUFFER_SIZE } = options;
    if (!(Number.isInteger(maxBufferSize) && maxBufferSize > 0)) {
      throw new ConfigurationError(
        `Produce: maxBufferSize is ${maxBufferSize}, but must be a whole number from 1 up.`,
      );
    }
    this.next = next;
    this.#producer = options.producer;
    this.#topic = Topic.of(options.topic);
    this.#maxBufferSize = maxBufferSize;
    this.#outlet = new Outlet(next);
    this.#settled = (sending) => {
      // Those behind the first one wait for their turn anyway.
      if (this.#inFlight.peek()?.sending === sending) this.#runtime.wake();
    };
  }

  attach(runtime: StrategyRuntime): void {
    this.#runtime = runtime;
    this.#outlet.attach(runtime);
  }

  submit(message: Submitted<T>): void {
    if (!this.#lifecycle.open) this.#lifecycle.refuse("submit");
    if (this.#inFlight.length >= this.#maxBufferSize && this.#outlet.retry()) this.#handOn();
    if (this.#refused > 0 || this.#inFlight.length >= this.#maxBufferSize) throw MESSAGE_REJECTED;
    if (isFiltered(message)) {
      if (this.#inFlight.length === 0 && this.#outlet.retry()) {
        this.#outlet.push(message);
      } else {
        this.#inFlight.push({ message, sending: NOT_SENT });
      }
      return;
    }
    const sending = this.#send(message);
    if (sending === "full") {
      this.#tryAgainSoon();
      throw MESSAGE_REJECTED;
    }
    this.#inFlight.push({ message, sending });
  }

  poll(): void {
    this.#lifecycle.assertPollable();
    this.#outlet.poll();
    if (this.#refused > 0) this.#resend();
    try {
      this.#handOn();
    } finally {
      this.#count();
    }
  }

  close(): void {
    this.#lifecycle.close();
  }

  terminate(): void {
    if (!this.#lifecycle.terminate()) return;
    this.#drop();
    this.#emptied?.();
    this.#outlet.terminate();
  }

  /** Waits for everything in flight, for as long as the deadline allows. */
  join(deadline: AbortSignal): Promise<void> {
    return this.#lifecycle.join(async () => {
      if (this.#outlet.retry()) this.#handOn();
      if (this.#inFlight.length > 0 && !deadline.aborted) await this.#untilEmpty(deadline);
      if (this.#inFlight.length > 0) {
        this.#runtime.logger.warn(
          { strategy: "Produce", topic: this.#topic.name, messages: this.#inFlight.length },
          "The join ran out of time before these messages were acknowledged; they are not committed.",
        );
        this.#drop();
      }
      this.#count();
      if (!this.#lifecycle.terminated) await this.#outlet.finish(deadline);
    });
  }

  #untilEmpty(deadline: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#emptied = resolve;
    deadline.addEventListener("abort", () => resolve(), { once: true });
    return promise;
  }

  #send(message: Message<T>): Readonly<Sending> | "full" {
    const batch = this.#producer.enqueue?.(this.#topic, message.payload, this.#settled);
    if (batch !== undefined) return batch;
    const sending: Sending = { state: "sent", error: undefined };
    this.#producer.produce(this.#topic, message.payload).then(
      () => {
        sending.state = "delivered";
        this.#settled(sending);
      },
      (error: unknown) => {
        if (ProducerError.isQueueFull(error)) {
          sending.state = "refused";
          this.#refused++;
          this.#maxResends = FIRST_RESENDS;
          this.#tryAgainSoon();
          return;
        }
        sending.state = "failed";
        sending.error = error;
        this.#settled(sending);
      },
    );
    return sending;
  }

  #tryAgainSoon(): void {
    this.#runtime.wakeAt(this.#runtime.clock.monotonicMs() + RESEND_AFTER_MS);
  }

  /** Sends again what the producer had no room for, in order: a few at first, more when there is room. */
  #resend(): void {
    let resends = 0;
    for (const inFlight of this.#inFlight) {
      if (inFlight.sending.state !== "refused") continue;
      if (resends++ === this.#maxResends) {
        this.#maxResends *= 2;
        this.#tryAgainSoon();
        return;
      }
      const sending = this.#send(inFlight.message as Message<T>);
      if (sending === "full") {
        this.#tryAgainSoon();
        return;
      }
      inFlight.sending = sending;
      this.#refused--;
    }
  }

  /** Hands on what has been delivered, in order. */
  #handOn(): void {
    for (let handedOn = 0; !this.#outlet.waiting; handedOn++) {
      const first = this.#inFlight.peek();
      if (first === undefined) {
        this.#emptied?.();
        return;
      }
      const { state, error } = first.sending;
      if (state === "sent" || state === "refused") return;
      if (handedOn === MAX_HANDED_ON_PER_POLL) {
        this.#runtime.wake();
        return;
      }
      this.#inFlight.shift();
      this.#countIn(first);
      if (state === "failed") throw error;
      this.#outlet.push(first.message);
    }
  }

  /** Forgets what is in flight. */
  #drop(): void {
    for (const inFlight of this.#inFlight) this.#countIn(inFlight);
    this.#inFlight.clear();
    this.#count();
  }

  #countIn({ sending }: InFlight<T>): void {
    if (sending === NOT_SENT) return;
    if (sending.state === "delivered") this.#delivered++;
    else if (sending.state === "failed") this.#failed++;
  }

  #count(): void {
    const { metrics } = this.#runtime;
    if (this.#delivered > 0) {
      metrics.increment(MetricName.PRODUCE_STATUS, this.#delivered, { status: "success" });
    }
    if (this.#failed > 0) metrics.increment(MetricName.PRODUCE_STATUS, this.#failed, { status: "error" });
    this.#delivered = 0;
    this.#failed = 0;
  }
}
