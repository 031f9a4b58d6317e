import { MockClock } from "../../../src/testing/mock-clock.ts";
import {
  Fetcher,
  type FetcherEvents,
  type FetchFailure,
  type FetchOutOfRange,
  type FetchUnknownTopic,
} from "../../../src/kafka/client/fetcher.ts";
import type { FetchedRecords, FetchProgress } from "../../../src/kafka/client/protocol.ts";
import type { Leader } from "../../../src/kafka/client/metadata.ts";
import { resolveConsumerConfig, type KafkaConsumerConfig } from "../../../src/kafka/config.ts";
import { RecordDecoder } from "../../../src/kafka/records/record-decoder.ts";
import type { BrokerMessage } from "../../../src/message/message.ts";
import { Partition } from "../../../src/message/partition.ts";
import type { KafkaPayload } from "../../../src/message/payload.ts";
import type { LogFields } from "../../../src/logger.ts";
import { ScriptedCluster, type ScriptedCall } from "./scripted-cluster.ts";

export interface LogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly fields: LogFields;
  readonly message: string;
}

/** Lets everything run that does not wait for time or for an answer. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** What records say when they are read as a user reads them: `offset:value`. */
export function messagesOf(fetched: FetchedRecords): string[] {
  const decoder = new RecordDecoder(Partition.of(fetched.topic, fetched.index), fetched);
  const messages: BrokerMessage<KafkaPayload>[] = [];
  while (!decoder.next(1_000, messages)) continue;
  return messages.map((message) => `${message.offset}:${message.payload.text()}`);
}

/** A Fetcher on a scripted cluster with a clock that stands still, and everything that it has told. */
export class FetchHarness implements Disposable {
  readonly clock: MockClock = new MockClock();
  readonly cluster: ScriptedCluster;
  readonly fetcher: Fetcher;
  readonly logs: LogLine[] = [];
  readonly records: FetchedRecords[] = [];
  readonly progress: FetchProgress[] = [];
  readonly outOfRange: FetchOutOfRange[] = [];
  readonly failed: FetchFailure[] = [];
  readonly unknownTopics: FetchUnknownTopic[] = [];
  /** Called with each event, after it was noted. */
  onEvent: (event: keyof FetcherEvents) => void = () => {};

  constructor(
    leaders: readonly (Leader | undefined)[] = [{ nodeId: 1, leaderEpoch: 5 }],
    config: Partial<KafkaConsumerConfig> = {},
  ) {
    this.cluster = new ScriptedCluster(leaders);
    const log =
      (level: LogLine["level"]) =>
      (fields: LogFields, message: string): void => {
        this.logs.push({ level, fields, message });
      };
    const note =
      <T>(event: keyof FetcherEvents, into: T[]) =>
      (value: T): void => {
        into.push(value);
        this.onEvent(event);
      };
    this.fetcher = new Fetcher({
      cluster: this.cluster,
      config: resolveConsumerConfig({
        "bootstrap.servers": "127.0.0.1:9092",
        "group.id": "tests",
        ...config,
      } as KafkaConsumerConfig),
      clock: this.clock,
      logger: { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") },
      events: {
        records: note("records", this.records),
        progress: note("progress", this.progress),
        outOfRange: note("outOfRange", this.outOfRange),
        failed: note("failed", this.failed),
        unknownTopic: note("unknownTopic", this.unknownTopics),
      },
    });
  }

  /** Starts partitions of the topic `orders` at an offset. */
  start(
    offsets: Readonly<Record<number, number>>,
    options: { epoch?: number; leaderEpoch?: number; topicId?: string } = {},
  ): void {
    const { epoch = 1, leaderEpoch = -1, topicId } = options;
    this.fetcher.start(
      Object.entries(offsets).map(([index, offset]) => ({
        topic: "orders",
        index: Number(index),
        offset,
        leaderEpoch,
        epoch,
        topicId,
      })),
    );
  }

  /** The same, up to where the broker has nothing to send and keeps the request. */
  async startAtEnd(
    offsets: Readonly<Record<number, number>>,
    options: { epoch?: number; leaderEpoch?: number } = {},
  ): Promise<ScriptedCall> {
    this.start(offsets, options);
    const first = await this.next();
    first.answer(
      Object.entries(offsets).map(([index, highWatermark]) => ({ index: Number(index), highWatermark })),
    );
    return await this.next();
  }

  async next(): Promise<ScriptedCall> {
    return await this.cluster.next();
  }

  /** Turns the clock, and lets everything run before and after. */
  async advance(ms: number): Promise<void> {
    await settle();
    this.clock.advance(ms);
    await settle();
  }

  /** What was handed over for a partition, as `offset:value`. */
  messages(index: number = 0): string[] {
    return this.records.filter((fetched) => fetched.index === index).flatMap(messagesOf);
  }

  /** What was logged at `warn` and above. */
  get warnings(): string[] {
    return this.logs
      .filter(({ level }) => level === "warn" || level === "error")
      .map(({ message }) => message);
  }

  [Symbol.dispose](): void {
    this.fetcher.close();
  }
}
