import assert from "node:assert/strict";
import { test } from "node:test";
import { Writer } from "@platformatic/kafka";
import {
  ApiVersions,
  FindCoordinator,
  JoinGroup,
  LeaveGroup,
  ListOffsets,
  Metadata,
  OffsetCommit,
  OffsetFetch,
  Produce,
  type Api,
} from "../../../src/kafka/client/apis.ts";
import { ConsumerGroupHeartbeat } from "../../../src/kafka/client/consumer-group-apis.ts";
import { ResponseCursor } from "../../../src/kafka/client/response-cursor.ts";
import { TOPIC_ID } from "./fake-broker.ts";

/** So many of the smallest elements there can be; the body ends with the last one's structure. */
const MANY = 500;
const many = (writer: Writer, element: (each: Writer) => Writer): Writer =>
  writer.appendArray(Array.from({ length: MANY }), (each) => void element(each));

for (const [name, api, body] of [
  [
    "ApiVersions",
    ApiVersions,
    many(Writer.create().appendInt16(0), (each) => each.appendInt16(1).appendInt16(0).appendInt16(9))
      .appendInt32(0)
      .appendTaggedFields(),
  ],
  [
    "Metadata's brokers",
    Metadata,
    many(Writer.create().appendInt32(0), (each) =>
      each.appendInt32(1).appendString("").appendInt32(9).appendString(null),
    )
      .appendString(null)
      .appendInt32(1)
      .appendArray([], () => {})
      .appendTaggedFields(),
  ],
  [
    "Metadata's topics",
    Metadata,
    many(
      Writer.create()
        .appendInt32(0)
        .appendArray([], () => {})
        .appendString(null)
        .appendInt32(1),
      (each) =>
        each
          .appendInt16(0)
          .appendString(null)
          .appendUUID(TOPIC_ID)
          .appendBoolean(false)
          .appendArray([], () => {})
          .appendInt32(0),
    ).appendTaggedFields(),
  ],
  [
    "Metadata's partitions",
    Metadata,
    Writer.create()
      .appendInt32(0)
      .appendArray([], () => {})
      .appendString(null)
      .appendInt32(1)
      .appendArray(["t"], (topic, text) =>
        many(topic.appendInt16(0).appendString(text).appendUUID(TOPIC_ID).appendBoolean(false), (each) =>
          each
            .appendInt16(0)
            .appendInt32(0)
            .appendInt32(0)
            .appendInt32(0)
            .appendUnsignedVarInt(1)
            .appendUnsignedVarInt(1)
            .appendUnsignedVarInt(1),
        ).appendInt32(0),
      )
      .appendTaggedFields(),
  ],
  [
    "FindCoordinator",
    FindCoordinator,
    many(Writer.create().appendInt32(0), (each) =>
      each.appendString("").appendInt32(1).appendString("").appendInt32(9).appendInt16(0).appendString(null),
    ).appendTaggedFields(),
  ],
  [
    "ListOffsets",
    ListOffsets,
    Writer.create()
      .appendInt32(0)
      .appendArray(["t"], (topic, text) =>
        many(topic.appendString(text), (each) =>
          each.appendInt32(0).appendInt16(0).appendInt64(0n).appendInt64(0n).appendInt32(0),
        ),
      )
      .appendTaggedFields(),
  ],
  [
    "JoinGroup",
    JoinGroup,
    many(
      Writer.create()
        .appendInt32(0)
        .appendInt16(0)
        .appendInt32(1)
        .appendString(null)
        .appendString(null)
        .appendString("")
        .appendBoolean(false)
        .appendString(""),
      (each) => each.appendString("").appendString(null).appendBytes(Buffer.alloc(0)),
    ).appendTaggedFields(),
  ],
  [
    "LeaveGroup",
    LeaveGroup,
    many(Writer.create().appendInt32(0).appendInt16(0), (each) =>
      each.appendString("").appendString(null).appendInt16(0),
    ).appendTaggedFields(),
  ],
  [
    "OffsetCommit",
    OffsetCommit,
    Writer.create()
      .appendInt32(0)
      .appendArray(["t"], (topic, text) =>
        many(topic.appendString(text), (each) => each.appendInt32(0).appendInt16(0)),
      )
      .appendTaggedFields(),
  ],
  [
    "OffsetFetch",
    OffsetFetch,
    Writer.create()
      .appendInt32(0)
      .appendArray(["g"], (group, id) =>
        group
          .appendString(id)
          .appendArray(["t"], (topic, text) =>
            many(topic.appendString(text), (each) =>
              each.appendInt32(0).appendInt64(0n).appendInt32(0).appendString(null).appendInt16(0),
            ),
          )
          .appendInt16(0),
      )
      .appendTaggedFields(),
  ],
  [
    "Produce",
    Produce,
    Writer.create()
      .appendArray(["t"], (topic, text) =>
        many(topic.appendString(text), (each) =>
          each
            .appendInt32(0)
            .appendInt16(0)
            .appendInt64(0n)
            .appendInt64(0n)
            .appendInt64(0n)
            .appendArray([], () => {})
            .appendString(null),
        ),
      )
      .appendInt32(0)
      .appendTaggedFields(),
  ],
  [
    "ConsumerGroupHeartbeat",
    ConsumerGroupHeartbeat,
    many(
      Writer.create()
        .appendInt32(0)
        .appendInt16(0)
        .appendString(null)
        .appendString(null)
        .appendInt32(0)
        .appendInt32(0)
        .appendInt8(1),
      (each) => each.appendUUID(TOPIC_ID).appendUnsignedVarInt(1),
    )
      .appendTaggedFields()
      .appendTaggedFields(),
  ],
] as readonly (readonly [string, Api<never[], unknown>, Writer])[]) {
  test(`an answer full of the smallest elements that there can be is read to its end: ${name}`, () => {
    const cursor = new ResponseCursor(Buffer.from(body.buffer), name);
    api.versions[0].read(cursor);
    assert.equal(cursor.remaining, 0);
  });
}
