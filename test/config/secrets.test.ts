import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import { KafkaConsumer, KafkaProducer, ReloadingKafkaProducer } from "../../src/kafka/index.ts";
import { COMMON_SETTINGS } from "../../src/kafka/config-common.ts";
import { CONSUMER_SETTINGS } from "../../src/kafka/config-consumer.ts";
import { PRODUCER_SETTINGS } from "../../src/kafka/config-producer.ts";
import type { SettingTable } from "../../src/kafka/config-setting.ts";
import { silentLogger } from "../../src/logger.ts";

const SECRET = "hunter2-hunter2";

const SECRET_KEYS = [COMMON_SETTINGS, CONSUMER_SETTINGS, PRODUCER_SETTINGS].flatMap((table: SettingTable) =>
  Object.entries(table)
    .filter(([, setting]) => setting.secret === true)
    .map(([key]) => key),
);

/** Settings that hold the secret wherever one can be, for a broker that is not there. */
const SETTINGS = {
  "bootstrap.servers": "127.0.0.1:1",
  "security.protocol": "sasl_plaintext",
  "sasl.mechanism": "PLAIN",
  "sasl.username": "orders",
  "sasl.password": SECRET,
} as const;

/** All that somebody might write down of a value. */
function dumps(value: object): string {
  const deep = inspect(value, { depth: Infinity, showHidden: true, getters: true, maxStringLength: null });
  return `${deep}\n${JSON.stringify(value)}`;
}

/** All that is in an error. */
function thrown(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return dumps(error as Error) + (error as Error).stack;
  }
  return assert.fail("it was taken");
}

describe("secrets are shown nowhere", () => {
  test("these are the settings that are secrets", () => {
    assert.deepEqual(SECRET_KEYS.toSorted(), [
      "sasl.oauthbearer.config",
      "sasl.password",
      "ssl.key.password",
      "ssl.key.pem",
    ]);
  });

  for (const key of SECRET_KEYS) {
    test(`${key}: not in an error about it, about its name, or about another setting`, () => {
      for (const wrong of [
        { [key]: [SECRET] },
        { [key]: { value: SECRET } },
        { [`${key}s`]: SECRET },
        { [key.toUpperCase()]: SECRET },
        { [key.replaceAll(".", "_")]: SECRET },
        { "security.protocol": "ssl", [key]: SECRET, "ssl.certificate.pem": SECRET, "fetch.wait.max.ms": -1 },
        // Neither key nor certificate, but what somebody might put there.
        { "security.protocol": "ssl", "ssl.key.pem": SECRET, "ssl.key.password": SECRET },
      ]) {
        const config = { "bootstrap.servers": "127.0.0.1:1", "group.id": "g", ...wrong } as never;
        const text = thrown(() => new KafkaConsumer(config, { logger: silentLogger }));
        assert.ok(!text.includes(SECRET), `${inspect(wrong)}: ${text}`);
      }
    });
  }

  test("not in what is shown of a consumer or a producer, before and after they have failed", async () => {
    const lines: string[] = [];
    const note = (fields: object, message: string): void => void lines.push(message + dumps(fields));
    const logger = { debug: note, info: note, warn: note, error: note };
    const consumer = new KafkaConsumer({ ...SETTINGS, "group.id": "orders" }, { logger });
    const producer = new KafkaProducer({ ...SETTINGS, "message.timeout.ms": 500 }, { logger });
    const reloading = new ReloadingKafkaProducer(SETTINGS, { logger });
    const secret = [SECRET, Buffer.from(SECRET).toString("base64")];
    const clients = [consumer, producer, reloading];
    const check = (text: string): void => {
      for (const each of secret) assert.ok(!text.includes(each), text);
    };
    for (const client of clients) check(dumps(client));
    await assert.rejects(
      producer.produce("orders", { key: null, value: "x", headers: [] } as never),
      (error: Error) => {
        check(dumps(error));
        return true;
      },
    );
    for (const client of clients) {
      await client.close(0).catch((error: unknown) => check(dumps(error as Error)));
      check(dumps(client));
    }
    check(lines.join("\n"));
  });
});
