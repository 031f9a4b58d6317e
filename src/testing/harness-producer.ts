import type { Delivery, Producer } from "../backend/producer.ts";
import type { LocalBroker } from "../local/broker.ts";
import { Partition } from "../message/partition.ts";
import type { KafkaPayload } from "../message/payload.ts";
import { Topic } from "../message/topic.ts";

/** Writes to the embedded broker, remembers what it has written, and fails on a test's order. */
export class HarnessProducer implements Producer<KafkaPayload> {
  readonly #broker: LocalBroker;
  readonly #inner: Producer<KafkaPayload>;
  readonly #moved: () => void;
  readonly #outputs = new Map<string, KafkaPayload[]>();
  readonly #existing = new Map<string, Promise<void>>();
  #failure: { readonly error: Error } | undefined;

  constructor(broker: LocalBroker, moved: () => void) {
    this.#broker = broker;
    this.#inner = broker.producer();
    this.#moved = moved;
  }

  /** The next message fails with this error. */
  failNext(error: Error): void {
    this.#failure = { error };
  }

  /** What was written to a topic, in the order in which the broker took it. */
  output(topic: string): readonly KafkaPayload[] {
    return this.#outputs.get(topic) ?? [];
  }

  async produce(destination: Topic | Partition | string, payload: KafkaPayload): Promise<Delivery> {
    this.#moved();
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure.error;
    const topic = destination instanceof Partition ? destination.topic : Topic.of(destination);
    await this.#exists(topic);
    const delivery = await this.#inner.produce(destination, payload);
    const outputs = this.#outputs.get(topic.name);
    if (outputs === undefined) this.#outputs.set(topic.name, [payload]);
    else outputs.push(payload);
    this.#moved();
    return delivery;
  }

  flush(timeoutMs?: number): Promise<void> {
    return this.#inner.flush(timeoutMs);
  }

  /** Stays open: a pipeline that closes its producer when it ends may be started again by the test. */
  close(timeoutMs?: number): Promise<void> {
    return this.#inner.flush(timeoutMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Every message of a topic waits for the same promise, so that none overtakes another. */
  #exists(topic: Topic): Promise<void> {
    let exists = this.#existing.get(topic.name);
    if (exists === undefined) {
      exists = this.#broker.topics().has(topic.name) ? Promise.resolve() : this.#broker.createTopic(topic, 1);
      this.#existing.set(topic.name, exists);
    }
    return exists;
  }
}
