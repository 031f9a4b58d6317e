import assert from "node:assert/strict";
import { test } from "node:test";
import { Writer } from "@platformatic/kafka";
import { systemClock } from "../../../src/clock.ts";
import { ArroyoError } from "../../../src/errors.ts";
import {
  ApiVersions,
  FindCoordinator,
  Heartbeat,
  InitProducerId,
  JoinGroup,
  LeaveGroup,
  ListOffsets,
  Metadata,
  OffsetCommit,
  OffsetFetch,
  Produce,
  SyncGroup,
  type Api,
} from "../../../src/kafka/client/apis.ts";
import { BrokerConnection } from "../../../src/kafka/client/connection.ts";
import { ConsumerGroupHeartbeat } from "../../../src/kafka/client/consumer-group-apis.ts";
import { parseFetchResponse } from "../../../src/kafka/client/fetch-response.ts";
import { MalformedResponseError, ResponseCursor } from "../../../src/kafka/client/response-cursor.ts";
import { resolveSecurity } from "../../../src/kafka/client/security.ts";
import { TransportError } from "../../../src/kafka/client/transport-error.ts";
import { SeededRandom } from "../../seeded-random.ts";
import { fuzz, fuzzSeed, mutated } from "../fuzzing.ts";
import { clientConfig } from "./client-config.ts";
import {
  apiVersionsBody,
  coordinatorBody,
  FakeBroker,
  frameOf,
  heartbeatBody,
  metadataBody,
  TOPIC_ID,
} from "./fake-broker.ts";
import { fetchResponseBody } from "./fetch-bytes.ts";

const SASL_HANDSHAKE = 17;

type AnyApi = Api<never[], unknown>;

const ints = (writer: Writer, values: readonly number[]): Writer =>
  writer.appendArray([...values], (each, value) => each.appendInt32(value), true, false);

/** Sound answers, of the newest version of each RPC. */
const ANSWERS: readonly (readonly [api: AnyApi, body: Writer])[] = [
  [ApiVersions, apiVersionsBody()],
  [
    Metadata,
    metadataBody(
      [
        { nodeId: 1, port: 9092 },
        { nodeId: 2, port: 9093 },
      ],
      [{ name: "orders", partitions: [[1, 3], [2, 4]] }, { name: "none", errorCode: 3 }], // prettier-ignore
    ),
  ],
  [FindCoordinator, coordinatorBody("group", 1, 9092)],
  [
    ListOffsets,
    Writer.create()
      .appendInt32(0)
      .appendArray(["orders", "others"], (writer, name) =>
        writer
          .appendString(name)
          .appendArray([0, 1], (each, index) =>
            each.appendInt32(index).appendInt16(0).appendInt64(-1n).appendInt64(42n).appendInt32(3),
          ),
      )
      .appendTaggedFields(),
  ],
  [Heartbeat, heartbeatBody()],
  [
    JoinGroup,
    Writer.create()
      .appendInt32(0)
      .appendInt16(0)
      .appendInt32(7)
      .appendString("consumer")
      .appendString("range")
      .appendString("leader")
      .appendBoolean(false)
      .appendString("leader")
      .appendArray(["leader", "other"], (writer, id) =>
        writer.appendString(id).appendString(null).appendBytes(Buffer.from("metadata")),
      )
      .appendTaggedFields(),
  ],
  [
    SyncGroup,
    Writer.create()
      .appendInt32(0)
      .appendInt16(0)
      .appendString("consumer")
      .appendString("range")
      .appendBytes(Buffer.from("assignment"))
      .appendTaggedFields(),
  ],
  [
    LeaveGroup,
    Writer.create()
      .appendInt32(0)
      .appendInt16(0)
      .appendArray(["one", "two"], (writer, id) => writer.appendString(id).appendString(null).appendInt16(0))
      .appendTaggedFields(),
  ],
  [
    OffsetCommit,
    Writer.create()
      .appendInt32(0)
      .appendArray(["orders"], (writer, name) =>
        writer
          .appendString(name)
          .appendArray([0, 1, 2], (each, index) => each.appendInt32(index).appendInt16(0)),
      )
      .appendTaggedFields(),
  ],
  [
    OffsetFetch,
    Writer.create()
      .appendInt32(0)
      .appendArray(["group"], (writer, id) =>
        writer
          .appendString(id)
          .appendArray(["orders"], (topic, name) =>
            topic
              .appendString(name)
              .appendArray([0, 1], (each, index) =>
                each.appendInt32(index).appendInt64(5n).appendInt32(1).appendString("").appendInt16(0),
              ),
          )
          .appendInt16(0),
      )
      .appendTaggedFields(),
  ],
  [
    Produce,
    Writer.create()
      .appendArray(["orders"], (writer, name) =>
        writer.appendString(name).appendArray([0, 1], (each, index) =>
          each
            .appendInt32(index)
            .appendInt16(index * 6)
            .appendInt64(100n)
            .appendInt64(-1n)
            .appendInt64(0n)
            .appendArray([0], (error, at) => error.appendInt32(at).appendString("why"))
            .appendString("no leader"),
        ),
      )
      .appendInt32(0)
      .appendTaggedFields(),
  ],
  [
    InitProducerId,
    Writer.create().appendInt32(0).appendInt16(0).appendInt64(9n).appendInt16(1).appendTaggedFields(),
  ],
  [
    ConsumerGroupHeartbeat,
    Writer.create()
      .appendInt32(0)
      .appendInt16(0)
      .appendString(null)
      .appendString("member")
      .appendInt32(3)
      .appendInt32(5_000)
      .appendInt8(1)
      .appendArray([TOPIC_ID], (writer, id) => ints(writer.appendUUID(id), [0, 1, 2]))
      .appendTaggedFields()
      .appendTaggedFields(),
  ],
] as readonly (readonly [AnyApi, Writer])[];

const bodies = ANSWERS.map(([, body]) => Buffer.from(body.buffer));

const cursorAt = (bytes: Buffer): ResponseCursor => new ResponseCursor(bytes, "any");

test("every sound answer can be read", () => {
  for (const [{ name, versions }, body] of ANSWERS) {
    assert.ok(versions[0].read(cursorAt(Buffer.from(body.buffer))), name);
  }
});

test("50,000 damaged answers, of each RPC, end in a value or an error, soon and with little memory", () => {
  fuzz({ inputs: bodies, runs: 50_000, maxAllocatedBytes: 1_000_000 }, (bytes, _random, input) => {
    try {
      ANSWERS[input]![0].versions[0].read(cursorAt(bytes));
      return "value";
    } catch (error) {
      if (!(error instanceof MalformedResponseError)) throw error;
      return "error";
    }
  });
});

test("lengths below zero do not keep a reader busy", () => {
  const tags = Buffer.from("ffffffff0700f9ffffff0ff9ffffff0f", "hex");
  for (const [at, [{ name, versions }]] of ANSWERS.entries()) {
    const body = Buffer.concat([bodies[at]!.subarray(0, -1), tags]);
    const before = process.threadCpuUsage();
    assert.throws(() => versions[0].read(cursorAt(body)), Error, name);
    assert.ok(process.threadCpuUsage(before).user < 2_000_000);
  }
});

test("50,000 damaged answers to Fetch end in a value or in a MalformedResponseError", () => {
  const records = Buffer.alloc(300, 7);
  const abortedTransactions = [{ producerId: 1n, firstOffset: 2 }];
  const body = fetchResponseBody({
    topics: [
      {
        topicId: TOPIC_ID,
        partitions: [
          { index: 0, abortedTransactions, records },
          { index: 1, errorCode: 6, currentLeader: { nodeId: 1, leaderEpoch: 1 }, unknownTag: true },
        ],
      },
      { topicId: TOPIC_ID, partitions: [{ index: 9, divergingEpoch: { epoch: 1, endOffset: 1 } }] },
    ],
  });
  fuzz({ inputs: [body, body.subarray(0, 80)], runs: 50_000, maxAllocatedBytes: 1_000_000 }, (bytes) => {
    try {
      const { topics } = parseFetchResponse(cursorAt(bytes));
      for (const topic of topics) {
        for (const partition of topic.partitions) assert.ok(partition.records.length <= bytes.length);
      }
      return "value";
    } catch (error) {
      if (!(error instanceof MalformedResponseError)) throw error;
      return "error";
    }
  });
});

test("a connection makes a TransportError of every answer that cannot be read, and says whose it was", async () => {
  await using broker = await FakeBroker.start();
  const seed = fuzzSeed();
  const random = new SeededRandom(seed);
  const security = resolveSecurity(clientConfig([broker.port]));
  const seen = { value: 0, error: 0 };
  for (let run = 0; run < 300; run++) {
    const at = 1 + random.below(ANSWERS.length - 1);
    const api = ANSWERS[at]![0];
    const body = mutated(bodies[at]!, random, bodies);
    broker.on(api.key, (request) => request.answer(body));
    const connection = new BrokerConnection(
      { nodeId: 1, host: "127.0.0.1", port: broker.port },
      { clock: systemClock, clientId: "t", security, connectTimeoutMs: 30_000, maxResponseBytes: 1_000_000 },
    );
    await connection.open();
    try {
      const ask = {
        ...api,
        versions: [{ ...api.versions[0], write: () => {}, unanswered: undefined }],
      } as unknown as Api<[], unknown>;
      await connection.request(ask, [], { timeoutMs: 30_000 });
      seen.value++;
    } catch (error) {
      assert.ok(error instanceof ArroyoError, `${String(error)} (ARROYO_FUZZ_SEED=${seed})`);
      if (TransportError.is(error)) assert.match(error.message, /broker 1 \(127\.0\.0\.1:\d+\)/);
      seen.error++;
    } finally {
      connection.close();
    }
  }
  assert.ok(seen.value > 10 && seen.error > 10, JSON.stringify(seen));
});

test("a handshake that claims two thousand million mechanisms, each of them less than nothing, is an error", async () => {
  await using broker = await FakeBroker.start();
  broker.on(SASL_HANDSHAKE, ({ socket, correlationId }) => {
    const correlation = Buffer.alloc(4);
    correlation.writeInt32BE(correlationId);
    socket.write(frameOf(Buffer.concat([correlation, Buffer.from("00007ffffffffffe0000", "hex")])));
  });
  const config = clientConfig([broker.port], {
    "security.protocol": "sasl_plaintext",
    "sasl.mechanism": "PLAIN",
    "sasl.username": "user",
    "sasl.password": "password",
  });
  const connection = new BrokerConnection(
    { nodeId: 1, host: "127.0.0.1", port: broker.port },
    {
      clock: systemClock,
      clientId: "t",
      security: resolveSecurity(config),
      connectTimeoutMs: 30_000,
      maxResponseBytes: 1_000_000,
    },
  );
  await assert.rejects(connection.open(), ArroyoError);
});
