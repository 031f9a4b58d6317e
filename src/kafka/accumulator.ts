import type { Clock, ClockTimer } from "../clock.ts";
import { ErrorCode, ProducerError } from "../errors.ts";
import type { BatchSettled, Delivery } from "../backend/producer.ts";
import type { KafkaPayload } from "../message/payload.ts";
import { Topic } from "../message/topic.ts";
import { noopMetrics, type Metrics } from "../metrics/metrics.ts";
import type { DeliveredBatch, OutgoingBatch, ProducerCommand } from "./client/producer-protocol.ts";
import type { ResolvedProducerConfig } from "./config.ts";
import { InFlight, type Generation } from "./in-flight.ts";
import { PARTITIONERS, type Partitioner } from "./partitioners.ts";
import { ProducerBatch } from "./producer-batch.ts";
import { ProducerMetrics, type ProducerLoad } from "./producer-metrics.ts";
import { soloBatchSize } from "./records/batch-writer.ts";
import { TopicAccumulator, type PartitionAccumulator } from "./topic-accumulator.ts";
import { WaitingMessages, type WaitingMessage } from "./waiting-messages.ts";

/** The settings that matter here. */
export type AccumulatorConfig = Pick<
  ResolvedProducerConfig,
  | "linger.ms"
  | "batch.size"
  | "batch.num.messages"
  | "message.max.bytes"
  | "message.timeout.ms"
  | "partitioner"
  | "sticky.partitioning.linger.ms"
  | "queue.buffering.max.messages"
  | "queue.buffering.max.kbytes"
>;

export interface AccumulatorOptions {
  readonly config: AccumulatorConfig;
  readonly clock: Clock;
  /** Nowhere by default. */
  readonly metrics?: Metrics | undefined;
  readonly send: (command: ProducerCommand, transfer: readonly ArrayBuffer[]) => void;
}

/**
 * While so many batches of a partition are on their way, another that is not full goes on filling, however long it has
 * lingered: many small batches are slower than few large ones, for the broker as for us.
 */
const MAX_PARTIAL_OUTSTANDING = 2;
/** Timers may be early by less than this. */
const TIMER_SLACK_MS = 1;

/**
 * The main thread's half of a producer: writes messages into batches, one open batch for each partition, hands the batches
 * to the I/O thread when they are full or have lingered, and settles each message's promise when its batch comes back.
 *
 * `produce` is the hottest path of a producer: nothing is made for a message but its promise, and with `enqueue` not even
 * that.
 */
export class Accumulator {
  readonly #config: AccumulatorConfig;
  readonly #clock: Clock;
  readonly #send: AccumulatorOptions["send"];
  readonly #partitioner: Partitioner;
  readonly #maxMessages: number;
  readonly #maxBytes: number;
  readonly #timeoutMs: number;
  readonly #topics = new Map<string, TopicAccumulator>();
  readonly #inFlight = new InFlight();
  readonly #metrics: ProducerMetrics;
  /** Partitions with an open batch, in the order in which the batches were opened. */
  readonly #open = new Set<PartitionAccumulator>();
  readonly #sent = new Map<number, { readonly from: PartitionAccumulator; readonly batch: ProducerBatch }>();
  #nextId = 0;
  #lingerTimer: ClockTimer | undefined;

  constructor({ config, clock, metrics, send }: AccumulatorOptions) {
    this.#config = config;
    this.#clock = clock;
    this.#send = send;
    this.#partitioner = PARTITIONERS[config.partitioner];
    this.#maxMessages = config["queue.buffering.max.messages"] || Infinity;
    this.#maxBytes = config["queue.buffering.max.kbytes"] * 1024;
    this.#timeoutMs = config["message.timeout.ms"] || Infinity;
    this.#metrics = new ProducerMetrics(metrics ?? noopMetrics, clock, () => this.load);
  }

  /** What is on its way. */
  get load(): ProducerLoad {
    const { messages, bytes } = this.#inFlight;
    return { messages, bytes, batches: this.#sent.size };
  }

  /** Messages that are neither delivered nor failed. */
  get inFlight(): number {
    return this.#inFlight.messages;
  }

  /** Takes a message for a topic: for one of its partitions, or for the one that the partitioner chooses (-1). */
  produce(topicName: string, index: number, payload: KafkaPayload): Promise<Delivery> {
    if (this.#isFull) {
      this.#metrics.refused();
      return Promise.reject(this.#queueFull());
    }
    const topic = this.#topics.get(topicName) ?? this.#addTopic(topicName);
    if (topic.partitionCount === 0) {
      topic.request();
      this.#metrics.busy();
      return topic.waiting.push(index, payload);
    }
    return this.#deliver(topic, index, payload, this.#clock.nowMs(), undefined);
  }

  /** Takes a message for a topic without making a promise. undefined, and nothing taken, where only a promise can do. */
  enqueue(
    topicName: string,
    payload: KafkaPayload,
    onSettled: BatchSettled,
  ): ProducerBatch | "full" | undefined {
    if (this.#isFull) {
      this.#metrics.refused();
      return "full";
    }
    const topic = this.#topics.get(topicName);
    if (topic === undefined || topic.partitionCount === 0) return undefined;
    const placed = this.#place(topic, -1, payload, this.#clock.nowMs(), undefined);
    if (placed instanceof ProducerError) return undefined;
    placed.watch(onSettled);
    return placed;
  }

  get #isFull(): boolean {
    return this.#inFlight.messages >= this.#maxMessages || this.#inFlight.bytes >= this.#maxBytes;
  }

  /** The topics that can be produced to. */
  get topics(): readonly string[] {
    return [...this.#topics.values()].filter((topic) => topic.partitionCount > 0).map(({ name }) => name);
  }

  /** Resolves when it is known how many partitions a topic has; rejects when it cannot be used. */
  known(topicName: string): Promise<void> {
    return (this.#topics.get(topicName) ?? this.#addTopic(topicName)).known();
  }

  /** The engine knows a topic, or knows more of it. */
  topic(name: string, partitions: number, leaderless: readonly number[]): void {
    const topic = this.#topics.get(name) ?? this.#addTopic(name);
    topic.setPartitions(partitions, leaderless);
    for (const message of topic.waiting.take()) {
      message.settle(this.#deliver(topic, message.index, message.payload, message.timestampMs, message));
    }
    // What a flush waits for does not linger.
    const { generation } = this.#inFlight;
    const flushed = topic.partitions.filter(
      ({ open }) => open !== undefined && open.generation !== generation,
    );
    this.#dispatch(flushed.map((from) => this.#seal(from)));
  }

  /** Nothing can be sent to a topic. The next message for it asks again. */
  topicFailed(name: string, error: Error): void {
    const topic = this.#topics.get(name);
    if (topic === undefined) return;
    topic.failed(error);
    this.#metrics.failed(topic.waiting.fail(error));
    for (const from of topic.partitions) {
      const batch = from.open;
      if (batch === undefined) continue;
      this.#open.delete(from);
      from.open = undefined;
      this.#fail(batch, error);
    }
  }

  delivered(batches: readonly DeliveredBatch[]): void {
    for (const { id, baseOffset, appendTimeMs } of batches) {
      this.#back(id, (batch) => {
        this.#metrics.delivered(batch.recordCount, batch.producedAtMs);
        batch.delivered(baseOffset, appendTimeMs);
        this.#inFlight.settle(batch.generation, batch.recordCount, batch.recordBytes);
      });
    }
  }

  failed(ids: readonly number[], error: Error): void {
    for (const id of ids) this.#back(id, (batch) => this.#fail(batch, error));
  }

  /** So many batches had to be sent again. */
  retried(batches: number): void {
    this.#metrics.retried(batches);
  }

  /**
   * Sends everything that waits for its batch to fill, and resolves when all that was produced before has been delivered or
   * has failed.
   */
  flush(): Promise<void> {
    this.#dispatch([...this.#open].map((from) => this.#seal(from)));
    return this.#inFlight.settled();
  }

  /** Fails everything that is not settled; nothing comes after that. */
  failAll(error: Error): void {
    this.#lingerTimer?.cancel();
    for (const topic of this.#topics.values()) this.topicFailed(topic.name, error);
    for (const id of [...this.#sent.keys()]) this.#back(id, (batch) => this.#fail(batch, error));
    this.#metrics.close();
  }

  #addTopic(name: string): TopicAccumulator {
    const topic = new TopicAccumulator({
      name: Topic.of(name).name,
      stickyLingerMs: this.#config["sticky.partitioning.linger.ms"],
      waiting: new WaitingMessages(name, this.#inFlight, this.#clock, this.#timeoutMs, (messages) =>
        this.#metrics.failed(messages),
      ),
      request: () => this.#send({ type: "topic", name }, []),
    });
    this.#topics.set(name, topic);
    return topic;
  }

  #deliver(
    topic: TopicAccumulator,
    index: number,
    payload: KafkaPayload,
    timestampMs: number,
    waited: WaitingMessage | undefined,
  ): Promise<Delivery> {
    const placed = this.#place(topic, index, payload, timestampMs, waited);
    if (!(placed instanceof ProducerError)) return placed.lastDelivery();
    this.#metrics.failed(1);
    if (waited !== undefined) this.#inFlight.settle(waited.generation, 1, waited.bytes);
    return Promise.reject(placed);
  }

  /**
   * Puts a message into the open batch of its partition, unless it cannot be sent at all. `waited` says where it was before, if
   * it was.
   */
  #place(
    topic: TopicAccumulator,
    index: number,
    payload: KafkaPayload,
    timestampMs: number,
    waited: WaitingMessage | undefined,
  ): ProducerBatch | ProducerError {
    const { partitionCount } = topic;
    if (index < 0) {
      index = this.#partitioner(payload, partitionCount);
      if (index < 0) index = topic.sticky.choose(partitionCount, topic.leaderless, timestampMs);
    } else if (index >= partitionCount) {
      return new ProducerError(
        `${topic.name} has ${partitionCount} partitions, so none with index ${index}.`,
      );
    }
    const from = topic.partitions[index]!;
    const generation = waited?.generation ?? this.#inFlight.generation;
    let batch = from.open;
    let before = batch === undefined ? 0 : batch.recordBytes;
    if (batch?.generation !== generation || !batch.append(payload, timestampMs)) {
      const size = soloBatchSize(payload);
      const limit = this.#config["message.max.bytes"];
      if (size > limit) {
        const what = `A message for ${from.partition} makes a batch of ${size} bytes`;
        return new ProducerError(`${what}, more than "message.max.bytes" (${limit}) allows.`);
      }
      if (batch !== undefined) this.#dispatch([this.#seal(from)]);
      batch = this.#openBatch(from, generation, waited?.producedAtMs);
      before = 0;
      batch.append(payload, timestampMs);
    }
    const bytes = batch.recordBytes - before;
    if (waited === undefined) this.#inFlight.add(generation, bytes);
    else this.#inFlight.resize(bytes - waited.bytes);
    if (
      batch.length >= this.#config["batch.size"] ||
      batch.recordCount >= this.#config["batch.num.messages"]
    ) {
      this.#dispatch([this.#seal(from)]);
    }
    return batch;
  }

  #openBatch(from: PartitionAccumulator, generation: Generation, producedAtMs?: number): ProducerBatch {
    const nowMs = this.#clock.monotonicMs();
    const batch = new ProducerBatch(
      from.partition,
      generation,
      producedAtMs ?? nowMs,
      this.#config["batch.size"],
      from.expectedBytes,
    );
    from.open = batch;
    from.dueAtMs = nowMs + this.#config["linger.ms"];
    from.isDue = false;
    this.#open.add(from);
    this.#metrics.busy();
    if (this.#lingerTimer === undefined) this.#startLingering(from.dueAtMs - nowMs);
    return batch;
  }

  #startLingering(delayMs: number): void {
    if (delayMs > 0) {
      this.#lingerTimer = this.#clock.setTimeout(() => this.#lingered(), delayMs);
    } else {
      // No timer is as short: what is produced in this turn of the event loop goes together.
      const immediate = setImmediate(() => this.#lingered());
      this.#lingerTimer = { cancel: () => clearImmediate(immediate) };
    }
  }

  #lingered(): void {
    this.#lingerTimer = undefined;
    const nowMs = this.#clock.monotonicMs() + TIMER_SLACK_MS;
    const batches: OutgoingBatch[] = [];
    for (const from of this.#open) {
      if (from.isDue) continue;
      if (from.dueAtMs > nowMs) {
        this.#startLingering(from.dueAtMs - nowMs + TIMER_SLACK_MS);
        break;
      }
      if (from.outstanding >= MAX_PARTIAL_OUTSTANDING) from.isDue = true;
      else batches.push(this.#seal(from));
    }
    this.#dispatch(batches);
  }

  /** Closes the open batch of a partition. */
  #seal(from: PartitionAccumulator): OutgoingBatch {
    const batch = from.open!;
    from.open = undefined;
    from.outstanding++;
    from.expectedBytes = batch.length;
    this.#open.delete(from);
    const id = this.#nextId++;
    this.#sent.set(id, { from, batch });
    const { topic, index } = from.partition;
    const age = this.#clock.monotonicMs() - batch.producedAtMs;
    return { id, topic: topic.name, index, ...batch.finish(), timeoutMs: this.#timeoutMs - age };
  }

  #dispatch(batches: readonly OutgoingBatch[]): void {
    if (batches.length === 0) return;
    this.#send(
      { type: "batches", batches },
      batches.map(({ buffer }) => buffer),
    );
  }

  /** A batch has come back. */
  #back(id: number, settle: (batch: ProducerBatch) => void): void {
    const sent = this.#sent.get(id);
    if (sent === undefined) return;
    this.#sent.delete(id);
    const { from, batch } = sent;
    from.outstanding--;
    settle(batch);
    if (from.isDue && from.open !== undefined && from.outstanding < MAX_PARTIAL_OUTSTANDING) {
      this.#dispatch([this.#seal(from)]);
    }
  }

  #fail(batch: ProducerBatch, error: Error): void {
    batch.failed(error);
    this.#metrics.failed(batch.recordCount);
    this.#inFlight.settle(batch.generation, batch.recordCount, batch.recordBytes);
  }

  #queueFull(): ProducerError {
    const { messages, bytes } = this.#inFlight;
    return new ProducerError(
      `The producer's queue is full: ${messages} messages with ${bytes} bytes are in flight. Wait for deliveries, or ` +
        'raise "queue.buffering.max.messages" or "queue.buffering.max.kbytes".',
      { code: ErrorCode.PRODUCER_QUEUE_FULL },
    );
  }
}
