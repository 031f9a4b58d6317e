import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { COMMON_SETTINGS } from "../../src/kafka/config-common.ts";
import { CONSUMER_SETTINGS } from "../../src/kafka/config-consumer.ts";
import { PRODUCER_SETTINGS } from "../../src/kafka/config-producer.ts";
import type { SettingTable } from "../../src/kafka/config-setting.ts";
import { UNSUPPORTED_SETTINGS } from "../../src/kafka/config-unsupported.ts";
import { resolveConsumerConfig, resolveProducerConfig } from "../../src/kafka/config.ts";
import { Cluster } from "../../src/kafka/client/cluster.ts";
import { systemClock } from "../../src/clock.ts";
import { ConfigurationError } from "../../src/errors.ts";
import { silentLogger } from "../../src/logger.ts";
import { PARTITIONERS } from "../../src/kafka/partitioners.ts";
import { KafkaPayload } from "../../src/message/payload.ts";
import { FakeBroker, metadataBody } from "./client/fake-broker.ts";
import { AccumulatorHarness } from "./producer/accumulator-harness.ts";

const TESTS = new URL("../", import.meta.url);

/** A test: its file and a part of its title that no other line of the file has as a title. */
type Proof = readonly [file: string, title: string];

const SECURITY = "kafka/client/security.test.ts";
const CLUSTER = "kafka/client/cluster.test.ts";
const LIMITS = "kafka/client/fetch-limits-kafka.test.ts";
const CONSUMER = "kafka/consumer.test.ts";
const ACCUMULATOR = "kafka/producer/accumulator.test.ts";
const SENDER = "kafka/producer/sender.test.ts";
const HERE = "kafka/config-coverage.test.ts";

const PASSWORD: Proof = [SECURITY, "the right password is taken, a wrong one is not"];
const AUTHORITY: Proof = [SECURITY, "the authority can be given as a file, a folder or text"];
const CERTIFICATE: Proof = [SECURITY, "a client certificate is sent, with a key that has a passphrase"];
const PAIR: Proof = ["config/security.test.ts", "certificate and key belong together, file and text"];
const TOKEN: Proof = ["kafka/oauthbearer-kafka.test.ts", "sessions that end every two seconds"];
const ASKED: Proof = ["kafka/client/fetcher.test.ts", "a partition is asked for by topic id"];
const LEFT_ALONE: Proof = [CLUSTER, "a broker that cannot be connected to fails each call, is left alone"];
const GROWING_WAITS: Proof = [SENDER, "the waits between tries grow"];
const FIXED: Proof = ["config/config.test.ts", "a key that has one possible value takes that one"];
const SENT: Proof = [SENDER, "the batches of all partitions of a leader go in one request"];
const NOT_LINGERING: Proof = [ACCUMULATOR, "a batch that is full by size or number does not linger"];
const FULL: Proof = [ACCUMULATOR, "a full queue refuses new messages by number and by bytes"];
const STORED: Proof = [CONSUMER, "auto commit: the I/O side commits what was stored, on its own time"];
const ON_THE_WIRE: Proof = [HERE, "the client's name, and whether topics may be made, are in each request"];

/** What shows that a setting has its effect. */
const PROOFS: Readonly<Record<string, Proof>> = {
  "bootstrap.servers": [
    CLUSTER,
    "a refresh learns brokers, topics and leaders from whichever bootstrap server",
  ],
  "client.id": ON_THE_WIRE,
  "client.rack": ASKED,
  "security.protocol": PASSWORD,
  "sasl.mechanism": PASSWORD,
  "sasl.username": PASSWORD,
  "sasl.password": PASSWORD,
  oauthbearer_token_refresh_cb: TOKEN,
  "sasl.oauthbearer.config": TOKEN,
  "ssl.ca.location": AUTHORITY,
  "ssl.ca.pem": AUTHORITY,
  "ssl.certificate.location": CERTIFICATE,
  "ssl.certificate.pem": PAIR,
  "ssl.key.location": CERTIFICATE,
  "ssl.key.pem": PAIR,
  "ssl.key.password": CERTIFICATE,
  "enable.ssl.certificate.verification": [
    SECURITY,
    "a broker that the authority does not vouch for is refused",
  ],
  "ssl.endpoint.identification.algorithm": [SECURITY, "the certificate must be for the host, unless"],
  "socket.timeout.ms": [CLUSTER, "a metadata request that fails is sent again to a broker that answers"],
  "socket.connection.setup.timeout.ms": [HERE, "a server that says nothing has as long as the settings say"],
  "reconnect.backoff.ms": LEFT_ALONE,
  "reconnect.backoff.max.ms": LEFT_ALONE,
  "retry.backoff.ms": GROWING_WAITS,
  "retry.backoff.max.ms": GROWING_WAITS,
  "topic.metadata.refresh.interval.ms": [CLUSTER, "metadata is refreshed by itself in the interval"],
  "statistics.interval.ms": [
    "kafka/statistics.test.ts",
    "the engine tells statistics only when it is asked to",
  ],
  "receive.message.max.bytes": [
    LIMITS,
    'a batch above "receive.message.max.bytes" fails its partition alone',
  ],

  "group.id": [CONSUMER, "two members share the partitions"],
  "group.instance.id": ["kafka/group/static-kafka.test.ts", "a static member that comes back in time"],
  "partition.assignment.strategy": [
    "kafka/e2e/cooperative.test.ts",
    "members that join and leave in the middle of work",
  ],
  "session.timeout.ms": [
    "kafka/e2e/blocked-main-thread.test.ts",
    "blocked for longer than session.timeout.ms",
  ],
  "heartbeat.interval.ms": [
    "kafka/e2e/blocked-main-thread.test.ts",
    "blocked for longer than session.timeout.ms",
  ],
  "max.poll.interval.ms": [
    "kafka/e2e/blocked-main-thread.test.ts",
    "blocked for longer than max.poll.interval.ms",
  ],
  "auto.offset.reset": [CONSUMER, "without a committed offset the reset policy decides"],
  "arroyo.strict.offset.reset": [CONSUMER, "an offset that retention has passed is an error, or follows"],
  "isolation.level": [
    "kafka/client/transactions-kafka.test.ts",
    "what an open transaction has begun is the end",
  ],
  "enable.partition.eof": [CONSUMER, "the ends of partitions are told when asked for"],
  "fetch.wait.max.ms": [LIMITS, 'a broker waits for "fetch.min.bytes", but no longer than'],
  "fetch.min.bytes": [LIMITS, 'a broker waits for "fetch.min.bytes", but no longer than'],
  "fetch.max.bytes": [LIMITS, '"max.partition.fetch.bytes" and "fetch.max.bytes" bound what an answer'],
  "max.partition.fetch.bytes": [
    LIMITS,
    '"max.partition.fetch.bytes" and "fetch.max.bytes" bound what an answer',
  ],
  "queued.max.messages.kbytes": [
    "kafka/client/fetcher.test.ts",
    "what is prefetched stays within the budget",
  ],
  "arroyo.collect.young.garbage": [CONSUMER, "what messages leave behind is collected when it is due"],
  "arroyo.enable.auto.commit": STORED,
  "auto.commit.interval.ms": STORED,
  "allow.auto.create.topics": ON_THE_WIRE,
  "enable.auto.commit": FIXED,
  "enable.auto.offset.store": FIXED,
  "check.crcs": FIXED,
  "group.protocol": ["kafka/group/consumer-group-kafka.test.ts", "a classic group becomes one of KIP-848"],
  "group.remote.assignor": ["kafka/group/consumer-group-kafka.test.ts", "group.remote.assignor chooses"],

  acks: SENT,
  "enable.idempotence": ["kafka/producer/idempotence.test.ts", "without idempotence no id is asked for"],
  "linger.ms": [ACCUMULATOR, "messages linger, then go out together"],
  "batch.size": NOT_LINGERING,
  "batch.num.messages": NOT_LINGERING,
  "compression.type": ["kafka/producer/producer.test.ts", "the broker accepts batches with compression.type"],
  partitioner: [HERE, "the partitioner is the one that was asked for"],
  "sticky.partitioning.linger.ms": [ACCUMULATOR, "messages without a key share a partition"],
  "message.max.bytes": [ACCUMULATOR, "a message that no batch may hold is refused"],
  "queue.buffering.max.messages": FULL,
  "queue.buffering.max.kbytes": FULL,
  "message.timeout.ms": [ACCUMULATOR, "with no broker to ask, messages fail after message.timeout.ms"],
  "request.timeout.ms": SENT,
  retries: [SENDER, "after so many retries a batch fails"],
  "max.in.flight.requests.per.connection": [SENDER, "requests are limited in size and in number"],
};

const TABLE: SettingTable = { ...COMMON_SETTINGS, ...CONSUMER_SETTINGS, ...PRODUCER_SETTINGS };
const SERVERS = { "bootstrap.servers": "127.0.0.1:1" };

describe("the configuration", () => {
  it("has a test for the effect of every setting, and none of a setting that is not there", () => {
    assert.deepEqual(Object.keys(PROOFS).sort(), Object.keys(TABLE).sort());
    for (const [key, [file, title]] of Object.entries(PROOFS)) {
      const text = readFileSync(new URL(file, TESTS), "utf8");
      const titles = [...text.matchAll(/\b(?:it|\w*[tT]est)\(\s*(["'`])(.*?)\1\s*,/gs)].map(
        ([, , found]) => found!,
      );
      const own = file === HERE || titles.some((found) => found.includes(title));
      assert.ok(own && text.includes(title), `${key}: ${file} has no test with the title "${title}"`);
    }
  });

  it("refuses every setting that does nothing here, on both sides, with what to do instead", () => {
    const seen = new Set<string>();
    for (const { keys, why } of UNSUPPORTED_SETTINGS) {
      for (const key of keys) {
        assert.ok(!seen.has(key), `${key} is there twice`);
        assert.ok(!(key in TABLE), `${key} is supported`);
        seen.add(key);
        for (const resolve of [
          () => resolveConsumerConfig({ ...SERVERS, "group.id": "g", [key]: "1" }),
          () => resolveProducerConfig({ ...SERVERS, [key]: "1" }),
        ]) {
          assert.throws(resolve, (error: unknown) => {
            assert.ok(error instanceof ConfigurationError, key);
            assert.ok(error.message.includes(`"${key}"`) && error.message.includes(why), error.message);
            return true;
          });
        }
      }
    }
  });

  it("the client's name, and whether topics may be made, are in each request", async () => {
    await using broker = await FakeBroker.start();
    const METADATA = 3;
    broker.on(METADATA, (request) => request.answer(metadataBody([{ nodeId: 1, port: broker.port }])));
    for (const allowed of [true, false]) {
      const config = resolveConsumerConfig({
        "bootstrap.servers": `127.0.0.1:${broker.port}`,
        "group.id": "g",
        "client.id": "somebody",
        "allow.auto.create.topics": allowed,
      });
      const cluster = new Cluster({ config, clock: systemClock, logger: silentLogger });
      cluster.setTopics(["orders"]);
      const asked = broker.next(METADATA);
      await cluster.refresh();
      const { frame } = await asked;
      const nameLength = frame.readInt16BE(8);
      assert.equal(frame.toString("utf8", 10, 10 + nameLength), "somebody");
      // Before the request's last field and its (empty) tags.
      assert.equal(frame.at(-3), allowed ? 1 : 0);
      await cluster.close();
    }
  });

  it("a server that says nothing has as long as the settings say", async () => {
    await using broker = await FakeBroker.start();
    const API_VERSIONS = 18;
    broker.on(API_VERSIONS, () => {});
    const config = resolveConsumerConfig({
      "bootstrap.servers": `127.0.0.1:${broker.port}`,
      "group.id": "g",
      "socket.connection.setup.timeout.ms": 1_000,
    });
    const startedMs = performance.now();
    const { promise: told, resolve } = Promise.withResolvers<string>();
    const warn = (fields: Readonly<Record<string, unknown>>, message: string): void =>
      resolve(`${message} ${JSON.stringify(fields)}`);
    const cluster = new Cluster({
      config,
      clock: systemClock,
      logger: { ...silentLogger, warn, error: warn },
    });
    const refreshed = cluster.refresh().catch(() => {});
    assert.match(await told, /did not answer within 1000 ms/);
    const tookMs = performance.now() - startedMs;
    assert.ok(tookMs >= 990 && tookMs < 25_000, `after ${tookMs} ms`);
    await cluster.close();
    await refreshed;
  });

  it("the partitioner is the one that was asked for", () => {
    const payload = new KafkaPayload("a key", "v");
    const chosen = (["consistent_random", "murmur2_random"] as const).map((partitioner) => {
      const harness = new AccumulatorHarness({ partitioner, "linger.ms": 0 });
      harness.accumulator.topic("t", 1_000, []);
      harness.accumulator.produce("t", -1, payload).catch(() => {});
      void harness.accumulator.flush();
      const { index } = harness.batches[0]!;
      assert.equal(index, PARTITIONERS[partitioner](payload, 1_000));
      return index;
    });
    assert.notEqual(chosen[0], chosen[1]);
  });
});
