import type {
  Consumer,
  PollOptions,
  RebalanceCallbacks,
  TopicSubscription,
} from "../../src/backend/consumer.ts";
import { InvalidStateError } from "../../src/errors.ts";
import { BrokerMessage } from "../../src/message/message.ts";
import type { Partition } from "../../src/message/partition.ts";

/**
 * A consumer whose group is the test: it assigns, revokes and loses partitions, and can be made to fail or to hang.
 * It keeps a log per partition, so that a seek delivers again what was there.
 */
export class FakeConsumer<T> implements Consumer<T> {
  readonly memberId: string = "member-1";
  readonly calls: string[] = [];
  readonly polls: PollOptions[] = [];
  /** What the broker has acknowledged. */
  readonly committed: Map<Partition, number> = new Map();
  /** Every commit that was acknowledged, in order, as `partition:offset` pairs. */
  readonly commits: string[] = [];
  subscription: TopicSubscription | undefined;
  /** Thrown by the next poll. */
  pollError: Error | undefined;
  /** Called by each commit before it is acknowledged. */
  onCommit: (() => Promise<void> | void) | undefined;
  /** Called by close. */
  onClose: (() => Promise<void> | void) | undefined;
  /** A poll that neither times out nor looks at its signal. */
  hangs = false;
  /** The callback of the group that ran last, as long as it runs. */
  callback: Promise<void> | undefined;
  closed = false;
  #callbacks: RebalanceCallbacks = {};
  readonly #events: (() => Promise<void>)[] = [];
  readonly #logs = new Map<Partition, BrokerMessage<T>[]>();
  readonly #positions = new Map<Partition, number>();
  #staged = new Map<Partition, number>();
  #wake: (() => void) | undefined;
  #polling = false;
  #inRevoke = false;

  /** Appends to the log of a partition. */
  send(partition: Partition, ...payloads: T[]): void {
    for (const payload of payloads) this.sendAt(partition, 1_000, payload);
  }

  sendAt(partition: Partition, timestampMs: number | undefined, payload: T): void {
    const log = this.#logs.get(partition) ?? [];
    this.#logs.set(partition, log);
    log.push(new BrokerMessage(payload, partition, log.length, timestampMs));
    this.#wake?.();
  }

  assign(...partitions: Partition[]): void {
    void this.#event(async () => {
      const offsets = new Map(partitions.map((partition) => [partition, this.committed.get(partition) ?? 0]));
      for (const [partition, offset] of offsets) this.#positions.set(partition, offset);
      await this.#callbacks.onAssign?.(offsets);
    });
  }

  /** Resolves when the hand-over is done. */
  revoke(
    partitions: readonly Partition[],
    deadline: AbortSignal = new AbortController().signal,
  ): Promise<void> {
    return this.#event(async () => {
      this.#inRevoke = true;
      try {
        await this.#callbacks.onRevoke?.(partitions, deadline);
      } finally {
        this.#inRevoke = false;
        for (const partition of partitions) this.#positions.delete(partition);
      }
    });
  }

  /** At once when a revocation is under way, as Kafka does it. */
  async lose(...partitions: Partition[]): Promise<void> {
    const lose = async (): Promise<void> => {
      for (const partition of partitions) this.#positions.delete(partition);
      await this.#callbacks.onLost?.(partitions);
    };
    if (this.#inRevoke) await lose();
    else await this.#event(lose);
  }

  subscribe(topics: TopicSubscription, callbacks: RebalanceCallbacks = {}): void {
    this.calls.push("subscribe");
    this.subscription = topics;
    this.#callbacks = callbacks;
  }

  unsubscribe(): void {
    this.calls.push("unsubscribe");
  }

  async poll(options: PollOptions = {}): Promise<readonly BrokerMessage<T>[]> {
    this.polls.push(options);
    if (this.closed) throw new InvalidStateError("poll() after close()");
    if (this.#polling) throw new InvalidStateError("poll() is running already");
    this.#polling = true;
    try {
      if (this.hangs) await new Promise(() => {});
      for (;;) {
        for (let event = this.#events.shift(); event !== undefined; event = this.#events.shift())
          await event();
        if (this.pollError !== undefined) {
          const error = this.pollError;
          this.pollError = undefined;
          throw error;
        }
        const messages = this.#take(options.maxMessages ?? 1_000);
        if (messages.length > 0 || (options.timeoutMs ?? 0) <= 0 || options.signal?.aborted !== false) {
          return messages;
        }
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#wake = resolve;
        options.signal.addEventListener("abort", () => resolve(), { once: true });
        await promise;
      }
    } finally {
      this.#polling = false;
    }
  }

  pause(): void {}

  resume(): void {}

  paused(): readonly Partition[] {
    return [];
  }

  tell(): ReadonlyMap<Partition, number> {
    return new Map(this.#positions);
  }

  seek(offsets: ReadonlyMap<Partition, number>): void {
    for (const [partition, offset] of offsets) {
      if (!this.#positions.has(partition)) throw new InvalidStateError(`seek: ${partition} is not assigned`);
      this.calls.push(`seek ${partition.index}:${offset}`);
      this.#positions.set(partition, offset);
    }
  }

  /** Set by tests of a consumer that can read a message again. */
  reread?: (partition: Partition, offset: number) => Promise<BrokerMessage<T>>;

  /** What lies in the log. */
  logged(partition: Partition, offset: number): BrokerMessage<T> {
    return this.#logs.get(partition)![offset]!;
  }

  stageOffsets(offsets: ReadonlyMap<Partition, number>): void {
    for (const [partition, offset] of offsets) {
      if (this.#positions.has(partition)) this.#staged.set(partition, offset);
    }
  }

  async commitOffsets(): Promise<ReadonlyMap<Partition, number>> {
    const staged = this.#staged;
    this.#staged = new Map();
    await this.onCommit?.();
    for (const [partition, offset] of staged) this.committed.set(partition, offset);
    if (staged.size > 0) {
      this.commits.push([...staged].map(([partition, offset]) => `${partition.index}:${offset}`).join(", "));
    }
    return staged;
  }

  async close(): Promise<void> {
    this.calls.push("close");
    this.closed = true;
    await this.onClose?.();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #take(maxMessages: number): BrokerMessage<T>[] {
    const messages: BrokerMessage<T>[] = [];
    for (const [partition, position] of this.#positions) {
      const found = (this.#logs.get(partition) ?? []).slice(
        position,
        position + maxMessages - messages.length,
      );
      messages.push(...found);
      this.#positions.set(partition, position + found.length);
    }
    return messages;
  }

  #event(run: () => Promise<void>): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    promise.catch(() => {});
    this.#events.push(() => {
      this.callback = run();
      this.callback.then(resolve, reject);
      return this.callback;
    });
    this.#wake?.();
    return promise;
  }
}
