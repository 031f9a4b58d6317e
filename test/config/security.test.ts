import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import fc from "fast-check";
import { ConfigurationError } from "../../src/errors.ts";
import { resolveConsumerConfig } from "../../src/kafka/config.ts";
import { TLS } from "../kafka/broker.ts";

type Loose = Record<string, unknown>;

function resolved(settings: Loose): Loose {
  const config = { "bootstrap.servers": "broker:9092", "group.id": "orders", ...settings };
  return resolveConsumerConfig(config);
}

function refused(settings: Loose, expected: RegExp): void {
  assert.throws(
    () => resolved(settings),
    (error) => error instanceof ConfigurationError && expected.test(error.message),
  );
}

const SCRAM = {
  "security.protocol": "SASL_SSL",
  "sasl.mechanism": "scram-sha-512",
  "sasl.username": "me",
  "sasl.password": "hunter2",
};

describe("authentication", () => {
  test("SASL needs mechanism, user and password", () => {
    const config = resolved(SCRAM);
    assert.equal(config["security.protocol"], "sasl_ssl");
    assert.equal(config["sasl.mechanism"], "SCRAM-SHA-512");
    assert.equal(config["sasl.password"], "hunter2");
    for (const key of ["sasl.mechanism", "sasl.username", "sasl.password"]) {
      const expected = new RegExp(`"${key}" must be given when "security.protocol" is sasl_ssl`);
      refused({ ...SCRAM, [key]: undefined }, expected);
    }
  });

  test("OAUTHBEARER needs a function that gets tokens, and nothing that belongs to passwords", () => {
    const refresh = (): never => assert.fail("it is not called before there is a client");
    const OAUTH = {
      "security.protocol": "sasl_ssl",
      "sasl.mechanism": "OAUTHBEARER",
      oauthbearer_token_refresh_cb: refresh,
      "sasl.oauthbearer.config": "scope=orders",
    };
    const config = resolved(OAUTH);
    assert.equal(config["oauthbearer_token_refresh_cb"], refresh);
    assert.equal(config["sasl.oauthbearer.config"], "scope=orders");
    refused(
      { ...OAUTH, oauthbearer_token_refresh_cb: undefined },
      /"oauthbearer_token_refresh_cb" must be given when .* "sasl\.mechanism" is OAUTHBEARER/,
    );
    refused({ ...OAUTH, oauthbearer_token_refresh_cb: "a token" }, /must be a function/);
    refused({ ...OAUTH, "sasl.password": "hunter2" }, /"sasl\.password" has no effect .* is OAUTHBEARER/);
    refused(
      { ...SCRAM, oauthbearer_token_refresh_cb: refresh },
      /"oauthbearer_token_refresh_cb" has no effect while "sasl\.mechanism" is SCRAM-SHA-512/,
    );
    refused(
      { oauthbearer_token_refresh_cb: refresh },
      /has no effect while "security\.protocol" is plaintext/,
    );
    refused(
      { ...OAUTH, "sasl.oauthbearer.method": "oidc" },
      /get the token in "oauthbearer_token_refresh_cb"/,
    );
  });

  test("what has no effect under the protocol is refused: nobody should think that he is safe", () => {
    refused({ ...SCRAM, "security.protocol": "ssl" }, /"sasl\.mechanism" has no effect .* is ssl/);
    refused({ "sasl.password": "hunter2" }, /"sasl\.password" has no effect .* is plaintext/);
    refused({ "ssl.ca.pem": "x" }, /"ssl\.ca\.pem" has no effect .* is plaintext/);
    refused({ "enable.ssl.certificate.verification": true }, /has no effect/);
  });

  test("a mechanism that is not spoken is refused with those that are", () => {
    refused(
      { ...SCRAM, "sasl.mechanism": "GSSAPI" },
      /must be PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER/,
    );
  });
});

describe("certificates", () => {
  const folder = mkdtempSync(join(tmpdir(), "arroyo-config-"));
  after(() => rmSync(folder, { recursive: true }));
  const authority = readFileSync(TLS.ca, "utf8");
  const client = readFileSync(TLS.client, "utf8");
  const key = readFileSync(TLS.clientKey, "utf8");
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const SSL = { "security.protocol": "ssl" };

  test("files are read at once, so that what is missing is known before any connection", () => {
    const config = resolved({
      ...SSL,
      "ssl.ca.location": TLS.ca,
      "ssl.certificate.location": TLS.client,
      "ssl.key.location": TLS.clientKey,
      "ssl.key.password": TLS.clientKeyPassword,
    });
    assert.equal(config["ssl.ca.pem"], authority);
    assert.equal(config["ssl.key.pem"], key);
    refused(
      { ...SSL, "ssl.ca.location": join(folder, "missing.pem") },
      /"ssl\.ca\.location" .* cannot be read/,
    );
    refused({ ...SSL, "ssl.ca.location": file("ca.der", "0\x82") }, /"ssl\.ca\.location" .* holds no PEM/);
  });

  test("what is no certificate, or a key that does not open, is known then too, by the key that it was given as", () => {
    const bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    refused({ ...SSL, "ssl.ca.pem": "no certificate" }, /"ssl\.ca\.pem" holds no certificate/);
    refused({ ...SSL, "ssl.ca.location": TLS.clientKey }, /"ssl\.ca\.location" holds no certificate/);
    refused({ ...SSL, "ssl.ca.location": file("bad.pem", bad) }, /"ssl\.ca\.location" .* cannot be read/);
    refused(
      {
        ...SSL,
        "ssl.certificate.location": TLS.client,
        "ssl.key.location": TLS.clientKey,
        "ssl.key.password": "wrong",
      },
      /key in "ssl\.key\.location" cannot be used with .*"ssl\.certificate\.location" and "ssl\.key\.password"/,
    );
  });

  test("a folder of authorities counts as all of them", () => {
    mkdirSync(join(folder, "cas", "nested"), { recursive: true });
    file("cas/a.pem", authority);
    file("cas/b.crt", authority);
    const { "ssl.ca.pem": text } = resolved({ ...SSL, "ssl.ca.location": join(folder, "cas") });
    assert.equal(String(text).split("BEGIN CERTIFICATE").length - 1, 2);
  });

  test("certificate and key belong together, file and text exclude each other", () => {
    refused({ ...SSL, "ssl.certificate.pem": client }, /must be given together/);
    refused({ ...SSL, "ssl.key.pem": key }, /must be given together/);
    refused({ ...SSL, "ssl.key.password": "hunter2" }, /"ssl\.key\.password" has no effect without/);
    refused({ ...SSL, "ssl.ca.location": folder, "ssl.ca.pem": authority }, /two ways to say one thing/);
  });
});

describe("secrets", () => {
  test("a password is in no message, whatever is wrong with it or beside it", () => {
    const secret = fc.string({ minLength: 6, maxLength: 40 }).map((text) => `hunter2${text}`);
    const key = fc.constantFrom(
      "sasl.password",
      "sasl.passwrod",
      "sasl_password",
      "password",
      "ssl.key.password",
      "ssl.key.pem",
      "ssl.keystore.password",
      "sasl.jaas.config",
      "sasl.oauthbearer.client.secret",
    );
    const rest = fc.constantFrom<Loose>(
      {},
      { "security.protocol": "sasl_ssl" },
      { "session.timeout.ms": "x" },
      SCRAM,
    );
    const value = fc.oneof(
      secret,
      secret.map((text) => [text]),
      secret.map((text) => ({ text })),
    );
    fc.assert(
      fc.property(key, value, rest, (name, given, others) => {
        try {
          resolved({ ...others, [name]: given });
        } catch (error) {
          assert.ok(error instanceof ConfigurationError);
          assert.ok(!`${error.message}${error.stack}`.includes("hunter2"), error.message);
        }
      }),
    );
  });

  test("nor are credentials that were put into the broker's address", () => {
    assert.throws(
      () => resolved({ "bootstrap.servers": "me:hunter2@broker:9092" }),
      (error: Error) => error.message.includes("@broker:9092") && !error.message.includes("hunter2"),
    );
  });
});
