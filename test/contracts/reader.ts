import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import type { Consumer, RebalanceCallbacks, TopicSubscription } from "../../src/backend/consumer.ts";
import { EndOfPartition } from "../../src/errors.ts";
import type { BrokerMessage } from "../../src/message/message.ts";
import type { Partition } from "../../src/message/partition.ts";
import type { KafkaPayload } from "../../src/message/payload.ts";

/** Longer than any test may take: what is waited for has to end the wait. */
export const LONG_MS = 300_000;

/** What closing may take where something depends on its end: brokers that stand still for seconds must not end it. */
export const CLOSE_MS = 50_000;

/**
 * Polls a consumer as a processor would, one poll after the other, and keeps what it sees. On the way it checks what must
 * always hold: no two callbacks at once, and no message of a partition that it has not (any more).
 */
export class Reader {
  readonly consumer: Consumer<KafkaPayload>;
  readonly messages: BrokerMessage<KafkaPayload>[] = [];
  readonly ends: EndOfPartition[] = [];
  /** Every callback, as `assign topic:0 topic:1`, in the order in which they began. */
  readonly events: string[] = [];
  /** What it has now, as the callbacks say. */
  readonly owned: Set<Partition> = new Set();
  /** How many messages there were when a partition came. */
  readonly #since = new Map<Partition, number>();
  readonly #callbacks: RebalanceCallbacks;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #inCallback = false;
  #failure: Error | undefined;
  #changed: PromiseWithResolvers<void> = Promise.withResolvers();

  constructor(
    consumer: Consumer<KafkaPayload>,
    topics: TopicSubscription,
    callbacks: RebalanceCallbacks = {},
  ) {
    this.consumer = consumer;
    this.#callbacks = callbacks;
    consumer.subscribe(topics, {
      onAssign: (offsets) =>
        this.#callback("assign", [...offsets.keys()], async () => {
          for (const partition of offsets.keys()) {
            this.owned.add(partition);
            this.#since.set(partition, this.messages.length);
          }
          await this.#callbacks.onAssign?.(offsets);
        }),
      onRevoke: (partitions, deadline) =>
        this.#callback("revoke", partitions, async () => {
          for (const partition of partitions) this.owned.delete(partition);
          await this.#callbacks.onRevoke?.(partitions, deadline);
        }),
      onLost: (partitions) =>
        this.#callback("lost", partitions, async () => {
          for (const partition of partitions) this.owned.delete(partition);
          await this.#callbacks.onLost?.(partitions);
        }),
    });
  }

  start(): this {
    this.#running = this.#run();
    return this;
  }

  /** Resolves when the condition holds; looks whenever something has happened. */
  async until(holds: (reader: this) => boolean): Promise<void> {
    while (!holds(this)) {
      if (this.#failure !== undefined) throw this.#failure;
      await this.#changed.promise;
    }
  }

  /** Ends the poll that waits. Rejects with what a poll threw. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Partition and offset of every message, in order. */
  positions(): string[] {
    return this.messages.map(({ partition, offset }) => `${partition}@${offset}`);
  }

  /** Commits everything that was read of these partitions since they came: before, others may have come further. */
  async commit(partitions: Iterable<Partition>): Promise<void> {
    const wanted = new Set(partitions);
    const offsets = new Map<Partition, number>();
    for (const [at, { partition, nextOffset }] of this.messages.entries()) {
      if (wanted.has(partition) && at >= (this.#since.get(partition) ?? 0))
        offsets.set(partition, nextOffset);
    }
    this.consumer.stageOffsets(offsets);
    await this.consumer.commitOffsets();
  }

  async #run(): Promise<void> {
    // So that whoever starts it has it in hand when the first callback comes.
    await setImmediate();
    while (!this.#stop.signal.aborted) {
      try {
        const messages = await this.consumer.poll({ timeoutMs: LONG_MS, signal: this.#stop.signal });
        for (const message of messages) {
          assert.ok(this.owned.has(message.partition), `${message.partition} is not ours, but was delivered`);
          this.messages.push(message);
        }
      } catch (error) {
        if (error instanceof EndOfPartition) this.ends.push(error);
        else this.#failure = error as Error;
      }
      this.#tell();
      if (this.#failure !== undefined) return;
    }
  }

  async #callback(name: string, partitions: readonly Partition[], run: () => Promise<void>): Promise<void> {
    this.events.push([name, ...partitions.map(String).toSorted()].join(" "));
    assert.ok(!this.#inCallback || name === "lost", `${name} came in the middle of another callback`);
    this.#inCallback = true;
    const done = run();
    this.#tell();
    await done;
    // A callback that takes a while, so that another would come in its middle.
    await setImmediate();
    this.#inCallback = false;
    this.#tell();
  }

  #tell(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

/** Polls until there are so many messages, and not for more. */
export async function readNext(
  consumer: Consumer<KafkaPayload>,
  count: number,
): Promise<BrokerMessage<KafkaPayload>[]> {
  const messages: BrokerMessage<KafkaPayload>[] = [];
  while (messages.length < count) {
    const polled = await consumer.poll({ timeoutMs: LONG_MS, maxMessages: count - messages.length });
    for (const message of polled) messages.push(message);
  }
  return messages;
}
