import { setImmediate as turn } from "node:timers/promises";
import type { Delivery, SentBatch } from "../../../src/backend/producer.ts";
import { deadlineAfter, type Clock } from "../../../src/clock.ts";
import { DeadlineError, ErrorCode, ProducerError } from "../../../src/errors.ts";
import { abortable } from "../../../src/kafka/client/abortable.ts";
import { resolveProducerConfig, type KafkaProducerConfig } from "../../../src/kafka/config.ts";
import { InFlight } from "../../../src/kafka/in-flight.ts";
import {
  ProducerSwitch,
  type ProducerSwitchOptions,
  type SwitchedProducer,
} from "../../../src/kafka/producer-switch.ts";
import { silentLogger } from "../../../src/logger.ts";
import { Partition } from "../../../src/message/partition.ts";
import { KafkaPayload } from "../../../src/message/payload.ts";
import type { Topic } from "../../../src/message/topic.ts";
import { MockClock } from "../../../src/testing/mock-clock.ts";
import { RecordingMetrics } from "../../../src/testing/recording-metrics.ts";

/** A producer that does what the test says. */
export class ScriptedProducer implements SwitchedProducer {
  readonly name: string;
  /** What connect was called with; the test settles it. */
  readonly connected: PromiseWithResolvers<void> = Promise.withResolvers();
  probedTopics: readonly string[] | undefined;
  topics: readonly string[] = ["t"];
  isClosed: boolean = false;
  /** At which the queue is full. */
  capacity: number = Infinity;
  readonly #clock: Clock;
  readonly #log: string[];
  readonly #inFlight = new InFlight();
  readonly #messages: (PromiseWithResolvers<Delivery> & { readonly value: string })[] = [];

  constructor(name: string, clock: Clock, log: string[]) {
    this.name = name;
    this.#clock = clock;
    this.#log = log;
  }

  get inFlight(): number {
    return this.#inFlight.messages;
  }

  connect(topics: readonly string[]): Promise<void> {
    this.probedTopics = topics;
    return this.connected.promise;
  }

  produce(_destination: Topic | Partition | string, payload: KafkaPayload): Promise<Delivery> {
    if (this.isClosed) throw new Error(`${this.name} is closed and was produced to`);
    if (this.inFlight >= this.capacity) {
      return Promise.reject(new ProducerError("full", { code: ErrorCode.PRODUCER_QUEUE_FULL }));
    }
    const message = { value: String(payload.value), ...Promise.withResolvers<Delivery>() };
    this.#messages.push(message);
    this.#inFlight.add(this.#inFlight.generation, 1);
    this.#log.push(`${this.name} got ${message.value}`);
    return message.promise;
  }

  enqueue(_topic: Topic, payload: KafkaPayload): SentBatch {
    void this.produce("t", payload);
    return { state: "sent", error: undefined };
  }

  /** The brokers have so many more messages. */
  async deliver(count: number = this.#messages.length): Promise<void> {
    for (const { value, resolve } of this.#messages.splice(0, count)) {
      this.#log.push(`${this.name} delivered ${value}`);
      resolve({ partition: Partition.of("t", 0), offset: 0, timestampMs: 0 });
      this.#inFlight.settle(this.#inFlight.generation, 1, 1);
    }
    await turns();
  }

  async flush(timeoutMs: number = Infinity): Promise<void> {
    const settled = Promise.all(this.#messages.map(({ promise }) => promise.catch(() => {})));
    if (timeoutMs === Infinity) return void (await settled);
    using deadline = deadlineAfter(this.#clock, timeoutMs);
    await abortable(settled, deadline).catch(() => {
      throw new DeadlineError(`${this.inFlight} are left`);
    });
  }

  async close(timeoutMs: number = 0): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    if (timeoutMs > 0) await this.flush(timeoutMs).catch(() => {});
    for (const { reject } of this.#messages.splice(0)) {
      reject(new ProducerError(`${this.name} was closed`));
      this.#inFlight.settle(this.#inFlight.generation, 1, 1);
    }
    this.#log.push(`${this.name} closed`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Everything that waits for nothing but turns of the event loop has happened. */
export async function turns(): Promise<void> {
  for (let i = 0; i < 5; i++) await turn();
}

type Settings = Omit<Partial<KafkaProducerConfig>, "bootstrap.servers" | "metadata.broker.list">;

/** A switch between scripted producers; each set of settings is known by its client.id. */
export class SwitchHarness {
  readonly clock: MockClock = new MockClock();
  readonly metrics: RecordingMetrics = new RecordingMetrics();
  /** Who got and delivered what, in order. */
  readonly log: string[] = [];
  readonly errors: string[] = [];
  readonly producers: Map<string, ScriptedProducer> = new Map();
  readonly switch: ProducerSwitch;

  constructor(options: Partial<ProducerSwitchOptions> = {}) {
    this.switch = new ProducerSwitch({
      first: this.#plan("a"),
      clock: this.clock,
      logger: {
        ...silentLogger,
        warn: (_fields, message) => this.errors.push(message),
        error: (_fields, message) => this.errors.push(message),
      },
      metrics: this.metrics,
      connectTimeoutMs: 10_000,
      drainTimeoutMs: undefined,
      jitterMs: 0,
      ...options,
    });
  }

  producer(name: string): ScriptedProducer {
    const producer = this.producers.get(name);
    if (producer === undefined) throw new Error(`there is no producer ${name}`);
    return producer;
  }

  produce(value: string): Promise<string> {
    return this.switch.produce("t", new KafkaPayload(null, value)).then(
      () => `${value} delivered`,
      (error: Error) => (ProducerError.isQueueFull(error) ? "queue full" : error.message),
    );
  }

  /** Begins a change, as far as it goes by itself. Gives what becomes of it. */
  async change(name: string, settings: Settings = {}): Promise<{ result: Promise<string> }> {
    const result = this.switch.change(this.#plan(name, settings)).then(
      () => "changed",
      (error: Error) => error.message,
    );
    await turns();
    return { result };
  }

  async connect(name: string): Promise<void> {
    this.producer(name).connected.resolve();
    await turns();
  }

  async advance(ms: number): Promise<void> {
    this.clock.advance(ms);
    await turns();
  }

  #plan(name: string, settings: Settings = {}): ProducerSwitchOptions["first"] {
    return {
      settings: resolveProducerConfig({ "bootstrap.servers": "broker:9092", "client.id": name, ...settings }),
      create: () => {
        const producer = new ScriptedProducer(name, this.clock, this.log);
        this.producers.set(name, producer);
        return producer;
      },
    };
  }
}
