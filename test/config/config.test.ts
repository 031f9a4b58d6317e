import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ConfigurationError, ErrorCode } from "../../src/errors.ts";
import { COMMON_SETTINGS } from "../../src/kafka/config-common.ts";
import { CONSUMER_SETTINGS } from "../../src/kafka/config-consumer.ts";
import { PRODUCER_SETTINGS } from "../../src/kafka/config-producer.ts";
import type { SettingTable } from "../../src/kafka/config-setting.ts";
import { UNSUPPORTED_SETTINGS } from "../../src/kafka/config-unsupported.ts";
import {
  resolveConsumerConfig,
  resolveProducerConfig,
  type KafkaConsumerConfig,
} from "../../src/kafka/config.ts";

// Settings as they come from a file or from JavaScript: the types have checked nothing.
type Loose = Record<string, unknown>;

function consumer(settings: Loose = {}): Loose {
  const config = { "bootstrap.servers": "broker:9092", "group.id": "orders", ...settings };
  return resolveConsumerConfig(config);
}

function producer(settings: Loose = {}): Loose {
  const config = { "bootstrap.servers": "broker:9092", ...settings };
  return resolveProducerConfig(config);
}

/** The message of the ConfigurationError that a call throws. */
function refusal(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    assert.ok(error instanceof ConfigurationError);
    assert.equal(error.code, ErrorCode.CONFIGURATION);
    return error.message;
  }
  assert.fail("it was accepted");
}

describe("defaults", () => {
  test("a consumer needs brokers and a group, and gets librdkafka's defaults for the rest", () => {
    const config = consumer();
    assert.equal(config["group.id"], "orders");
    assert.equal(config["session.timeout.ms"], 45_000);
    assert.equal(config["heartbeat.interval.ms"], 3_000);
    assert.equal(config["max.poll.interval.ms"], 300_000);
    assert.equal(config["auto.offset.reset"], "latest");
    assert.equal(config["arroyo.strict.offset.reset"], true);
    assert.equal(config["arroyo.enable.auto.commit"], false);
    assert.deepEqual(config["partition.assignment.strategy"], ["range", "roundrobin"]);
    assert.match(
      refusal(() => resolveConsumerConfig({ "bootstrap.servers": "b" } as KafkaConsumerConfig)),
      /"group\.id" must be given/,
    );
    assert.match(
      refusal(() => resolveConsumerConfig({ "group.id": "g" } as KafkaConsumerConfig)),
      /"bootstrap\.servers" must be given/,
    );
  });

  test("a producer needs brokers only", () => {
    const config = producer();
    assert.equal(config["acks"], -1);
    assert.equal(config["linger.ms"], 5);
    assert.equal(config["partitioner"], "consistent_random");
    assert.equal(config["compression.type"], "none");
    assert.equal("group.id" in config, false);
  });

  test("a setting that is undefined counts as not given", () => {
    assert.equal(consumer({ "session.timeout.ms": undefined })["session.timeout.ms"], 45_000);
  });

  test("the result has one entry for every key, and can cross to another thread", () => {
    for (const [config, table] of [
      [consumer(), { ...COMMON_SETTINGS, ...CONSUMER_SETTINGS }],
      [producer(), { ...COMMON_SETTINGS, ...PRODUCER_SETTINGS }],
    ] as const) {
      const keys = Object.entries(table as SettingTable).filter(([, setting]) => setting.type !== "fixed");
      assert.deepEqual(Object.keys(config).toSorted(), keys.map(([key]) => key).toSorted());
      assert.deepEqual(structuredClone(config), config);
    }
  });

  test("every default is itself a value that is accepted", () => {
    for (const [table, resolve] of [
      [{ ...COMMON_SETTINGS, ...CONSUMER_SETTINGS }, consumer],
      [{ ...COMMON_SETTINGS, ...PRODUCER_SETTINGS }, producer],
    ] as const) {
      for (const [key, setting] of Object.entries(table as SettingTable)) {
        if (!("default" in setting) || key.startsWith("ssl.") || key.startsWith("enable.ssl.")) continue;
        const extra = key === "auto.commit.interval.ms" ? { "arroyo.enable.auto.commit": true } : {};
        assert.deepEqual(resolve({ ...extra, [key]: setting.default })[key], setting.default, key);
      }
    }
  });
});

describe("values", () => {
  test("numbers and booleans may be spelt as strings, words in any case", () => {
    const config = consumer({
      "session.timeout.ms": "10000",
      "enable.partition.eof": "TRUE",
      "auto.offset.reset": "Earliest",
    });
    assert.equal(config["session.timeout.ms"], 10_000);
    assert.equal(config["enable.partition.eof"], true);
    assert.equal(config["auto.offset.reset"], "earliest");
    assert.equal(producer({ "linger.ms": "0.5" })["linger.ms"], 0.5);
  });

  test("librdkafka's synonyms mean the same", () => {
    for (const [word, meaning] of [
      ["smallest", "earliest"],
      ["beginning", "earliest"],
      ["largest", "latest"],
      ["end", "latest"],
      ["error", "error"],
    ]) {
      assert.equal(consumer({ "auto.offset.reset": word })["auto.offset.reset"], meaning);
    }
    for (const acks of ["all", -1, "-1"]) assert.equal(producer({ acks })["acks"], -1);
    for (const acks of [1, "1"]) assert.equal(producer({ acks })["acks"], 1);
    assert.match(
      refusal(() => producer({ acks: 0 })),
      /"acks" is 0 .*must be/,
    );
  });

  test("an alias sets the key that it stands for; both at once are refused", () => {
    assert.deepEqual(resolveProducerConfig({ "metadata.broker.list": "broker" })["bootstrap.servers"], [
      { host: "broker", port: 9092 },
    ]);
    assert.equal(producer({ "queue.buffering.max.ms": 7 })["linger.ms"], 7);
    assert.equal(consumer({ "fetch.message.max.bytes": 7 })["max.partition.fetch.bytes"], 7);
    const both = refusal(() => producer({ "linger.ms": 7, "queue.buffering.max.ms": 7 }));
    assert.match(both, /"linger\.ms" and "queue\.buffering\.max\.ms" are one setting/);
  });

  test("a range's ends are accepted, what lies beyond is refused with key, value and range", () => {
    assert.equal(consumer({ "fetch.wait.max.ms": 0 })["fetch.wait.max.ms"], 0);
    assert.equal(consumer({ "fetch.wait.max.ms": 300_000 })["fetch.wait.max.ms"], 300_000);
    for (const value of [-1, 300_001, "300001", 1.5, Number.NaN, Infinity]) {
      const message = refusal(() => consumer({ "fetch.wait.max.ms": value }));
      assert.match(message, /"fetch\.wait\.max\.ms" is .* must be a whole number from 0 to 300000/);
    }
    assert.match(
      refusal(() => consumer({ "fetch.wait.max.ms": -1 })),
      /is -1,/,
    );
  });

  test("a value of the wrong type is refused with the type", () => {
    for (const [settings, expected] of [
      [
        { "session.timeout.ms": "soon" },
        /"session\.timeout\.ms" is "soon" \(a string\), but must be a whole/,
      ],
      [{ "session.timeout.ms": true }, /is true \(a boolean\)/],
      [{ "session.timeout.ms": null }, /is null/],
      [{ "session.timeout.ms": { ms: 1 } }, /is an object, but/],
      [{ "session.timeout.ms": "" }, /is "" \(a string\)/],
      [{ "enable.partition.eof": 1 }, /is 1 \(a number\), but must be true or false/],
      [{ "client.id": 7 }, /"client\.id" is 7 \(a number\), but must be a string/],
      [{ "group.id": "" }, /"group\.id" is "" .*not empty/],
      [{ "auto.offset.reset": "first" }, /is "first" .* must be earliest, .* or none/],
      [{ "partition.assignment.strategy": "range,sticky" }, /one or more of range, roundrobin/],
    ] as const) {
      assert.match(
        refusal(() => consumer(settings)),
        expected,
      );
    }
    assert.match(
      refusal(() => resolveConsumerConfig(undefined as unknown as KafkaConsumerConfig)),
      /must be an object/,
    );
  });

  test("brokers are host:port, with IPv6 in brackets and 9092 where no port is given", () => {
    const servers = (text: unknown): unknown => consumer({ "bootstrap.servers": text })["bootstrap.servers"];
    const expected = [
      { host: "a.example", port: 1 },
      { host: "::1", port: 2 },
      { host: "b", port: 9092 },
      { host: "10.0.0.1", port: 9093 },
    ];
    assert.deepEqual(servers("a.example:1, [::1]:2,b,SASL_SSL://10.0.0.1:9093"), expected);
    assert.deepEqual(servers(["a.example:1", "[::1]:2", "b", "10.0.0.1:9093"]), expected);
    for (const wrong of ["a:0", "a:65536", "a:b", ":9092", "a/path", "a b", "::1"]) {
      assert.match(
        refusal(() => servers(wrong)),
        /"bootstrap\.servers" names .* a broker is host:port/,
        wrong,
      );
    }
    for (const wrong of ["", ",", [], 9092])
      assert.match(
        refusal(() => servers(wrong)),
        /one or more brokers/,
      );
  });

  test("assignors are a list in order of preference", () => {
    const strategy = (value: unknown): unknown =>
      consumer({ "partition.assignment.strategy": value })["partition.assignment.strategy"];
    assert.deepEqual(strategy("roundrobin, range"), ["roundrobin", "range"]);
    assert.deepEqual(strategy(["range", "range"]), ["range"]);
  });
});

describe("keys", () => {
  test("an unknown key is named with its value and the nearest known one", () => {
    for (const [key, near] of [
      ["sesion.timeout.ms", "session.timeout.ms"],
      ["groupId", "group.id"],
      ["auto_offset_reset", "auto.offset.reset"],
      ["bootstrap.server", "bootstrap.servers"],
      ["metadata.brokers.list", "metadata.broker.list"],
      ["max.poll.intervall", "max.poll.interval.ms"],
    ] as const) {
      const message = refusal(() => consumer({ [key]: 17 }));
      assert.ok(message.includes(`"${key}" (given as 17) is not a known setting`), message);
      assert.ok(message.includes(`The nearest is "${near}"`), message);
    }
  });

  test("a key of the other side is refused, and said to be one", () => {
    assert.match(
      refusal(() => consumer({ "linger.ms": 5 })),
      /"linger\.ms" .* is a setting of producers and has no effect on a consumer/,
    );
    assert.match(
      refusal(() => producer({ "group.id": "g" })),
      /"group\.id" .* is a setting of consumers and has no effect on a producer/,
    );
  });

  test("a key of librdkafka's that does nothing here is refused, with what to use", () => {
    const message = refusal(() => consumer({ "queued.min.messages": 100_000 }));
    assert.match(message, /"queued\.min\.messages" .* has no effect here: .*"queued\.max\.messages\.kbytes"/);
    for (const { keys } of UNSUPPORTED_SETTINGS) {
      for (const key of keys) {
        const table: SettingTable = { ...COMMON_SETTINGS, ...CONSUMER_SETTINGS, ...PRODUCER_SETTINGS };
        assert.equal(key in table, false, `${key} is both supported and not`);
        assert.match(
          refusal(() => consumer({ [key]: "x" })),
          /has no effect here/,
        );
      }
    }
  });

  test("a key that has one possible value takes that one, and says why it takes no other", () => {
    assert.equal("enable.auto.commit" in consumer({ "enable.auto.commit": false }), false);
    consumer({ "enable.auto.commit": "false", "enable.auto.offset.store": false, "check.crcs": true });
    assert.match(
      refusal(() => consumer({ "enable.auto.commit": true })),
      /"enable\.auto\.commit" is true, but can only be false: .*arroyo\.enable\.auto\.commit/,
    );
    assert.match(
      refusal(() => consumer({ "check.crcs": false })),
      /"check\.crcs" is false, but can only be true: .*always verified/,
    );
  });

  test("names of Object's own are no settings", () => {
    for (const key of ["constructor", "toString", "hasOwnProperty"]) {
      assert.match(
        refusal(() => consumer({ [key]: 1 })),
        /not a known setting/,
      );
    }
  });
});

describe("contradictions", () => {
  test("two times that exclude each other are both named", () => {
    for (const [settings, first, second] of [
      [
        { "max.poll.interval.ms": 10_000 },
        '"session.timeout.ms" (45000, its default)',
        '"max.poll.interval.ms" (10000)',
      ],
      [
        { "session.timeout.ms": 3_000 },
        '"heartbeat.interval.ms" (3000, its default)',
        '"session.timeout.ms" (3000)',
      ],
      [
        { "retry.backoff.ms": 5_000 },
        '"retry.backoff.ms" (5000)',
        '"retry.backoff.max.ms" (1000, its default)',
      ],
      [
        { "reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 49 },
        '"reconnect.backoff.ms" (50)',
        '"reconnect.backoff.max.ms" (49)',
      ],
    ] as const) {
      const message = refusal(() => consumer(settings));
      assert.ok(message.includes(first) && message.includes(second), message);
    }
    // Equal is enough where equal makes sense.
    consumer({ "max.poll.interval.ms": 45_000 });
  });

  test("sizes that exclude each other are both named; defaults give way", () => {
    assert.match(
      refusal(() => producer({ "batch.size": 2_000_000 })),
      /"batch\.size" \(2000000\) must not be more than "message\.max\.bytes" \(1000000, its default\)/,
    );
    assert.equal(producer({ "message.max.bytes": 5_000 })["batch.size"], 5_000);
    assert.equal(consumer({ "fetch.max.bytes": 200_000_000 })["receive.message.max.bytes"], 200_000_512);
    assert.match(
      refusal(() => consumer({ "receive.message.max.bytes": 52_428_800 })),
      /"receive\.message\.max\.bytes" \(52428800\) must exceed "fetch\.max\.bytes" \(52428800, its default\) by 512/,
    );
    // A producer fetches nothing.
    producer({ "receive.message.max.bytes": 1_000_000 });
  });

  test("a message must be able to live as long as it waits", () => {
    assert.match(
      refusal(() => producer({ "linger.ms": 2_000, "message.timeout.ms": 1_000 })),
      /"linger\.ms" \(2000\) .*"message\.timeout\.ms" \(1000\)/,
    );
    producer({ "linger.ms": 2_000, "message.timeout.ms": 0 });
    assert.equal(producer({ "linger.ms": 100 })["sticky.partitioning.linger.ms"], 200);
  });

  test("a setting that only counts with another is refused without it", () => {
    assert.match(
      refusal(() => consumer({ "auto.commit.interval.ms": 1_000 })),
      /"auto\.commit\.interval\.ms" has no effect without "arroyo\.enable\.auto\.commit"/,
    );
    consumer({ "auto.commit.interval.ms": 1_000, "arroyo.enable.auto.commit": true });
  });
});

test("what a value holds beyond words and numbers is not printed, and long ones are cut", () => {
  const circular: Loose = { hidden: "hunter2" };
  circular["self"] = circular;
  for (const value of [circular, [circular], () => "hunter2", Symbol("s"), 10n, "x".repeat(10_000)]) {
    for (const key of ["client.id", "no.such.key", "session.timeout.ms"]) {
      const settings = { [key]: value };
      if (key === "client.id" && typeof value === "string") continue;
      const message = refusal(() => consumer(settings));
      assert.ok(message.includes(`"${key}"`));
      assert.ok(!message.includes("hunter2"), message);
      assert.ok(message.length < 400, message);
    }
  }
});
