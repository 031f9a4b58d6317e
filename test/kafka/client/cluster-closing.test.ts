import assert from "node:assert/strict";
import { test } from "node:test";
import { Heartbeat } from "../../../src/kafka/client/apis.ts";
import type { Cluster } from "../../../src/kafka/client/cluster.ts";
import { ClosedError, TransportError } from "../../../src/kafka/client/transport-error.ts";
import { clusterOf, servesMetadata, type RecordingLogger } from "./cluster-harness.ts";
import { coordinatorBody, FakeBroker } from "./fake-broker.ts";

const METADATA = 3;
const FIND_COORDINATOR = 10;
const HEARTBEAT = 12;
const API_VERSIONS = 18;

test("closing ends whatever is under way, at once", async (t) => {
  const stages: Record<
    string,
    (broker: FakeBroker, cluster: Cluster, logger: RecordingLogger) => Promise<Promise<unknown>[]>
  > = {
    "a refresh in the tick in which it was asked for": async (_broker, cluster) => [cluster.refresh()],
    "a refresh that is connecting": async (broker, cluster) => {
      broker.on(API_VERSIONS, () => {});
      const hasCome = broker.next(API_VERSIONS);
      const pending = [cluster.refresh(), cluster.coordinator("g")];
      await hasCome;
      return pending;
    },
    "a refresh that waits for its next try": async (broker, cluster, logger) => {
      broker.on(API_VERSIONS, (request) => request.socket.destroy());
      const pending = [cluster.refresh(), cluster.coordinator("g")];
      await logger.line(/cannot be reached/);
      return pending;
    },
    "a refresh without an answer, and the one after it": async (broker, cluster) => {
      broker.on(METADATA, () => {});
      const hasCome = broker.next(METADATA);
      const pending = [cluster.refresh()];
      await hasCome;
      return [...pending, cluster.refresh()];
    },
    "a connection that is being made": async (broker, cluster) => {
      await cluster.refresh();
      broker.on(API_VERSIONS, () => {});
      const hasCome = broker.next(API_VERSIONS);
      const pending = [cluster.connection(1, "join"), cluster.connection(1, "join")];
      await hasCome;
      return pending;
    },
    "a connection that waits for its next try": async (broker, cluster) => {
      await cluster.refresh();
      broker.on(API_VERSIONS, (request) => request.socket.destroy());
      await assert.rejects(cluster.connection(1, "join"), TransportError);
      return [cluster.connection(1, "join")];
    },
    "a connection to a broker that is still to be found": async (broker, cluster) => {
      broker.on(METADATA, () => {});
      const hasCome = broker.next(METADATA);
      const pending = [cluster.connection(9, "join")];
      await hasCome;
      return pending;
    },
    "a coordinator without an answer": async (broker, cluster) => {
      broker.on(FIND_COORDINATOR, () => {});
      const hasCome = broker.next(FIND_COORDINATOR);
      const pending = [cluster.coordinator("g")];
      await hasCome;
      return pending;
    },
    "a coordinator that is not there yet": async (broker, cluster, logger) => {
      broker.on(FIND_COORDINATOR, (request) => request.answer(coordinatorBody("g", -1, -1, 15)));
      const pending = [cluster.coordinator("g")];
      await logger.line(/coordinator cannot be found/);
      return pending;
    },
    "a request": async (broker, cluster) => {
      await cluster.refresh();
      const connection = await cluster.connection(1, "group");
      const hasCome = broker.next(HEARTBEAT);
      const request = [{ groupId: "g", generationId: 1, memberId: "m", groupInstanceId: null }] as const;
      const pending = [connection.request(Heartbeat, [...request], { timeoutMs: 60_000 })];
      await hasCome;
      return pending;
    },
  };
  for (const [stage, begin] of Object.entries(stages)) {
    await t.test(stage, async () => {
      await using broker = await FakeBroker.start();
      servesMetadata(broker);
      const { cluster, logger } = clusterOf([broker.port], {
        "retry.backoff.ms": 20,
        "reconnect.backoff.ms": 60_000,
        "reconnect.backoff.max.ms": 60_000,
      });
      const pending = await begin(broker, cluster, logger);
      const sockets = [...broker.sockets];
      const settled = Promise.allSettled(pending);
      await cluster.close();
      await cluster.close();
      for (const outcome of await settled) {
        assert.equal(outcome.status, "rejected");
        assert.ok(ClosedError.is(outcome.reason), String(outcome.reason));
      }
      await Promise.all(sockets.map((socket) => broker.disconnected(socket)));
      assert.equal(cluster.closed, true);
      await assert.rejects(cluster.refresh(), ClosedError);
      await assert.rejects(cluster.connection(1, "group"), ClosedError);
      await assert.rejects(cluster.coordinator("g"), ClosedError);
    });
  }
});
