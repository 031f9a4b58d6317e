import type { Consumer, PollOptions, RebalanceCallbacks, TopicSubscription } from "../backend/consumer.ts";
import type { BrokerMessage } from "../message/message.ts";
import type { Partition } from "../message/partition.ts";
import type { KafkaPayload } from "../message/payload.ts";

/**
 * The embedded broker's consumer, with rebalances and failures on a test's order: they come with a poll, as real ones do.
 */
export class HarnessConsumer implements Consumer<KafkaPayload> {
  readonly #inner: Consumer<KafkaPayload>;
  readonly #moved: () => void;
  readonly #orders: { readonly run: () => void | Promise<void>; readonly done: () => void }[] = [];
  /** Partitions that the test has taken away. */
  readonly #away = new Set<Partition>();
  #callbacks: RebalanceCallbacks = {};
  #interrupt = new AbortController();
  #commitFailure: { readonly error: Error } | undefined;

  constructor(inner: Consumer<KafkaPayload>, moved: () => void) {
    this.#inner = inner;
    this.#moved = moved;
  }

  /** Has something run in the next poll. Resolves when it has; what it throws, the poll throws. */
  order(run: () => void | Promise<void>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#orders.push({ run, done: resolve });
    this.#interrupt.abort();
    return promise;
  }

  /** As if the partitions went to another member, which waits for the drain. */
  revoke(partitions: readonly Partition[], deadline: AbortSignal): Promise<void> {
    return this.order(async () => {
      this.#inner.pause(partitions);
      try {
        await this.#callbacks.onRevoke?.(partitions, deadline);
      } finally {
        for (const partition of partitions) this.#away.add(partition);
      }
    });
  }

  /** As if the group had thrown this member out. */
  lose(partitions: readonly Partition[]): Promise<void> {
    return this.order(async () => {
      this.#inner.pause(partitions);
      for (const partition of partitions) this.#away.add(partition);
      await this.#callbacks.onLost?.(partitions);
    });
  }

  /** As if partitions that were taken away came back, at what the group has committed. */
  assign(offsets: ReadonlyMap<Partition, number>): Promise<void> {
    return this.order(async () => {
      for (const partition of offsets.keys()) this.#away.delete(partition);
      this.#inner.seek(offsets);
      await this.#callbacks.onAssign?.(offsets);
      this.#inner.resume([...offsets.keys()]);
    });
  }

  failCommit(error: Error): void {
    this.#commitFailure = { error };
  }

  get closed(): boolean {
    return this.#inner.closed;
  }

  get memberId(): string {
    return this.#inner.memberId;
  }

  subscribe(topics: TopicSubscription, callbacks: RebalanceCallbacks = {}): void {
    this.#callbacks = callbacks;
    this.#inner.subscribe(topics, callbacks);
  }

  unsubscribe(): void {
    this.#inner.unsubscribe();
  }

  async poll(options: PollOptions = {}): Promise<readonly BrokerMessage<KafkaPayload>[]> {
    for (let order = this.#orders.shift(); order !== undefined; order = this.#orders.shift()) {
      this.#moved();
      try {
        await order.run();
      } finally {
        order.done();
      }
    }
    this.#interrupt = new AbortController();
    const { signal } = this.#interrupt;
    const messages = await this.#inner.poll({
      ...options,
      signal: options.signal === undefined ? signal : AbortSignal.any([signal, options.signal]),
    });
    if (messages.length > 0) this.#moved();
    return messages;
  }

  pause(partitions: readonly Partition[]): void {
    this.#inner.pause(partitions);
  }

  resume(partitions: readonly Partition[]): void {
    this.#inner.resume(partitions);
  }

  paused(): readonly Partition[] {
    return this.#inner.paused().filter((partition) => !this.#away.has(partition));
  }

  tell(): ReadonlyMap<Partition, number> {
    return new Map([...this.#inner.tell()].filter(([partition]) => !this.#away.has(partition)));
  }

  seek(offsets: ReadonlyMap<Partition, number>): void {
    this.#inner.seek(offsets);
  }

  stageOffsets(offsets: ReadonlyMap<Partition, number>): void {
    this.#inner.stageOffsets(new Map([...offsets].filter(([partition]) => !this.#away.has(partition))));
  }

  async commitOffsets(): Promise<ReadonlyMap<Partition, number>> {
    this.#moved();
    const failure = this.#commitFailure;
    this.#commitFailure = undefined;
    if (failure !== undefined) throw failure.error;
    return await this.#inner.commitOffsets();
  }

  async close(timeoutMs?: number): Promise<void> {
    for (const { done } of this.#orders.splice(0)) done();
    await this.#inner.close(timeoutMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
