import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { systemClock, type Clock } from "../../../src/clock.ts";
import { Heartbeat, OffsetCommit, type HeartbeatRequest } from "../../../src/kafka/client/apis.ts";
import { BrokerConnection } from "../../../src/kafka/client/connection.ts";
import { resolveSecurity } from "../../../src/kafka/client/security.ts";
import {
  ClosedError,
  TransportError,
  UnsupportedBrokerError,
} from "../../../src/kafka/client/transport-error.ts";
import { MockClock } from "../../../src/testing/mock-clock.ts";
import { ownPort } from "../ports.ts";
import { clientConfig } from "./client-config.ts";
import { apiVersionsBody, FakeBroker, frameOf, heartbeatBody } from "./fake-broker.ts";

const HEARTBEAT = 12;
const API_VERSIONS = 18;
const REQUEST: [HeartbeatRequest] = [
  { groupId: "group", generationId: 1, memberId: "member", groupInstanceId: null },
];
const LONG = { timeoutMs: 60_000 };

function connectionTo(
  port: number,
  options: { clock?: Clock; connectTimeoutMs?: number; maxResponseBytes?: number } = {},
): BrokerConnection {
  return new BrokerConnection(
    { nodeId: 1, host: "127.0.0.1", port },
    {
      clock: options.clock ?? systemClock,
      clientId: "test",
      security: resolveSecurity(clientConfig([port])),
      connectTimeoutMs: options.connectTimeoutMs ?? 30_000,
      maxResponseBytes: options.maxResponseBytes ?? 100_000_000,
    },
  );
}

async function opened(
  broker: FakeBroker,
  options?: Parameters<typeof connectionTo>[1],
): Promise<BrokerConnection> {
  const connection = connectionTo(broker.port, options);
  await connection.open();
  return connection;
}

const named = (pattern: RegExp) => (error: unknown) => {
  assert.ok(TransportError.is(error), String(error));
  assert.match(error.message, pattern);
  return true;
};

test("a request resolves to the answer, also when the answer is an error code", async () => {
  await using broker = await FakeBroker.start();
  broker.on(HEARTBEAT, (request) => request.answer(heartbeatBody(27)));
  const connection = await opened(broker);

  assert.equal(connection.alive, true);
  assert.equal((await connection.request(Heartbeat, REQUEST, LONG)).errorCode, 27);
  assert.equal(connection.inFlight, 0);
  connection.close();
});

test("an error code that is newer than this client is an answer too", async () => {
  await using broker = await FakeBroker.start();
  broker.on(HEARTBEAT, (request) => request.answer(heartbeatBody(211)));
  const connection = await opened(broker);

  assert.equal((await connection.request(Heartbeat, REQUEST, LONG)).errorCode, 211);
  connection.close();
});

test("requests are sent without waiting for the answers to others", async () => {
  await using broker = await FakeBroker.start();
  const held: (() => void)[] = [];
  const tenHaveCome = new Promise<void>((resolve) => {
    broker.on(HEARTBEAT, (request) => {
      held.push(() => request.answer(heartbeatBody(held.length)));
      if (held.length === 10) resolve();
    });
  });
  const connection = await opened(broker);

  const answers = Array.from({ length: 10 }, () => connection.request(Heartbeat, REQUEST, LONG));
  await tenHaveCome;
  assert.equal(connection.inFlight, 10);
  for (const answer of held) answer();
  assert.equal((await Promise.all(answers)).length, 10);
  connection.close();
});

test("a connection that is cut in the middle of an answer fails what is in flight, and takes no more", async () => {
  await using broker = await FakeBroker.start();
  const connection = await opened(broker);
  broker.on(HEARTBEAT, (request) => {
    request.socket.write(request.answerBytes(heartbeatBody()).subarray(0, 7));
    request.socket.end();
  });

  const first = connection.request(Heartbeat, REQUEST, LONG);
  const second = connection.request(Heartbeat, REQUEST, LONG);
  await assert.rejects(first, named(/connection to broker 1 \(127\.0\.0\.1:\d+\) was lost/));
  await assert.rejects(second, named(/was lost/));
  assert.equal(connection.alive, false);
  assert.equal(connection.inFlight, 0);
  await assert.rejects(connection.request(Heartbeat, REQUEST, LONG), named(/was lost/));
});

test("a request that is not answered in time fails alone; the connection takes no more, and closes when drained", async () => {
  await using broker = await FakeBroker.start();
  const connection = await opened(broker);
  const firstHasCome = broker.next(HEARTBEAT);
  const patient = connection.request(Heartbeat, REQUEST, LONG);
  const first = await firstHasCome;

  await assert.rejects(
    connection.request(Heartbeat, REQUEST, { timeoutMs: 1 }),
    named(/broker 1 \(.*\) did not answer Heartbeat within 1 ms/),
  );
  assert.equal(connection.alive, false);
  assert.equal(connection.inFlight, 1);
  await assert.rejects(
    connection.request(Heartbeat, REQUEST, LONG),
    named(/is not used any more: it did not answer/),
  );

  first.answer(heartbeatBody(0));
  assert.equal((await patient).errorCode, 0);
  await broker.disconnected(first.socket);
});

test("an answer that comes after its request was given up does no harm to the others", async () => {
  await using broker = await FakeBroker.start();
  const clock = new MockClock();
  const connection = await opened(broker, { clock });
  const firstHasCome = broker.next(HEARTBEAT);
  const late = connection.request(Heartbeat, REQUEST, { timeoutMs: 20 });
  const first = await firstHasCome;
  const secondHasCome = broker.next(HEARTBEAT);
  const patient = connection.request(Heartbeat, REQUEST, LONG);
  const second = await secondHasCome;
  clock.advance(20);
  await assert.rejects(late, named(/within 20 ms/));

  first.answer(heartbeatBody(1));
  second.answer(heartbeatBody(2));
  assert.equal((await patient).errorCode, 2);
});

test("a length that no answer can have ends the connection before anything is gathered", async (t) => {
  for (const [what, length] of [
    ["too long", 2_000],
    ["negative", -2],
    ["too short for a correlation id", 3],
    ["zero", 0],
  ] as const) {
    await t.test(what, async () => {
      await using broker = await FakeBroker.start();
      const connection = await opened(broker, { maxResponseBytes: 1_000 });
      broker.on(HEARTBEAT, (request) => {
        const bytes = Buffer.alloc(5);
        bytes.writeInt32BE(length, 0);
        request.socket.write(bytes);
      });
      await assert.rejects(
        connection.request(Heartbeat, REQUEST, LONG),
        named(new RegExp(`sent ${length} as the length of an answer.*"receive.message.max.bytes" .1000`)),
      );
      assert.equal(connection.alive, false);
    });
  }
});

test("a length that comes in pieces, between answers, is checked too", async () => {
  await using broker = await FakeBroker.start();
  const connection = await opened(broker, { maxResponseBytes: 1_000 });
  broker.on(HEARTBEAT, (request) => {
    request.socket.setNoDelay(true);
    request.socket.write(Buffer.concat([request.answerBytes(heartbeatBody(0)), Buffer.of(0x7f)]));
  });
  assert.equal((await connection.request(Heartbeat, REQUEST, LONG)).errorCode, 0);
  broker.on(HEARTBEAT, (request) => request.socket.write(Buffer.of(0xff, 0xff, 0xff, 0x00)));
  await assert.rejects(connection.request(Heartbeat, REQUEST, LONG), named(/sent 2147483647 as the length/));
});

test("an answer to a question that nobody asked ends the connection", async () => {
  await using broker = await FakeBroker.start();
  const connection = await opened(broker);
  broker.on(HEARTBEAT, (request) => {
    const payload = Buffer.alloc(12);
    payload.writeInt32BE(request.correlationId + 1_000, 0);
    request.socket.write(frameOf(payload));
  });
  await assert.rejects(
    connection.request(Heartbeat, REQUEST, LONG),
    named(/it answered request \d+, which was not sent/),
  );
  assert.equal(connection.alive, false);
});

test("an answer that cannot be read fails its request and gives up the connection", async () => {
  await using broker = await FakeBroker.start();
  const connection = await opened(broker);
  broker.on(HEARTBEAT, (request) => request.answer(Buffer.of(0, 0)));
  await assert.rejects(
    connection.request(Heartbeat, REQUEST, LONG),
    named(/answered Heartbeat with what cannot be read/),
  );
  assert.equal(connection.alive, false);
});

test("a server that wants TLS, or is not Kafka at all, is recognised", async (t) => {
  for (const [what, bytes, expected] of [
    ["TLS", Buffer.of(0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x50), /set "security.protocol" to "ssl"/],
    ["HTTP", Buffer.from("HTTP/1.1 400 Bad Request\r\n"), /HTTP server/],
  ] as const) {
    await t.test(what, async () => {
      await using broker = await FakeBroker.start();
      broker.on(API_VERSIONS, (request) => request.socket.end(bytes));
      await assert.rejects(connectionTo(broker.port).open(), named(expected));
    });
  }
});

test("closing fails at once what is in flight, with the reason that was given", async () => {
  await using broker = await FakeBroker.start();
  const connection = await opened(broker);
  const hasCome = broker.next(HEARTBEAT);
  const request = connection.request(Heartbeat, REQUEST, LONG);
  const { socket } = await hasCome;

  connection.close(new ClosedError());
  await assert.rejects(request, ClosedError);
  await assert.rejects(connection.request(Heartbeat, REQUEST, LONG), ClosedError);
  connection.close();
  await broker.disconnected(socket);
});

test("a connection can be closed while it is being made", async (t) => {
  await t.test("before the broker has answered", async () => {
    await using broker = await FakeBroker.start();
    broker.on(API_VERSIONS, () => {});
    const connection = connectionTo(broker.port);
    const hasCome = broker.next(API_VERSIONS);
    const open = connection.open();
    const { socket } = await hasCome;
    connection.close(new ClosedError());
    await assert.rejects(open, ClosedError);
    await broker.disconnected(socket);
  });
  await t.test("in the same tick", async () => {
    await using broker = await FakeBroker.start();
    const connection = connectionTo(broker.port);
    const open = connection.open();
    connection.close(new ClosedError());
    await assert.rejects(open, ClosedError);
  });
  await t.test("before it is begun", async () => {
    const connection = connectionTo(1);
    connection.close(new ClosedError());
    await assert.rejects(connection.open(), ClosedError);
  });
});

test("connecting fails when nobody listens, when nobody answers, and when the answer is cut off", async (t) => {
  await t.test("nobody listens", async () => {
    const port = await ownPort();
    await assert.rejects(connectionTo(port).open(), named(/cannot be connected to: connect ECONNREFUSED/));
  });
  await t.test("no such host", async () => {
    const connection = new BrokerConnection(
      { nodeId: -1, host: "broker.invalid", port: 9092 },
      {
        clock: systemClock,
        clientId: "test",
        security: { tls: undefined, sasl: undefined },
        connectTimeoutMs: 30_000,
        maxResponseBytes: 1_000,
      },
    );
    await assert.rejects(
      connection.open(),
      named(/bootstrap server broker\.invalid:9092 cannot be connected to/),
    );
  });
  await t.test("nobody answers", async () => {
    await using broker = await FakeBroker.start();
    broker.on(API_VERSIONS, () => {});
    const clock = new MockClock();
    const isAsked = broker.next(API_VERSIONS);
    const open = connectionTo(broker.port, { clock, connectTimeoutMs: 30 }).open();
    await isAsked;
    clock.advance(30);
    await assert.rejects(open, named(/did not answer within 30 ms/));
  });
  await t.test("cut off", async () => {
    await using broker = await FakeBroker.start();
    broker.on(API_VERSIONS, (request) => request.socket.destroy());
    await assert.rejects(connectionTo(broker.port).open(), named(/was lost/));
  });
});

test("the highest version that both sides have is spoken; when there is none, the error names them", async () => {
  await using broker = await FakeBroker.start();
  broker.on(API_VERSIONS, (request) =>
    request.answer(
      apiVersionsBody(
        new Map([
          [8, [2, 8]],
          [HEARTBEAT, [0, 3]],
        ]),
      ),
    ),
  );
  const connection = await opened(broker);
  assert.equal(connection.version(OffsetCommit), 8);
  await assert.rejects(connection.request(Heartbeat, REQUEST, LONG), (error: unknown) => {
    assert.ok(error instanceof UnsupportedBrokerError);
    assert.match(error.message, /Heartbeat.*it offers v0 to v3, wanted is one of v4/);
    return true;
  });
  connection.close();
});

test("a broker from before ApiVersions v3 is refused with the version that is needed", async () => {
  await using broker = await FakeBroker.start();
  broker.on(API_VERSIONS, (request) => request.answer(Buffer.of(0, 35, 0, 0, 0, 0)));
  await assert.rejects(connectionTo(broker.port).open(), (error: unknown) => {
    assert.ok(error instanceof UnsupportedBrokerError);
    assert.match(error.message, /needs Kafka 3\.1 or newer/);
    return true;
  });
});

test("the broker is told this package's version", async () => {
  const { version } = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  const { SOFTWARE } = await import("../../../src/kafka/client/negotiated-versions.ts");
  assert.equal(SOFTWARE.softwareVersion, version);
});
