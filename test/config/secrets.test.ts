import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import { createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import type { TLSSocket } from "node:tls";
import { Dashboard } from "../../src/dashboard/index.ts";
import { HealthServer, Noop, StreamProcessor } from "../../src/index.ts";
import { KafkaConsumer, KafkaProducer, ReloadingKafkaProducer } from "../../src/kafka/index.ts";
import { COMMON_SETTINGS } from "../../src/kafka/config-common.ts";
import { CONSUMER_SETTINGS } from "../../src/kafka/config-consumer.ts";
import { PRODUCER_SETTINGS } from "../../src/kafka/config-producer.ts";
import type { SettingTable } from "../../src/kafka/config-setting.ts";
import { silentLogger } from "../../src/logger.ts";

import { TLS } from "../kafka/broker.ts";
import { FakeBroker } from "../kafka/client/fake-broker.ts";

const METADATA = 3;
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

  describe("a private key that is in use", () => {
    const encrypted = readFileSync(TLS.clientKey, "utf8");
    const password = TLS.clientKeyPassword;
    const key = createPrivateKey({ key: encrypted, passphrase: password })
      .export({ type: "pkcs8", format: "pem" })
      .toString();
    const certificate = readFileSync(TLS.client, "utf8");
    const hidden = [...key.split("\n"), ...encrypted.split("\n")].filter((line) =>
      /^[\w+/=]{16,}$/.test(line),
    );
    const check = (text: string): void => {
      for (const secret of [...hidden, password]) assert.ok(!text.includes(secret), text);
    };

    for (const [what, pair] of [
      ["plain", { "ssl.key.pem": key }],
      ["with a password", { "ssl.key.pem": encrypted, "ssl.key.password": password }],
      ["in a file", { "ssl.key.location": TLS.clientKey, "ssl.key.password": password }],
    ] as const) {
      test(`${what}: not in logs, errors, dumps, the dashboard and /healthz of clients that use it`, async () => {
        assert.ok(hidden.length > 40);
        const server = readFileSync(TLS.server);
        const ca = readFileSync(TLS.ca, "utf8");
        const tls = { key: server, cert: server, ca, requestCert: true };
        await using broker = await FakeBroker.start(0, tls);
        // It has shown its certificate by then; nothing comes of it.
        const asked = Promise.all([broker.next(METADATA), broker.next(METADATA)]);
        broker.on(METADATA, ({ socket }) => void socket.destroy());
        const lines: string[] = [];
        const note = (fields: object, message: string): void => void lines.push(message + dumps(fields));
        const logger = { debug: note, info: note, warn: note, error: note };
        const settings = {
          "bootstrap.servers": `127.0.0.1:${broker.port}`,
          "security.protocol": "ssl",
          "ssl.ca.location": TLS.ca,
          "ssl.certificate.pem": certificate,
          ...pair,
        } as const;
        const consumer = new KafkaConsumer({ ...settings, "group.id": "orders" }, { logger });
        const producer = new KafkaProducer({ ...settings, "message.timeout.ms": 500 }, { logger });
        const factory = { createWithPartitions: () => new Noop() };
        const processor = new StreamProcessor({ consumer, topic: "orders", factory, logger });
        await using dashboard = await Dashboard.start({ title: "orders", consumer, port: 0 });
        dashboard.follow(processor);
        await using health = new HealthServer({ watch: processor, port: 0, logger });
        await health.listen();
        const running = processor.run();
        await assert.rejects(
          producer.produce("orders", { key: null, value: "x", headers: [] } as never),
          (error: Error) => {
            check(dumps(error));
            return true;
          },
        );
        for (const { socket } of await asked) {
          assert.equal((socket as TLSSocket).authorized, true, "the key was used");
        }
        check(await (await fetch(`http://127.0.0.1:${health.port}/healthz`)).text());
        const { body } = await fetch(`${dashboard.url}events`);
        for await (const chunk of body!.pipeThrough(new TextDecoderStream())) {
          check(chunk);
          break;
        }
        for (const client of [consumer, producer, processor, health, dashboard]) check(dumps(client));
        processor.signalShutdown();
        await running;
        await producer.close(0);
        assert.ok(lines.length > 0);
        check(lines.join("\n"));
      });
    }

    test("not in the error about a wrong password or a certificate of somebody else", () => {
      const other = readFileSync(TLS.server, "utf8");
      for (const wrong of [
        { "ssl.key.pem": encrypted, "ssl.key.password": SECRET },
        { "ssl.key.pem": encrypted },
        { "ssl.key.pem": key, "ssl.certificate.pem": other },
        { "ssl.key.pem": key.slice(0, -200) },
      ]) {
        const config = {
          "bootstrap.servers": "127.0.0.1:1",
          "group.id": "g",
          "security.protocol": "ssl",
          "ssl.certificate.pem": certificate,
          ...wrong,
        } as const;
        const text = thrown(() => new KafkaConsumer(config, { logger: silentLogger }));
        check(text);
        assert.ok(!text.includes(SECRET), text);
      }
    });
  });
});
