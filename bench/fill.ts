import { Admin, Connection, createRecordsBatch, produceV10, Writer } from "@platformatic/kafka";
import { monotonicMs } from "./programs/clock.ts";

/** A topic to measure on. */
export interface BenchTopic {
  readonly name: string;
  readonly partitions: number;
  readonly messages: number;
  readonly codec: "none" | "lz4" | "zstd";
  /** The value of message i. Some hundred batches of different ones are made, and written over and over. */
  readonly value: (i: number) => Buffer;
}

/** As librdkafka fills its batches when they are set to 256 kB, which the peers' topics were written with. */
const BATCH_BYTES = 262_144;
const MOST_BATCH_MESSAGES = 2_000;
const DISTINCT_BATCHES = 24;
const IN_FLIGHT = 4;
/** A thousand partitions take a while to get their leaders. */
const PATIENCE_MS = 60_000;

/** A connection to the broker, which is made anew when it has broken: on a busy machine that happens. */
class Link {
  readonly #host: string;
  readonly #port: number;
  readonly #maxInflights: number;
  #connection: Promise<Connection> | undefined;

  constructor(bootstrapServers: string, maxInflights: number) {
    const [host = "", port = ""] = bootstrapServers.split(":");
    this.#host = host;
    this.#port = Number(port);
    this.#maxInflights = maxInflights;
  }

  connection(): Promise<Connection> {
    return (this.#connection ??= this.#connect());
  }

  async close(): Promise<void> {
    await (await this.#connection)?.close();
  }

  async #connect(): Promise<Connection> {
    const connection = new Connection("arroyo-bench", { maxInflights: this.#maxInflights });
    const broken = (): void => (this.#connection = undefined);
    connection.on("error", broken).on("close", broken);
    try {
      await connection.connect(this.#host, this.#port);
    } catch (error) {
      broken();
      throw error;
    }
    return connection;
  }
}

/** Makes the topics and fills them: whole batches, encoded once, so that it takes seconds. */
export async function fillTopics(bootstrapServers: string, topics: readonly BenchTopic[]): Promise<void> {
  const admin = new Admin({ clientId: "arroyo-bench", bootstrapBrokers: [bootstrapServers] });
  const link = new Link(bootstrapServers, IN_FLIGHT);
  for (const topic of topics) {
    await admin.createTopics({ topics: [topic.name], partitions: topic.partitions, replicas: 1 });
    await fillTopic(link, topic);
  }
  await link.close();
  await admin.close();
}

/** One message after the other, each with the time as its value, as long as the process lives. */
export function feedTopic(bootstrapServers: string, topic: string, everyMs: number): void {
  const link = new Link(bootstrapServers, 100);
  setInterval(() => {
    const message = { topic, value: Buffer.from(monotonicMs().toFixed(3)), timestamp: BigInt(Date.now()) };
    // One that fails is missing from the figures, no more.
    produce(link, topic, 0, createRecordsBatch([message]).buffer).catch(() => {});
  }, everyMs);
}

async function fillTopic(link: Link, topic: BenchTopic): Promise<void> {
  const perBatch = Math.min(MOST_BATCH_MESSAGES, Math.floor(BATCH_BYTES / topic.value(0).length));
  const batches = Array.from({ length: DISTINCT_BATCHES }, (_, batch) => encode(topic, batch, perBatch));
  const under = new Set<Promise<void>>();
  let partition = 0;
  for (let written = 0, batch = 0; written < topic.messages; written += perBatch, batch++) {
    const bytes = batches[batch % batches.length] as Buffer;
    const sent = retried(link, topic.name, partition++ % topic.partitions, bytes).finally(() =>
      under.delete(sent),
    );
    under.add(sent);
    if (under.size >= IN_FLIGHT) await Promise.race(under);
  }
  await Promise.all(under);
}

function encode(topic: BenchTopic, batch: number, size: number): Buffer {
  const messages = Array.from({ length: size }, (_, i) => ({
    topic: topic.name,
    key: Buffer.from(String(i % 1_000)),
    value: topic.value(batch * size + i),
    timestamp: BigInt(Date.now()),
  }));
  return createRecordsBatch(messages, { compression: topic.codec }).buffer;
}

/** A partition that was just made may have no leader for a while. */
async function retried(link: Link, topic: string, partition: number, bytes: Buffer): Promise<void> {
  const untilMs = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      await produce(link, topic, partition, bytes);
      return;
    } catch (error) {
      if (performance.now() > untilMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

async function produce(link: Link, topic: string, partition: number, bytes: Buffer): Promise<void> {
  const request = (): Writer =>
    Writer.create()
      .appendString(null)
      .appendInt16(-1)
      .appendInt32(30_000)
      .appendArray([topic], (topics) => {
        topics.appendString(topic).appendArray([partition], (partitions) => {
          partitions
            .appendInt32(partition)
            .appendUnsignedVarInt(bytes.length + 1)
            .append(bytes);
        });
      })
      .appendTaggedFields();
  const connection = await link.connection();
  await new Promise<void>((resolve, reject) => {
    const { key, version } = produceV10.api;
    connection.send(key, version, request, produceV10.parseResponse, true, true, (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
}
