import { randomBytes } from "node:crypto";
import { after, test } from "node:test";
import type { TestContext } from "node:test";
import { Admin } from "@platformatic/kafka";
import {
  LISTENERS,
  NO_KAFKA,
  SHARED_KAFKA,
  startKafka,
  type Kafka,
  type KafkaOptions,
  type Listener,
} from "./broker.ts";
import { missingTools } from "./kafka-jars.ts";

/**
 * How test files come to a Kafka. `npm test` starts one for all of them (see global-setup.ts); a file that is run on its
 * own starts one for itself; who has a cluster sets KAFKA_BOOTSTRAP_SERVERS.
 */

type Servers = Readonly<Record<Listener, string>>;

let own: Promise<Kafka> | undefined;

/** The servers of each listener, of a Kafka that the tests have started. */
async function ownServers(): Promise<Servers> {
  const shared = process.env[SHARED_KAFKA];
  if (shared !== undefined) return JSON.parse(shared) as Servers;
  own ??= startKafka();
  const kafka = await own;
  return Object.fromEntries(LISTENERS.map((listener) => [listener, kafka.servers(listener)])) as Servers;
}

async function plainServers(): Promise<string> {
  return process.env["KAFKA_BOOTSTRAP_SERVERS"] ?? (await ownServers()).PLAINTEXT;
}

/** What a Kafka test is given, on top of node:test's context. */
export class KafkaTest {
  readonly bootstrapServers: string;
  readonly admin: Admin;
  /** Each asks one of the servers, and the others only when that one is away. */
  readonly #views: readonly Admin[];

  constructor(bootstrapServers: string) {
    this.bootstrapServers = bootstrapServers;
    const servers = bootstrapServers.split(",");
    this.admin = adminOf(servers);
    this.#views = servers.length === 1 ? [this.admin] : servers.map((server) => adminOf([server]));
  }

  /** A name that no other test has, for a topic or a group. */
  name(prefix: string): string {
    return `${prefix}-${randomBytes(5).toString("hex")}`;
  }

  /**
   * Makes a topic, waits until every broker knows it and each of its partitions has a leader that serves it, and gives its
   * name back. Otherwise the producer that fills it takes the partitions that it sees for all, and sends a request again as a
   * whole, so that some of what it writes may be there twice; or it writes to the topic that had the name before.
   */
  async createTopic(
    options: {
      readonly name?: string | undefined;
      readonly partitions?: number | undefined;
      readonly replicas?: number | undefined;
      readonly configs?: Readonly<Record<string, string>> | undefined;
    } = {},
  ): Promise<string> {
    const name = options.name ?? this.name("topic");
    const [created] = await this.admin.createTopics({
      topics: [name],
      partitions: options.partitions ?? 1,
      replicas: options.replicas ?? 1,
      configs: Object.entries(options.configs ?? {}).map(([key, value]) => ({ name: key, value })),
    });
    for (;;) if (await this.#isReady(name, created!.id, options.partitions ?? 1)) return name;
  }

  async #isReady(name: string, id: string, partitions: number): Promise<boolean> {
    try {
      for (const view of this.#views) {
        const known = (await view.metadata({ topics: [name], forceUpdate: true })).topics.get(name);
        if (known?.id !== id || known.partitionsCount !== partitions) return false;
      }
      return (await this.endOffsets(name, partitions)).size === partitions;
    } catch {
      // Not yet.
      return false;
    }
  }

  /** Deletes everything before an offset, as retention would. */
  async deleteRecords(topic: string, partition: number, beforeOffset: number): Promise<void> {
    await this.admin.deleteRecords({
      topics: [{ name: topic, partitions: [{ partition, offset: BigInt(beforeOffset) }] }],
    });
  }

  /** Partition index to end offset (the next to be written). */
  async endOffsets(topic: string, partitions: number): Promise<Map<number, number>> {
    const [listed] = await this.admin.listOffsets({
      topics: [
        {
          name: topic,
          partitions: Array.from({ length: partitions }, (_, partitionIndex) => ({
            partitionIndex,
            timestamp: -1n,
          })),
        },
      ],
    });
    return new Map(listed?.partitions.map(({ partitionIndex, offset }) => [partitionIndex, Number(offset)]));
  }

  /** Partition index to committed offset, of what the group has committed in the topic. */
  async committedOffsets(group: string, topic: string): Promise<Map<number, number>> {
    const [listed] = await this.admin.listConsumerGroupOffsets({ groups: [group] });
    const partitions = listed?.topics.find(({ name }) => name === topic)?.partitions ?? [];
    return new Map(
      partitions
        .filter(({ committedOffset }) => committedOffset >= 0n)
        .map(({ partitionIndex, committedOffset }) => [partitionIndex, Number(committedOffset)]),
    );
  }

  async close(): Promise<void> {
    await Promise.all(Array.from(new Set([this.admin, ...this.#views]), (admin) => admin.close()));
  }
}

/** A request that is sent again because its answer is late may have been done already: they have long. */
function adminOf(servers: readonly string[]): Admin {
  return new Admin({
    clientId: "arroyo-test",
    bootstrapBrokers: [...servers],
    retries: 5,
    timeout: 25_000,
    connectTimeout: 25_000,
  });
}

/** Why no Kafka can be had, if so. Only one that the tests have started has TLS and SASL, and can be killed. */
async function unavailable(mustBeOwn: boolean, version?: string): Promise<string | undefined> {
  // It has to be fetched first, unless it was before.
  if (version !== undefined) return process.env[NO_KAFKA] ?? (await missingTools(version));
  if (process.env[SHARED_KAFKA] !== undefined) return undefined;
  if (!mustBeOwn && process.env["KAFKA_BOOTSTRAP_SERVERS"] !== undefined) return undefined;
  return process.env[NO_KAFKA] ?? (await missingTools());
}

const notice = (why: string): string =>
  `NOT RUN: it needs a real Kafka, and ${why}. Install a JDK (Java 17) and Maven, or set KAFKA_BOOTSTRAP_SERVERS.`;

async function withoutKafka(t: TestContext, mustBeOwn: boolean, version?: string): Promise<boolean> {
  const why = await unavailable(mustBeOwn, version);
  if (why === undefined) return false;
  if (process.env["CI"] === "true") throw new Error(notice(why));
  process.stderr.write(`\n*** ${t.name}\n*** ${notice(why)}\n\n`);
  t.skip(notice(why));
  return true;
}

let shared: Promise<KafkaTest> | undefined;
let cleanedUp = false;

/** Only in files that have Kafka tests: whoever merely imports this gets no hook. */
function cleanUpAtTheEnd(): void {
  if (cleanedUp) return;
  cleanedUp = true;
  after(async () => {
    await (await shared)?.close();
    await (await own)?.stop();
  });
}

/** What is tested has no timers that keep a process alive, as a test must be while it waits for them. */
async function keepingAlive(run: () => Promise<void>): Promise<void> {
  const timer = setInterval(() => {}, 2 ** 30);
  try {
    await run();
  } finally {
    clearInterval(timer);
  }
}

/** What Kafka may take to start, where a file runs alone and its first test waits for it: a busy machine is slow. */
const START_MS = 60_000;

/** How long a test may take that says nothing else: many times what any does, since it is only for those that hang. */
const TEST_MS = 120_000;

/** A test's own time, and that of a start which may come before it. */
function withStart(timeoutMs: number): number {
  return process.env[SHARED_KAFKA] === undefined ? timeoutMs + START_MS : timeoutMs;
}

/** A test on the Kafka that all tests share: it makes its own topics and groups. `java`: it starts Java itself. */
export function kafkaTest(
  name: string,
  run: (kafka: KafkaTest, t: TestContext) => Promise<void>,
  options: { readonly timeout?: number | undefined; readonly java?: boolean | undefined } = {},
): void {
  cleanUpAtTheEnd();
  void test(name, { timeout: withStart(options.timeout ?? TEST_MS) }, async (t) => {
    if (await withoutKafka(t, options.java ?? false)) return;
    shared ??= plainServers().then((servers) => new KafkaTest(servers));
    const kafka = await shared;
    await keepingAlive(() => run(kafka, t));
  });
}

/** A test on the listeners with TLS and SASL of the Kafka that all tests share. */
export function securedKafkaTest(
  name: string,
  run: (servers: (listener: Listener) => string, t: TestContext) => Promise<void>,
): void {
  cleanUpAtTheEnd();
  void test(name, { timeout: withStart(TEST_MS) }, async (t) => {
    if (await withoutKafka(t, true)) return;
    const servers = await ownServers();
    await keepingAlive(() => run((listener) => servers[listener], t));
  });
}

/** A test that has a Kafka to itself, to stop and kill its brokers. */
export function ownKafkaTest(
  name: string,
  kafkaOptions: KafkaOptions,
  run: (kafka: KafkaTest, brokers: Kafka, t: TestContext) => Promise<void>,
  options: { readonly timeout?: number | undefined } = {},
): void {
  void test(name, { timeout: options.timeout ?? 2 * TEST_MS }, async (t) => {
    if (await withoutKafka(t, true, kafkaOptions.version)) return;
    await using brokers = await startKafka(kafkaOptions);
    const kafka = new KafkaTest(brokers.bootstrapServers);
    try {
      await keepingAlive(() => run(kafka, brokers, t));
    } finally {
      await kafka.close();
    }
  });
}
