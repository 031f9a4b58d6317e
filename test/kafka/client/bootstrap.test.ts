import assert from "node:assert/strict";
import dns from "node:dns";
import type { Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { systemClock, type Clock } from "../../../src/clock.ts";
import type { LogFields, Logger } from "../../../src/logger.ts";
import { Heartbeat } from "../../../src/kafka/client/apis.ts";
import { Cluster } from "../../../src/kafka/client/cluster.ts";
import type { BrokerConnection } from "../../../src/kafka/client/connection.ts";
import { TransportError } from "../../../src/kafka/client/transport-error.ts";
import { MockClock } from "../../../src/testing/mock-clock.ts";
import { ownPort } from "../ports.ts";
import { clientConfig, type ClientSettings } from "./client-config.ts";
import { FakeBroker, heartbeatBody, metadataBody } from "./fake-broker.ts";

const METADATA = 3;
const HEARTBEAT = 12;
const API_VERSIONS = 18;

/** Seconds take ten milliseconds. */
const fastClock: Clock = {
  ...systemClock,
  setTimeout: (callback, delayMs) => systemClock.setTimeout(callback, delayMs / 100),
};

interface TestCluster extends AsyncDisposable {
  readonly cluster: Cluster;
  /** What an operator sees. */
  readonly lines: string[];
}

function clusterOf(
  servers: string | readonly number[],
  clock: Clock = systemClock,
  settings: ClientSettings = {},
): TestCluster {
  const lines: string[] = [];
  const note = (_fields: LogFields, message: string): void => void lines.push(message);
  const logger: Logger = { debug: () => {}, info: note, warn: note, error: note };
  const cluster = new Cluster({ config: clientConfig(servers, settings), clock, logger });
  return { cluster, lines, [Symbol.asyncDispose]: () => cluster.close() };
}

function describes(broker: FakeBroker, brokers: readonly { nodeId: number; port: number }[]): void {
  broker.on(METADATA, (request) => request.answer(metadataBody(brokers)));
}

async function isLost(connection: BrokerConnection): Promise<void> {
  while (connection.alive) await new Promise((resolve) => setImmediate(resolve));
}

/** Makes a name stand for whichever address the test says, and counts how often it is looked up. */
function nameServer(t: TestContext, name: string): { address: string; lookups: number } {
  const entry = { address: "127.0.0.1", lookups: 0 };
  const real = dns.lookup as (...args: unknown[]) => void;
  t.mock.method(
    dns,
    "lookup",
    (host: string, options: { all?: boolean }, callback: (...args: unknown[]) => void) => {
      if (host !== name) return real(host, options, callback);
      entry.lookups += 1;
      const { address } = entry;
      process.nextTick(() => {
        if (options.all === true) callback(null, [{ address, family: 4 }]);
        else callback(null, address, 4);
      });
    },
  );
  return entry;
}

test("a bootstrap server's name is looked up anew when all known brokers are gone", async (t) => {
  const name = nameServer(t, "kafka.test");
  await using bootstrap = await FakeBroker.start(await ownPort());
  const first = await FakeBroker.start();
  describes(bootstrap, [{ nodeId: 1, port: first.port }]);
  await using client = clusterOf(`kafka.test:${bootstrap.port}`);
  await client.cluster.refresh();

  // The whole cluster moves: nothing is where it was, and the name leads to where it is now.
  await using second = await FakeBroker.start();
  await using moved = await FakeBroker.start(bootstrap.port, undefined, "127.0.0.2");
  describes(moved, [{ nodeId: 2, port: second.port }]);
  name.address = "127.0.0.2";
  await Promise.all([bootstrap.close(), first.close()]);

  await client.cluster.refresh();
  assert.equal((await client.cluster.connection(2, "group")).address.port, second.port);
  await assert.rejects(client.cluster.connection(1, "group"), /Broker 1 is not part of the cluster/);
  assert.ok(name.lookups >= 2);
});

test("known brokers that take connections and answer nothing do not keep the bootstrap servers from being asked", async () => {
  await using bootstrap = await FakeBroker.start();
  await using one = await FakeBroker.start();
  await using other = await FakeBroker.start();
  await using current = await FakeBroker.start();
  const brokers = [
    { nodeId: 1, port: one.port },
    { nodeId: 2, port: other.port },
  ];
  describes(bootstrap, brokers);
  // On a busy machine a connection takes a while; a question that was answered too late is asked again.
  const patient = { "socket.connection.setup.timeout.ms": 60_000_000 };
  await using client = clusterOf([bootstrap.port], fastClock, patient);
  await client.cluster.refresh();

  // Cut off from their cluster, they know of no answer; their connections are as good as ever.
  describes(bootstrap, [{ nodeId: 3, port: current.port }]);
  bootstrap.cutAll();
  await client.cluster.refresh();
  assert.equal((await client.cluster.connection(3, "fetch")).address.port, current.port);
});

test("when many known brokers say nothing at all, the bootstrap servers do not come last", async () => {
  const clock = new MockClock();
  await using bootstrap = await FakeBroker.start();
  const known = await Promise.all(Array.from({ length: 8 }, () => FakeBroker.start()));
  try {
    describes(
      bootstrap,
      known.map(({ port }, index) => ({ nodeId: index + 1, port })),
    );
    await using client = clusterOf([bootstrap.port], clock);
    await client.cluster.refresh();

    describes(bootstrap, [{ nodeId: 20, port: bootstrap.port }]);
    for (const broker of known) broker.on(API_VERSIONS, () => {});
    const asked = await client.cluster.anyBroker();
    bootstrap.cutAll();
    await isLost(asked);
    let settled = false;
    const refreshed = client.cluster.refresh().finally(() => (settled = true));
    let tried = 0;
    while (!settled) {
      await new Promise((resolve) => setImmediate(resolve));
      const nowTried = known.filter(({ connections }) => connections > 0).length;
      // Each has the time to take the connection before the next is tried.
      if (nowTried > tried || clock.monotonicMs() === 0) clock.advance(1_000);
      tried = nowTried;
    }
    await refreshed;
    assert.ok(tried < known.length, `all of ${tried} known brokers were waited for first`);
    assert.equal((await client.cluster.connection(20, "fetch")).address.port, bootstrap.port);
  } finally {
    await Promise.all(known.map((broker) => broker.close()));
  }
});

test("a client follows its cluster while every broker is replaced, also when no bootstrap server is left", async () => {
  const brokers = await Promise.all(Array.from({ length: 4 }, () => FakeBroker.start()));
  try {
    const all = brokers.map(({ port }, index) => ({ nodeId: index + 1, port }));
    const [one, two, three, four] = brokers as [FakeBroker, FakeBroker, FakeBroker, FakeBroker];
    for (const broker of brokers) describes(broker, all.slice(0, 2));
    await using client = clusterOf([one.port]);
    await client.cluster.refresh();

    for (const broker of brokers) describes(broker, all.slice(1, 3));
    await one.close();
    await client.cluster.refresh();
    assert.equal((await client.cluster.connection(3, "produce")).address.port, three.port);

    for (const broker of brokers) describes(broker, all.slice(2));
    await two.close();
    await client.cluster.refresh();
    assert.equal((await client.cluster.connection(4, "produce")).address.port, four.port);
    await assert.rejects(client.cluster.connection(2, "produce"), /Broker 2 is not part of the cluster/);
    assert.deepEqual(client.lines, []);
  } finally {
    await Promise.all(brokers.map((broker) => broker.close()));
  }
});

test("an idle connection that the broker closes is made anew when it is needed, at once and without a word", async () => {
  await using broker = await FakeBroker.start();
  describes(broker, [{ nodeId: 1, port: broker.port }]);
  broker.on(HEARTBEAT, (request) => request.answer(heartbeatBody()));
  const clock = new MockClock();
  await using client = clusterOf([broker.port], clock);
  await client.cluster.refresh();

  // In turns as a broker closes it, and as a firewall's reset does.
  const closings = [(socket: Socket) => socket.end(), (socket: Socket) => socket.resetAndDestroy()];
  for (let round = 0; round < 4; round += 1) {
    const connection = await client.cluster.connection(1, "group");
    const asked = await client.cluster.anyBroker();
    const ended = Promise.all([...broker.sockets].map((socket) => broker.disconnected(socket)));
    for (const socket of broker.sockets) closings[round % 2]?.(socket);
    await ended;
    await Promise.all([isLost(connection), isLost(asked)]);

    // Time stands still: whoever waits for a back-off here waits for ever.
    const anew = await client.cluster.connection(1, "group");
    const answer = await anew.request(
      Heartbeat,
      [{ groupId: "g", generationId: 1, memberId: "m", groupInstanceId: null }],
      { timeoutMs: 60_000 },
    );
    assert.equal(answer.errorCode, 0);
    clock.advance(1_000);
    await client.cluster.refresh();
  }
  assert.deepEqual(client.lines, []);
});

test("a connection that the broker closes just when a request goes out fails that request only", async () => {
  await using broker = await FakeBroker.start();
  describes(broker, [{ nodeId: 1, port: broker.port }]);
  await using client = clusterOf([broker.port]);
  await client.cluster.refresh();
  broker.on(HEARTBEAT, (request) => request.socket.end());
  const request = [{ groupId: "g", generationId: 1, memberId: "m", groupInstanceId: null }] as const;
  const connection = await client.cluster.connection(1, "group");
  await assert.rejects(connection.request(Heartbeat, [...request], { timeoutMs: 60_000 }), TransportError);

  broker.on(HEARTBEAT, (again) => again.answer(heartbeatBody()));
  const anew = await client.cluster.connection(1, "group");
  assert.equal((await anew.request(Heartbeat, [...request], { timeoutMs: 60_000 })).errorCode, 0);
  assert.deepEqual(client.lines, []);
});
