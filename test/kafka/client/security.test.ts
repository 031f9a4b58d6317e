import assert from "node:assert/strict";
import dns from "node:dns";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TLSSocket } from "node:tls";
import { Writer } from "@platformatic/kafka";
import { systemClock } from "../../../src/clock.ts";
import { silentLogger } from "../../../src/logger.ts";
import { Heartbeat } from "../../../src/kafka/client/apis.ts";
import { Cluster } from "../../../src/kafka/client/cluster.ts";
import { BrokerConnection } from "../../../src/kafka/client/connection.ts";
import { resolveSecurity } from "../../../src/kafka/client/security.ts";
import { AuthenticationError, TransportError } from "../../../src/kafka/client/transport-error.ts";
import { SASL_USER, SHORT_SESSION_MS, TLS } from "../broker.ts";
import { securedKafkaTest } from "../kafka-test.ts";
import { clientConfig, type ClientSettings } from "./client-config.ts";
import { FakeBroker, frameOf, type FakeRequest } from "./fake-broker.ts";

type LookupCallback = (
  error: null,
  address: string | { address: string; family: number }[],
  family?: number,
) => void;

const CREDENTIALS = { "sasl.username": SASL_USER.username, "sasl.password": SASL_USER.password } as const;
const SASL_HANDSHAKE = 17;
const API_VERSIONS = 18;
const SASL_AUTHENTICATE = 36;
const SSL = { "security.protocol": "ssl" } as const;
const HEARTBEAT = [{ groupId: "nobody", generationId: 1, memberId: "none", groupInstanceId: null }] as const;

function connectionTo(
  servers: string,
  settings: ClientSettings,
  connectTimeoutMs = 30_000,
): BrokerConnection {
  const config = clientConfig(servers, settings);
  const [server] = config["bootstrap.servers"];
  assert.ok(server);
  return new BrokerConnection(
    { nodeId: -1, ...server },
    {
      clock: systemClock,
      clientId: "test",
      security: resolveSecurity(config),
      connectTimeoutMs,
      maxResponseBytes: 1_000_000,
    },
  );
}

/** Whether requests are answered: with an error, since there is no such member. */
async function assertServed(connection: BrokerConnection): Promise<void> {
  await connection.open();
  const answer = await connection.request(Heartbeat, [...HEARTBEAT], { timeoutMs: 30_000 });
  assert.notEqual(answer.errorCode, 0);
  connection.close();
}

async function assertUnreachable(connection: BrokerConnection, message: RegExp): Promise<void> {
  await assert.rejects(connection.open(), (error: unknown) => {
    assert.ok(TransportError.is(error), String(error));
    assert.match(error.message, message);
    return true;
  });
}

for (const [listener, protocol] of [
  ["SASL_PLAINTEXT", "sasl_plaintext"],
  ["SASL_SSL", "sasl_ssl"],
] as const) {
  for (const mechanism of ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] as const) {
    const settings = {
      "security.protocol": protocol,
      "sasl.mechanism": mechanism,
      "ssl.ca.location": TLS.ca,
    };
    securedKafkaTest(
      `${protocol}, ${mechanism}: the right password is taken, a wrong one is not`,
      async (servers) => {
        await assertServed(connectionTo(servers(listener), { ...settings, ...CREDENTIALS }));

        const wrong = { "sasl.username": SASL_USER.username, "sasl.password": "a guess" };
        await assert.rejects(
          connectionTo(servers(listener), { ...settings, ...wrong }).open(),
          (error: unknown) => {
            assert.ok(error instanceof AuthenticationError, String(error));
            assert.match(
              error.message,
              /refused to authenticate this client with [A-Z0-9-]+: .*[Aa]uthentication failed/,
            );
            assert.match(
              error.message,
              new RegExp(`with ${mechanism}: .*"sasl.username" and "sasl.password"`),
            );
            assert.ok(!`${error.message} ${error.stack}`.includes("a guess"));
            return true;
          },
        );
      },
    );
  }
}

securedKafkaTest("ssl: the authority can be given as a file, a folder or text", async (servers, t) => {
  const folder = mkdtempSync(join(tmpdir(), "arroyo-ca-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const pem = readFileSync(TLS.ca, "utf8");
  writeFileSync(join(folder, "authority.pem"), pem);
  writeFileSync(join(folder, "README"), "Not a certificate.");
  for (const authority of [
    { "ssl.ca.location": TLS.ca },
    { "ssl.ca.location": folder },
    { "ssl.ca.pem": pem },
  ]) {
    await assertServed(connectionTo(servers("SSL"), { ...SSL, ...authority }));
  }
});

securedKafkaTest(
  "ssl: a broker that the authority does not vouch for is refused, unless told otherwise",
  async (servers) => {
    await assertUnreachable(connectionTo(servers("SSL"), SSL), /certificate/);
    await assertServed(
      connectionTo(servers("SSL"), { ...SSL, "enable.ssl.certificate.verification": false }),
    );
  },
);

securedKafkaTest("ssl: a client certificate is sent, with a key that has a passphrase", async (servers) => {
  await assertServed(
    connectionTo(servers("SSL"), {
      ...SSL,
      "ssl.ca.location": TLS.ca,
      "ssl.certificate.location": TLS.client,
      "ssl.key.location": TLS.clientKey,
      "ssl.key.password": TLS.clientKeyPassword,
    }),
  );
});

test("ssl: the certificate must be for the host, unless hosts are not compared", async () => {
  const pem = readFileSync(TLS.elsewhere, "utf8");
  await using broker = await FakeBroker.start(0, { key: pem, cert: pem });
  const settings = { ...SSL, "ssl.ca.location": TLS.ca };
  const server = `127.0.0.1:${broker.port}`;
  await assertUnreachable(connectionTo(server, settings), /does not match certificate's altnames/);
  const lenient = connectionTo(server, { ...settings, "ssl.endpoint.identification.algorithm": "none" });
  await lenient.open();
  lenient.close();
});

test("ssl: the certificate of this client reaches the broker, and the host's name does", async () => {
  const pem = readFileSync(TLS.server, "utf8");
  const names: string[] = [];
  await using broker = await FakeBroker.start(0, {
    key: pem,
    cert: pem,
    ca: readFileSync(TLS.ca, "utf8"),
    requestCert: true,
    SNICallback: (name, callback) => {
      names.push(name);
      callback(null);
    },
  });
  const connection = connectionTo(`localhost:${broker.port}`, {
    ...SSL,
    "ssl.ca.location": TLS.ca,
    "ssl.certificate.location": TLS.client,
    "ssl.key.location": TLS.clientKey,
    "ssl.key.password": TLS.clientKeyPassword,
  });
  await connection.open();
  const [socket] = [...broker.sockets] as TLSSocket[];
  assert.equal(socket?.getPeerCertificate().subject.CN, "client");
  assert.deepEqual(names, ["localhost"]);
  connection.close();
});

securedKafkaTest(
  "ssl: a broker under a name that its certificate is not for is refused, unless hosts are not compared",
  async (servers, t) => {
    t.mock.method(dns, "lookup", (_name: string, options: { all?: boolean }, callback: LookupCallback) => {
      if (options.all === true) callback(null, [{ address: "127.0.0.1", family: 4 }]);
      else callback(null, "127.0.0.1", 4);
    });
    const server = servers("SSL").replace("127.0.0.1", "elsewhere.test");
    const settings = { ...SSL, "ssl.ca.location": TLS.ca };
    await assertUnreachable(connectionTo(server, settings), /elsewhere\.test.*does not match/);
    await assertServed(
      connectionTo(server, { ...settings, "ssl.endpoint.identification.algorithm": "none" }),
    );
  },
);

test("a server that takes the connection and then says nothing is given up, wherever it falls silent", async (t) => {
  const sasl = { "sasl.mechanism": "PLAIN", ...CREDENTIALS } as const;
  for (const [what, settings, falls] of [
    ["before TLS", { ...SSL, "ssl.ca.location": TLS.ca }, () => {}],
    [
      "before SASL",
      { ...sasl, "security.protocol": "sasl_plaintext" },
      (broker: FakeBroker) => broker.on(API_VERSIONS, () => {}),
    ],
    [
      "in SASL",
      { ...sasl, "security.protocol": "sasl_plaintext" },
      (broker: FakeBroker) => broker.on(API_VERSIONS, (request) => request.answer(saslApiVersionsBody())),
    ],
  ] as const) {
    await t.test(what, async () => {
      await using broker = await FakeBroker.start();
      falls(broker);
      await assertUnreachable(
        connectionTo(`127.0.0.1:${broker.port}`, settings, 100),
        /did not answer within 100 ms/,
      );
    });
  }
});

securedKafkaTest("plaintext where TLS is spoken, and TLS where it is not, fail at once", async (servers) => {
  await assertUnreachable(connectionTo(servers("SSL"), {}), /bootstrap server/);
  await assertUnreachable(connectionTo(servers("PLAINTEXT"), SSL), /TLS/);
});

securedKafkaTest(
  "a connection is replaced before its authentication expires, without a request lost",
  async (servers) => {
    const config = clientConfig(servers("SASL_SSL"), {
      "security.protocol": "sasl_ssl",
      "sasl.mechanism": "SCRAM-SHA-512",
      "ssl.ca.location": TLS.ca,
      ...CREDENTIALS,
    });
    const cluster = new Cluster({ config, clock: systemClock, logger: silentLogger });
    try {
      const nodeId = await cluster.coordinator("nobody");
      const used = new Set<BrokerConnection>();
      let [beforeMs, nowMs] = [performance.now(), performance.now()];
      while (used.size < 3) {
        [beforeMs, nowMs] = [nowMs, performance.now()];
        const connection = await cluster.connection(nodeId, "group");
        used.add(connection);
        try {
          await connection.request(Heartbeat, [...HEARTBEAT], { timeoutMs: 30_000 });
        } catch (error) {
          // None but when the machine has stood still for so long that the session ended meanwhile.
          if (performance.now() - beforeMs < SHORT_SESSION_MS / 20) throw error;
        }
      }
    } finally {
      await cluster.close();
    }
  },
);

securedKafkaTest(
  "credentials that no broker takes end the first refresh, instead of an endless wait",
  async (servers) => {
    const config = clientConfig(servers("SASL_PLAINTEXT"), {
      "security.protocol": "sasl_plaintext",
      "sasl.mechanism": "PLAIN",
      "sasl.username": "mallory",
      "sasl.password": "unknown",
    });
    const cluster = new Cluster({ config, clock: systemClock, logger: silentLogger });
    await assert.rejects(cluster.refresh(), { code: "ARROYO_AUTHENTICATION" });
    await cluster.close();
  },
);

test("a server that answers SCRAM with nonsense, or hangs up, fails the connection and nothing else", async (t) => {
  const settings = {
    "security.protocol": "sasl_plaintext",
    "sasl.mechanism": "SCRAM-SHA-256",
    ...CREDENTIALS,
  } as const;
  for (const [what, answer] of [
    ["nonsense", (request: FakeRequest) => request.answer(authenticateBody("nonsense"))],
    ["a salt and no nonce", (request: FakeRequest) => request.answer(authenticateBody("s=abcd,i=4096"))],
    ["a foreign nonce", (request: FakeRequest) => request.answer(authenticateBody("r=other,s=abcd,i=4096"))],
    ["hangs up", (request: FakeRequest) => request.socket.end()],
  ] as const) {
    await t.test(what, async () => {
      await using broker = await FakeBroker.start();
      broker.on(API_VERSIONS, (request) => request.answer(saslApiVersionsBody()));
      broker.on(SASL_HANDSHAKE, ({ correlationId, socket }) => {
        const answer = Writer.create().appendInt32(correlationId).appendInt16(0);
        answer.appendArray(
          ["SCRAM-SHA-256"],
          (writer, name) => writer.appendString(name, false),
          false,
          false,
        );
        socket.write(frameOf(answer.buffer));
      });
      broker.on(SASL_AUTHENTICATE, answer);
      await assert.rejects(connectionTo(`127.0.0.1:${broker.port}`, settings).open(), (error: unknown) => {
        assert.ok(TransportError.is(error) || error instanceof AuthenticationError, String(error));
        return true;
      });
    });
  }
});

/** SaslAuthenticate v2. */
function authenticateBody(text: string): Writer {
  return Writer.create()
    .appendInt16(0)
    .appendString(null)
    .appendBytes(Buffer.from(text))
    .appendInt64(0n)
    .appendTaggedFields();
}

/** ApiVersions v1, which is asked for before authentication. */
function saslApiVersionsBody(): Writer {
  return Writer.create()
    .appendInt16(0)
    .appendArray(
      [SASL_HANDSHAKE, SASL_AUTHENTICATE],
      (writer, apiKey) => writer.appendInt16(apiKey).appendInt16(0).appendInt16(2),
      false,
      false,
    )
    .appendInt32(0);
}

test("settings that cannot be used are errors that name the key, before any connection", () => {
  const refused = (settings: ClientSettings, message: RegExp): void => {
    assert.throws(
      () => resolveSecurity(clientConfig([9092], settings)),
      (error: unknown) => {
        assert.equal((error as { code?: unknown }).code, "ARROYO_CONFIGURATION");
        assert.match((error as Error).message, message);
        return true;
      },
    );
  };
  refused({ ...SSL, "ssl.certificate.pem": "no", "ssl.key.pem": "no" }, /"ssl\.certificate\.pem" holds no/);
  refused({ "security.protocol": "sasl_ssl" }, /"sasl\.mechanism" must be given/);
  refused(
    { "security.protocol": "sasl_plaintext", "sasl.mechanism": "PLAIN", "sasl.username": "alice" },
    /"sasl\.password" must be given/,
  );
  assert.deepEqual(resolveSecurity(clientConfig([9092])), { tls: undefined, sasl: undefined });
});
