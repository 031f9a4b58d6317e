import assert from "node:assert/strict";
import { test } from "node:test";
import { parseFetchResponse, type FetchResponse } from "../../../src/kafka/client/fetch-response.ts";
import { MalformedResponseError, ResponseCursor } from "../../../src/kafka/client/response-cursor.ts";
import { fetchResponseBody, TOPIC_ID } from "./fetch-bytes.ts";

const read = (body: Buffer): FetchResponse => parseFetchResponse(new ResponseCursor(body, "Fetch"));

const OTHER_ID = "00112233-4455-6677-8899-aabbccddeeff";

test("an answer says everything about each of its partitions, and its records are its own", () => {
  const records = Buffer.from("these are the records");
  const body = fetchResponseBody({
    throttleTimeMs: 17,
    sessionId: 42,
    topics: [
      {
        topicId: TOPIC_ID,
        partitions: [
          {
            index: 3,
            highWatermark: 2 ** 40 + 7,
            lastStableOffset: 2 ** 40 + 5,
            logStartOffset: 12,
            abortedTransactions: [
              { producerId: 2n ** 60n, firstOffset: 100 },
              { producerId: 9n, firstOffset: 2 ** 35 },
            ],
            records,
          },
          { index: 4, errorCode: 6, currentLeader: { nodeId: 2, leaderEpoch: 9 } },
        ],
      },
      {
        topicId: OTHER_ID,
        partitions: [
          {
            index: 0,
            divergingEpoch: { epoch: 3, endOffset: 77 },
            preferredReadReplica: 5,
            unknownTag: true,
          },
        ],
      },
    ],
  });
  const response = read(body);
  assert.equal(response.throttleTimeMs, 17);
  assert.equal(response.errorCode, 0);
  assert.equal(response.sessionId, 42);
  assert.deepEqual(
    response.topics.map((topic) => topic.topicId),
    [TOPIC_ID, OTHER_ID],
  );
  const [first, second] = response.topics[0]!.partitions;
  const third = response.topics[1]!.partitions[0];
  assert.deepEqual(first, {
    index: 3,
    errorCode: 0,
    highWatermark: 2 ** 40 + 7,
    lastStableOffset: 2 ** 40 + 5,
    logStartOffset: 12,
    divergingEpoch: undefined,
    currentLeader: undefined,
    abortedTransactions: [
      { producerId: 2n ** 60n, firstOffset: 100 },
      { producerId: 9n, firstOffset: 2 ** 35 },
    ],
    preferredReadReplica: -1,
    records,
  });
  assert.equal(first.records.buffer.byteLength, records.length, "they can be given away");
  assert.equal(second!.errorCode, 6);
  assert.deepEqual(second!.currentLeader, { nodeId: 2, leaderEpoch: 9 });
  assert.equal(second!.records.length, 0);
  assert.deepEqual(third!.divergingEpoch, { epoch: 3, endOffset: 77 });
  assert.equal(third!.preferredReadReplica, 5);
});

const good = fetchResponseBody({
  topics: [
    {
      topicId: TOPIC_ID,
      partitions: [
        {
          index: 0,
          abortedTransactions: [{ producerId: 1n, firstOffset: 2 }],
          records: Buffer.alloc(300, 7),
        },
        { index: 1, errorCode: 6, currentLeader: { nodeId: 1, leaderEpoch: 1 }, unknownTag: true },
      ],
    },
    { topicId: OTHER_ID, partitions: [{ index: 9, divergingEpoch: { epoch: 1, endOffset: 1 } }] },
  ],
});

test("an answer that ends too early is an error, wherever it ends", () => {
  for (let length = 0; length < good.length; length += 1) {
    assert.throws(() => read(good.subarray(0, length)), MalformedResponseError, `${length}`);
  }
});

test("a length that cannot be true is an error, and sets no memory aside", () => {
  const before = process.memoryUsage();
  // The number of topics is at byte 10; the largest that a varint of five bytes can say is 2^35.
  for (const length of [0x7fffffff, 0x0fffffff]) {
    const lie = Buffer.concat([good.subarray(0, 10), varint(length + 1), good.subarray(11)]);
    assert.throws(() => read(lie), MalformedResponseError);
  }
  const after = process.memoryUsage();
  assert.ok(after.arrayBuffers - before.arrayBuffers < 2 ** 20);
  assert.throws(
    () => read(Buffer.concat([good.subarray(0, 10), Buffer.alloc(9, 0xff)])),
    /Fetch answer is malformed at byte 15 .*: a length is out of range/,
  );
});

test("an offset that a number cannot hold is an error that says so, never a rounded offset", () => {
  const body = fetchResponseBody({ topics: [{ topicId: TOPIC_ID, partitions: [{ index: 0 }] }] });
  // Throttle time, error code, session id, number of topics, topic id, number of partitions, index, error code.
  const highWatermark = 4 + 2 + 4 + 1 + 16 + 1 + 4 + 2;
  body.writeBigInt64BE(2n ** 53n, highWatermark);
  assert.throws(() => read(body), /9007199254740992, which is beyond the largest number/);
  body.writeBigInt64BE(2n ** 53n - 1n, highWatermark);
  assert.equal(read(body).topics[0]!.partitions[0]!.highWatermark, Number.MAX_SAFE_INTEGER);
});

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (; value >= 0x80; value = Math.floor(value / 128)) bytes.push((value % 128) | 0x80);
  bytes.push(value);
  return Buffer.from(bytes);
}
