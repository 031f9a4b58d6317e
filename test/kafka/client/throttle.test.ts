import assert from "node:assert/strict";
import { test } from "node:test";
import { Writer } from "@platformatic/kafka";
import { systemClock } from "../../../src/clock.ts";
import { Heartbeat, Produce, type HeartbeatRequest } from "../../../src/kafka/client/apis.ts";
import { BrokerConnection } from "../../../src/kafka/client/connection.ts";
import { resolveSecurity } from "../../../src/kafka/client/security.ts";
import { MockClock } from "../../../src/testing/mock-clock.ts";
import { clientConfig } from "./client-config.ts";
import { FakeBroker, heartbeatBody } from "./fake-broker.ts";

const PRODUCE = 0;
const HEARTBEAT = 12;
const REQUEST: [HeartbeatRequest] = [
  { groupId: "group", generationId: 1, memberId: "member", groupInstanceId: null },
];
const LONG = { timeoutMs: 60_000 };

async function opened(broker: FakeBroker, clock = systemClock): Promise<BrokerConnection> {
  const connection = new BrokerConnection(
    { nodeId: 1, host: "127.0.0.1", port: broker.port },
    {
      clock,
      clientId: "test",
      security: resolveSecurity(clientConfig([broker.port])),
      connectTimeoutMs: 30_000,
      maxResponseBytes: 1_000_000,
    },
  );
  await connection.open();
  return connection;
}

function throttledHeartbeat(throttleTimeMs: number): Writer {
  return Writer.create().appendInt32(throttleTimeMs).appendInt16(0).appendTaggedFields();
}

test("a broker that asks for a pause gets no request before it is over, and then all in their order", async () => {
  await using broker = await FakeBroker.start();
  const clock = new MockClock();
  const connection = await opened(broker, clock);
  const order: number[] = [];
  broker.on(HEARTBEAT, (request) => request.answer(throttledHeartbeat(5_000)));
  await connection.request(Heartbeat, REQUEST, LONG);

  broker.on(HEARTBEAT, (request) => {
    order.push(request.correlationId);
    request.answer(heartbeatBody());
  });
  // Its time counts from when it is sent, or a pause would let it fail.
  const waiting = [1, 2, 3].map(() => connection.request(Heartbeat, REQUEST, { timeoutMs: 1_000 }));
  clock.advance(4_999);
  // What had been sent would be there by the time that another connection has had an answer.
  const other = await opened(broker);
  assert.deepEqual(order, []);
  assert.equal(connection.inFlight, 0);
  other.close();

  clock.advance(1);
  await Promise.all(waiting);
  assert.deepEqual(
    order,
    order.toSorted((one, another) => one - another),
  );
  assert.equal(order.length, 3);
  connection.close();
});

test("the pause in the answer to a Produce counts too, though it comes at the end", async () => {
  await using broker = await FakeBroker.start();
  const clock = new MockClock();
  const connection = await opened(broker, clock);
  broker.on(PRODUCE, (request) =>
    request.answer(
      Writer.create()
        .appendArray([], () => {})
        .appendInt32(700)
        .appendTaggedFields(),
    ),
  );
  const request = { transactionalId: null, acks: -1, timeoutMs: 1_000, topics: [] } as const;
  await connection.request(Produce, [request], LONG);
  const sent = broker.next(PRODUCE);
  const second = connection.request(Produce, [request], LONG);
  assert.equal(connection.inFlight, 0);
  clock.advance(700);
  await sent;
  await second;
  connection.close();
});

test("a connection that ends in a pause fails at once what waits for its end", async () => {
  await using broker = await FakeBroker.start();
  broker.on(HEARTBEAT, (request) => request.answer(throttledHeartbeat(2 ** 31 - 1)));
  const connection = await opened(broker);
  await connection.request(Heartbeat, REQUEST, LONG);
  const waiting = connection.request(Heartbeat, REQUEST, LONG);
  broker.cutAll();
  await assert.rejects(waiting, /was lost/);
});
