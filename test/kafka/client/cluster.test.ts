import assert from "node:assert/strict";
import { test } from "node:test";
import { Heartbeat } from "../../../src/kafka/client/apis.ts";
import { TransportError, UnsupportedBrokerError } from "../../../src/kafka/client/transport-error.ts";
import { MockClock } from "../../../src/testing/mock-clock.ts";
import { ownPort } from "../ports.ts";
import { clusterOf, fastClock, HeldTimers, servesMetadata } from "./cluster-harness.ts";
import { apiVersionsBody, coordinatorBody, FakeBroker, heartbeatBody, metadataBody } from "./fake-broker.ts";

const METADATA = 3;
const FIND_COORDINATOR = 10;
const HEARTBEAT = 12;
const API_VERSIONS = 18;

test("a refresh learns brokers, topics and leaders from whichever bootstrap server answers", async () => {
  const refusing = await ownPort();
  await using broker = await FakeBroker.start();
  servesMetadata(broker, [{ name: "orders", partitions: [[1, 3]] }]);
  await using t = clusterOf([refusing, broker.port]);
  t.cluster.setTopics(["orders"]);

  await t.cluster.refresh();
  assert.deepEqual(t.cluster.leader("orders", 0), { nodeId: 1, leaderEpoch: 3 });
  assert.deepEqual(t.cluster.topicNames(), ["orders"]);
  const connection = await t.cluster.connection(1, "fetch");
  assert.equal(connection.address.port, broker.port);
  assert.deepEqual(t.logger.lines, []);
});

test(
  "a bootstrap server that takes the connection and says nothing does not hold up the others",
  { timeout: 60_000 },
  async () => {
    await using silent = await FakeBroker.start();
    silent.on(API_VERSIONS, () => {});
    await using broker = await FakeBroker.start();
    servesMetadata(broker);
    // Both orders come up over the rounds: the servers are tried in no fixed order.
    for (let round = 0; round < 8; round += 1) {
      const patient = { "socket.connection.setup.timeout.ms": 60_000_000 };
      await using t = clusterOf([silent.port, broker.port], patient, fastClock);
      await t.cluster.refresh();
    }
  },
);

test("an unreachable cluster is told once, and once when it can be reached again, however often it is tried", async () => {
  await using broker = await FakeBroker.start();
  let tries = 0;
  broker.on(API_VERSIONS, (request) => {
    tries += 1;
    if (tries < 6) request.socket.destroy();
    else request.answer(apiVersionsBody());
  });
  servesMetadata(broker);
  await using t = clusterOf([broker.port]);

  await t.cluster.refresh();
  assert.equal(tries, 6);
  assert.deepEqual(t.logger.lines, [
    "warn: The Kafka cluster cannot be reached; trying again until it can.",
    "info: The Kafka cluster can be reached again.",
  ]);
});

test("refreshes asked for together are one request; one asked for meanwhile begins afterwards", async () => {
  await using broker = await FakeBroker.start();
  await using t = clusterOf([broker.port]);
  let requests = 0;
  broker.on(METADATA, () => (requests += 1));

  const firstHasCome = broker.next(METADATA);
  const first = [t.cluster.refresh(), t.cluster.refresh(), t.cluster.refresh()];
  const firstRequest = await firstHasCome;
  const secondHasCome = broker.next(METADATA);
  let secondIsDone = false;
  const second = [t.cluster.refresh(), t.cluster.refresh()].map((refresh) =>
    refresh.then(() => (secondIsDone = true)),
  );
  firstRequest.answer(metadataBody([{ nodeId: 1, port: broker.port }]));
  await Promise.all(first);
  assert.equal(secondIsDone, false);
  (await secondHasCome).answer(metadataBody([{ nodeId: 1, port: broker.port }]));
  await Promise.all(second);
  assert.equal(requests, 2);
});

test("a broker that knows of no brokers is not believed", async () => {
  await using starting = await FakeBroker.start();
  starting.on(METADATA, (request) => request.answer(metadataBody([])));
  await using broker = await FakeBroker.start();
  servesMetadata(broker);
  await using t = clusterOf([starting.port, broker.port]);
  await t.cluster.refresh();
  await t.cluster.connection(1, "group");
});

test("a metadata request that fails is sent again to a broker that answers", async () => {
  await using broker = await FakeBroker.start();
  const timeoutMs = 7_654;
  const clock = new HeldTimers(timeoutMs);
  let requests = 0;
  broker.on(METADATA, (request) => {
    requests += 1;
    if (requests === 1) request.socket.destroy();
    else if (requests === 2) request.answer(Buffer.of(1, 2, 3));
    // This one has no answer.
    else if (requests === 3) clock.goOff();
    else request.answer(metadataBody([{ nodeId: 1, port: broker.port }]));
  });
  await using t = clusterOf([broker.port], { "socket.timeout.ms": timeoutMs }, clock);
  await t.cluster.refresh();
  assert.equal(requests, 4);
});

test("listeners hear of changes, and of nothing else", async () => {
  await using broker = await FakeBroker.start();
  await using t = clusterOf([broker.port]);
  t.cluster.setTopics(["orders"]);
  let changes = 0;
  const stop = t.cluster.onChange(() => (changes += 1));

  servesMetadata(broker, [{ name: "orders", partitions: [[1, 3]] }]);
  await t.cluster.refresh();
  await t.cluster.refresh();
  assert.equal(changes, 1);
  servesMetadata(broker, [{ name: "orders", partitions: [[1, 4]] }]);
  await t.cluster.refresh();
  assert.equal(changes, 2);
  stop();
  servesMetadata(broker, [{ name: "orders", partitions: [[1, 5]] }]);
  await t.cluster.refresh();
  assert.equal(changes, 2);
});

test("a partition without a leader is asked for again without anybody asking", async () => {
  await using broker = await FakeBroker.start();
  await using t = clusterOf([broker.port]);
  t.cluster.setTopics(["orders"]);
  servesMetadata(broker, [{ name: "orders", partitions: [[-1, 3]] }]);
  await t.cluster.refresh();
  assert.equal(t.cluster.leader("orders", 0), undefined);

  const elected = new Promise<void>((resolve) => t.cluster.onChange(resolve));
  servesMetadata(broker, [{ name: "orders", partitions: [[1, 4]] }]);
  await elected;
  assert.deepEqual(t.cluster.leader("orders", 0), { nodeId: 1, leaderEpoch: 4 });
});

test("metadata is refreshed by itself in the interval of the configuration", async () => {
  await using broker = await FakeBroker.start();
  await using t = clusterOf([broker.port], { "topic.metadata.refresh.interval.ms": 20 });
  servesMetadata(broker);
  await t.cluster.refresh();
  for (let round = 0; round < 3; round += 1) await broker.next(METADATA);
});

test("connections are shared by node and purpose, and made anew once they are lost", async () => {
  await using broker = await FakeBroker.start();
  servesMetadata(broker);
  broker.on(HEARTBEAT, (request) => request.answer(heartbeatBody()));
  await using t = clusterOf([broker.port]);
  await t.cluster.refresh();

  const [one, same, other] = await Promise.all([
    t.cluster.connection(1, "group"),
    t.cluster.connection(1, "group"),
    t.cluster.connection(1, "fetch"),
  ]);
  assert.equal(one, same);
  assert.notEqual(one, other);
  assert.equal(await t.cluster.connection(1, "group"), one);

  const held = broker.next(HEARTBEAT);
  broker.on(HEARTBEAT, () => {});
  const request = one.request(
    Heartbeat,
    [{ groupId: "g", generationId: 1, memberId: "m", groupInstanceId: null }],
    { timeoutMs: 60_000 },
  );
  await held;
  broker.cutAll();
  await assert.rejects(request, TransportError);
  const anew = await t.cluster.connection(1, "group");
  assert.notEqual(anew, one);
  assert.equal(anew.alive, true);
});

test("a broker that cannot be connected to fails each call, is left alone in between, and is told once", async () => {
  await using bootstrap = await FakeBroker.start();
  const port = await ownPort();
  bootstrap.on(METADATA, (request) =>
    request.answer(
      metadataBody([
        { nodeId: 1, port: bootstrap.port },
        { nodeId: 2, port },
      ]),
    ),
  );
  await using t = clusterOf([bootstrap.port], { "reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 50 });
  await t.cluster.refresh();

  const atMs = performance.now();
  await assert.rejects(t.cluster.connection(2, "fetch"), /broker 2 .* cannot be connected to/);
  await assert.rejects(t.cluster.connection(2, "fetch"), TransportError);
  assert.ok(performance.now() - atMs >= 39, "the second attempt came at once");
  await assert.rejects(t.cluster.connection(2, "group"), TransportError);

  await using returned = await FakeBroker.start(port);
  assert.equal((await t.cluster.connection(2, "fetch")).address.port, returned.port);
  assert.deepEqual(t.logger.lines, [
    "warn: Broker 2 cannot be reached; trying again until it can.",
    "info: Broker 2 can be reached again.",
  ]);
});

test(
  "attempts that fail together make the next one wait as one failure does",
  { timeout: 60_000 },
  async () => {
    await using bootstrap = await FakeBroker.start();
    const brokers = [
      { nodeId: 1, port: bootstrap.port },
      { nodeId: 2, port: await ownPort() },
    ];
    bootstrap.on(METADATA, (request) => request.answer(metadataBody(brokers)));
    const settings = { "reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 60_000 };
    const clock = new MockClock();
    await using t = clusterOf([bootstrap.port], settings, clock);
    await t.cluster.refresh();
    const purposes = ["metadata", "fetch", "fetch-side", "produce", "group", "join"] as const;
    await Promise.allSettled(purposes.map((purpose) => t.cluster.connection(2, purpose)));

    // Jitter included. If each of them counted, it would wait for more than a second of a time that stands still.
    const next = t.cluster.connection(2, "join");
    clock.advance(60);
    await assert.rejects(next, TransportError);
  },
);

test("a broker that keeps telling an old story is not asked for ever", async () => {
  await using behind = await FakeBroker.start();
  await using current = await FakeBroker.start();
  const brokers = [
    { nodeId: 1, port: behind.port },
    { nodeId: 2, port: current.port },
  ];
  behind.on(METADATA, (request) =>
    request.answer(metadataBody(brokers, [{ name: "orders", partitions: [[1, 3]] }])),
  );
  current.on(METADATA, (request) =>
    request.answer(metadataBody(brokers, [{ name: "orders", partitions: [[2, 4]] }])),
  );
  await using t = clusterOf([behind.port]);
  t.cluster.setTopics(["orders"]);
  for (let round = 0; round < 6; round += 1) await t.cluster.refresh();
  assert.deepEqual(t.cluster.leader("orders", 0), { nodeId: 2, leaderEpoch: 4 });
});

test("a broker that is not known yet is asked for before its connection fails", async () => {
  await using broker = await FakeBroker.start();
  servesMetadata(broker, [], 7);
  await using t = clusterOf([broker.port]);
  assert.equal((await t.cluster.connection(7, "join")).address.nodeId, 7);
  await assert.rejects(t.cluster.connection(8, "join"), /Broker 8 is not part of the cluster/);
});

test("a broker that has moved is connected to where it is now", async () => {
  await using before = await FakeBroker.start();
  await using after = await FakeBroker.start();
  servesMetadata(before);
  await using t = clusterOf([before.port]);
  await t.cluster.refresh();
  const old = await t.cluster.connection(1, "group");

  before.on(METADATA, (request) => request.answer(metadataBody([{ nodeId: 1, port: after.port }])));
  await t.cluster.refresh();
  assert.equal(old.alive, false);
  assert.equal((await t.cluster.connection(1, "group")).address.port, after.port);
});

test("when every known broker is gone, the bootstrap servers are asked again", async () => {
  await using bootstrap = await FakeBroker.start();
  const first = await FakeBroker.start();
  bootstrap.on(METADATA, (request) => request.answer(metadataBody([{ nodeId: 1, port: first.port }])));
  servesMetadata(first);
  await using t = clusterOf([bootstrap.port]);
  await t.cluster.refresh();
  const lost = await t.cluster.connection(1, "group");
  await first.close();
  await using second = await FakeBroker.start();
  bootstrap.on(METADATA, (request) => request.answer(metadataBody([{ nodeId: 2, port: second.port }])));
  bootstrap.cutAll();

  await t.cluster.refresh();
  assert.equal(lost.alive, false);
  assert.equal((await t.cluster.connection(2, "group")).address.port, second.port);
});

test("a coordinator is looked up once for all who ask, tried until there is one, and kept until it is forgotten", async () => {
  await using broker = await FakeBroker.start();
  servesMetadata(broker);
  let requests = 0;
  broker.on(FIND_COORDINATOR, (request) => {
    requests += 1;
    request.answer(coordinatorBody("orders", requests < 3 ? -1 : 4, broker.port, requests < 3 ? 15 : 0));
  });
  await using t = clusterOf([broker.port]);

  assert.deepEqual(
    await Promise.all([t.cluster.coordinator("orders"), t.cluster.coordinator("orders")]),
    [4, 4],
  );
  assert.equal(await t.cluster.coordinator("orders"), 4);
  assert.equal(requests, 3);
  // The answer said where it is: that is enough to connect, although no metadata has named it.
  assert.equal((await t.cluster.connection(4, "group")).address.port, broker.port);
  t.cluster.forgetCoordinator("orders");
  assert.equal(await t.cluster.coordinator("orders"), 4);
  assert.equal(requests, 4);
});

test("a group that may not be used is a clear error", async () => {
  await using broker = await FakeBroker.start();
  broker.on(FIND_COORDINATOR, (request) => request.answer(coordinatorBody("orders", -1, -1, 30)));
  await using t = clusterOf([broker.port]);
  await assert.rejects(t.cluster.coordinator("orders"), {
    code: "ARROYO_CONSUMER",
    message: 'Group "orders" cannot be used: GROUP_AUTHORIZATION_FAILED.',
  });
});

test("brokers that are all too old are a clear error instead of an endless wait", async () => {
  await using broker = await FakeBroker.start();
  broker.on(API_VERSIONS, (request) => request.answer(apiVersionsBody(new Map([[METADATA, [0, 9]]]))));
  await using t = clusterOf([broker.port]);
  await assert.rejects(t.cluster.refresh(), (error: unknown) => {
    assert.ok(error instanceof UnsupportedBrokerError);
    assert.match(error.message, /no version of Metadata that this client speaks: it offers v0 to v9/);
    return true;
  });
});

test("brokers from before this client's way to ask for versions are a clear error too", async () => {
  await using broker = await FakeBroker.start();
  broker.on(API_VERSIONS, (request) => request.answer(Buffer.of(0, 35, 0, 0, 0, 0)));
  await using t = clusterOf([broker.port]);
  await assert.rejects(t.cluster.refresh(), UnsupportedBrokerError);
  await assert.rejects(t.cluster.coordinator("orders"), UnsupportedBrokerError);
});
