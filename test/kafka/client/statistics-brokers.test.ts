import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../../src/clock.ts";
import { Heartbeat } from "../../../src/kafka/client/apis.ts";
import { ConnectionMaker } from "../../../src/kafka/client/connection-maker.ts";
import { TransportError } from "../../../src/kafka/client/transport-error.ts";
import { ownPort } from "../ports.ts";
import { clientConfig } from "./client-config.ts";
import { FakeBroker, heartbeatBody } from "./fake-broker.ts";

const HEARTBEAT = 12;
const REQUEST = [{ groupId: "group", generationId: 1, memberId: "member", groupInstanceId: null }] as const;

test("what happens on the connections to a broker is counted, and round trips begin anew each time", async () => {
  await using broker = await FakeBroker.start();
  broker.on(HEARTBEAT, (request) => request.answer(heartbeatBody(0)));
  const maker = new ConnectionMaker(clientConfig([broker.port]), systemClock);
  const address = { nodeId: 7, host: "127.0.0.1", port: broker.port };
  const beat = (timeoutMs = 10_000) => connection.request(Heartbeat, [...REQUEST], { timeoutMs });
  const only = () => maker.takeStatistics()[0]!;

  let connection = maker.make(address);
  await connection.open();
  await beat();
  const first = only();
  assert.deepEqual(
    [first.nodeId, first.port, first.connects, first.disconnects, first.errors, first.requestsInFlight],
    [7, broker.port, 1, 0, 0, 0],
  );
  assert.equal(first.roundTrip?.count, 2, "the versions, and the heartbeat");
  assert.equal(only().roundTrip, undefined);

  broker.on(HEARTBEAT, () => {});
  const unanswered = beat();
  assert.equal(only().requestsInFlight, 1);
  broker.cutAll();
  await assert.rejects(unanswered, TransportError);
  assert.deepEqual([only().disconnects, only().errors], [1, 1]);

  // An idle one that the broker closes is no error.
  connection = maker.make(address);
  await connection.open();
  const [socket] = broker.sockets;
  broker.cutAll();
  await broker.disconnected(socket!);
  while (connection.alive) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([only().connects, only().disconnects, only().errors], [2, 2, 1]);

  // One that does not answer in time is, once.
  connection = maker.make(address);
  await connection.open();
  await assert.rejects(beat(20), TransportError);
  assert.deepEqual([only().disconnects, only().errors], [3, 2]);

  // So is one that cannot be made.
  await assert.rejects(maker.make({ ...address, port: await ownPort() }).open(), TransportError);
  assert.deepEqual([only().connects, only().disconnects, only().errors], [3, 3, 3]);
});
