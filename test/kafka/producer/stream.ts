import assert from "node:assert/strict";
import { silentLogger } from "../../../src/logger.ts";
import { KafkaPayload } from "../../../src/message/payload.ts";
import { KafkaProducer } from "../../../src/kafka/producer.ts";
import type { ReadRecord } from "./read-all.ts";

/** What became of one message. Without `offset`, it was reported as not delivered. */
export interface Outcome {
  readonly value: number;
  readonly index: number;
  readonly offset: number | undefined;
}

/** Produces numbers, in order, until it is told to stop. */
export class Stream implements AsyncDisposable {
  readonly producer: KafkaProducer;
  readonly outcomes: Promise<Outcome>[] = [];
  readonly #topic: string;
  #stopped = false;
  readonly #running: Promise<void>;
  #delivered = 0;
  #notify: () => void = () => {};

  constructor(servers: string, topic: string, settings: object = {}) {
    this.#topic = topic;
    const config = {
      "bootstrap.servers": servers,
      "linger.ms": 1,
      "reconnect.backoff.max.ms": 500,
      ...settings,
    };
    this.producer = new KafkaProducer(config, { logger: silentLogger });
    this.#running = this.#run();
    this.#running.catch(() => {});
  }

  async #run(): Promise<void> {
    for (let value = 0; !this.#stopped; value++) {
      const outcome = this.producer.produce(this.#topic, new KafkaPayload(`${value % 16}`, `${value}`)).then(
        ({ partition, offset }) => {
          this.#delivered++;
          this.#notify();
          return { value, index: partition.index, offset };
        },
        () => ({ value, index: -1, offset: undefined }),
      );
      this.outcomes.push(outcome);
      // A rate that a test can check afterwards.
      if (value >= 200) await this.outcomes[value - 200];
      else if (value % 100 === 99) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Resolves when so many more have been delivered. */
  async progress(count: number): Promise<void> {
    const goal = this.#delivered + count;
    while (this.#delivered < goal) await new Promise<void>((resolve) => (this.#notify = resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await this.producer.close(0);
  }

  /** Stops, and gives what became of each message. */
  async stop(): Promise<readonly Outcome[]> {
    this.#stopped = true;
    await this.#running;
    await this.producer.flush();
    return Promise.all(this.outcomes);
  }
}

/** Every delivery is where it says, nothing is there twice, and each partition has its values in the order of producing. */
export function checkExactlyOnce(outcomes: readonly Outcome[], records: readonly ReadRecord[]): void {
  checkPlaces(outcomes, records);
  const last = new Map<number, number>();
  const seen = new Set<string>();
  for (const { partition, offset, value } of records) {
    assert.ok(!seen.has(value!), `${value} is there twice, the second time at ${partition}@${offset}`);
    seen.add(value!);
    const before = last.get(partition) ?? -1;
    assert.ok(Number(value) > before, `${value} comes behind ${before} at ${partition}@${offset}`);
    last.set(partition, Number(value));
  }
}

/** The same, but what was sent again after its acknowledgement was lost may be there twice. None comes late. */
export function checkAtLeastOnce(outcomes: readonly Outcome[], records: readonly ReadRecord[]): void {
  checkPlaces(outcomes, records);
  const highest = new Map<number, number>();
  const seen = new Set<string>();
  for (const { partition, value } of records) {
    const before = highest.get(partition) ?? -1;
    if (!seen.has(value!)) assert.ok(Number(value) > before, `${value} is out of order`);
    seen.add(value!);
    highest.set(partition, Math.max(Number(value), before));
  }
}

function checkPlaces(outcomes: readonly Outcome[], records: readonly ReadRecord[]): void {
  const at = new Map(records.map(({ partition, offset, value }) => [`${partition}@${offset}`, value]));
  for (const { value, index, offset } of outcomes) {
    if (offset !== undefined) assert.equal(at.get(`${index}@${offset}`), `${value}`);
  }
}
