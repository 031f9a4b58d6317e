import { serialize } from "node:v8";
import { FILTERED_PAYLOAD } from "../message/filtered.ts";
import { BrokerMessage, DerivedMessage, type Committable, type Submitted } from "../message/message.ts";
import { Partition } from "../message/partition.ts";
import { bodySize, KafkaPayload, writeBody } from "../message/payload.ts";
import { Topic } from "../message/topic.ts";
import type { BlockWriter } from "./block-writer.ts";
import { Tag, type PartitionName } from "./tags.ts";
import { packThrown } from "./thrown.ts";

/** Deeper than this is taken for something that contains itself. */
const MAX_DEPTH = 100;

/**
 * Writes messages and values into a block, so that another thread reads the same from it.
 *
 * Bytes, texts and Kafka payloads are written as they are. Partitions, topics, messages and FILTERED_PAYLOAD keep
 * their identity or class, also inside of arrays, objects, maps and sets. Everything else goes by structured clone
 * (`v8.serialize`, which unlike `postMessage` takes of a Buffer only its own bytes, not the memory that it lies in).
 */
export class ValueWriter {
  readonly #block: BlockWriter;
  readonly #ids = new Map<Partition, number>();
  readonly #names: PartitionName[] = [];
  #lastPartition: Partition | undefined;
  #lastId = 0;

  constructor(block: BlockWriter) {
    this.#block = block;
  }

  /** The partitions that occur in the block. */
  get partitions(): readonly PartitionName[] {
    return this.#names;
  }

  /**
   * Writes a message; the block is as it was if this throws.
   *
   * @throws BLOCK_FULL, or the DataCloneError of a payload that cannot cross.
   */
  message(message: Submitted<unknown>): void {
    const start = this.#block.at;
    try {
      if (message.payload === FILTERED_PAYLOAD) this.filtered();
      else this.#message(message, 0);
    } catch (error) {
      this.#block.at = start;
      throw error;
    }
  }

  /** Writes a value; the block is as it was if this throws. @throws as `message`. */
  value(value: unknown): void {
    const start = this.#block.at;
    try {
      this.#value(value, 0);
    } catch (error) {
      this.#block.at = start;
      throw error;
    }
  }

  /** Writes that there is nothing to work on, or no result. @throws BLOCK_FULL. */
  filtered(): void {
    this.#tag(Tag.FILTERED);
  }

  /** Writes what a task threw. @throws BLOCK_FULL. */
  thrown(tag: typeof Tag.INVALID | typeof Tag.ERROR | typeof Tag.LEFT_OUT, error: unknown): void {
    this.#sized(tag, serialize(packThrown(error)));
  }

  #value(value: unknown, depth: number): void {
    if (value instanceof KafkaPayload) {
      this.#payload(value);
    } else if (typeof value === "string" && value.isWellFormed()) {
      this.#text(value);
    } else if (typeof value === "object" && value !== null) {
      this.#object(value, depth);
    } else {
      this.#sized(Tag.CLONE, serialize(value));
    }
  }

  #object(value: object, depth: number): void {
    if (value === FILTERED_PAYLOAD) this.#tag(Tag.FILTERED);
    else if (Buffer.isBuffer(value)) this.#sized(Tag.BUFFER, value);
    else if (value.constructor === Uint8Array) this.#sized(Tag.UINT8_ARRAY, value as Uint8Array);
    else if (value instanceof Partition) this.#partition(Tag.PARTITION, value);
    else if (value instanceof Topic) this.#sized(Tag.TOPIC, Buffer.from(value.name));
    else if (value instanceof BrokerMessage || value instanceof DerivedMessage)
      this.#message(value, depth + 1);
    else if (isForeignPayload(value)) this.#payload(new KafkaPayload(value.key, value.value, value.headers));
    else if (losesByClone(value, new Set())) this.#container(value, depth + 1);
    else this.#sized(Tag.CLONE, serialize(value));
  }

  #message(message: Submitted<unknown>, depth: number): void {
    const block = this.#block;
    if (message.partition === undefined) {
      this.#tag(Tag.DERIVED_MESSAGE);
      this.#committable(message.committable);
    } else {
      this.#partition(Tag.BROKER_MESSAGE, message.partition);
      block.reserve(8);
      block.f64(message.offset);
    }
    block.reserve(8);
    block.f64(message.timestampMs ?? NaN);
    this.#value(message.payload, depth);
  }

  #committable(committable: Committable): void {
    const block = this.#block;
    block.reserve(4 + committable.size * 12);
    block.u32(committable.size);
    for (const [partition, offset] of committable) {
      block.u32(this.#idOf(partition));
      block.f64(offset);
    }
  }

  #container(value: object, depth: number): void {
    if (depth > MAX_DEPTH) {
      throw new RangeError(`A value is nested more than ${MAX_DEPTH} levels deep, or contains itself.`);
    }
    if (Array.isArray(value)) {
      this.#counted(Tag.ARRAY, value.length);
      for (const item of value) this.#value(item, depth);
    } else if (value instanceof Map) {
      this.#counted(Tag.MAP, value.size);
      for (const [key, item] of value) {
        this.#value(key, depth);
        this.#value(item, depth);
      }
    } else if (value instanceof Set) {
      this.#counted(Tag.SET, value.size);
      for (const item of value) this.#value(item, depth);
    } else {
      const entries = Object.entries(value);
      this.#counted(Tag.RECORD, entries.length);
      for (const [key, item] of entries) {
        this.#value(key, depth);
        this.#value(item, depth);
      }
    }
  }

  #payload(payload: KafkaPayload): void {
    const block = this.#block;
    const size = bodySize(payload);
    block.reserve(5 + size);
    block.byte(Tag.KAFKA_PAYLOAD);
    block.u32(size);
    block.at = writeBody(payload, block.bytes, block.at);
  }

  #text(text: string): void {
    const block = this.#block;
    const size = Buffer.byteLength(text);
    block.reserve(5 + size);
    block.byte(Tag.TEXT);
    block.u32(size);
    block.at += block.bytes.write(text, block.at, size, "utf8");
  }

  #sized(tag: number, bytes: Uint8Array): void {
    const block = this.#block;
    block.reserve(5 + bytes.length);
    block.byte(tag);
    block.u32(bytes.length);
    block.copy(bytes);
  }

  #counted(tag: number, count: number): void {
    this.#block.reserve(5);
    this.#block.byte(tag);
    this.#block.u32(count);
  }

  #partition(tag: number, partition: Partition): void {
    this.#counted(tag, this.#idOf(partition));
  }

  #tag(tag: number): void {
    this.#block.reserve(1);
    this.#block.byte(tag);
  }

  #idOf(partition: Partition): number {
    if (partition === this.#lastPartition) return this.#lastId;
    let id = this.#ids.get(partition);
    if (id === undefined) {
      id = this.#names.push([partition.topic.name, partition.index]) - 1;
      this.#ids.set(partition, id);
    }
    this.#lastPartition = partition;
    return (this.#lastId = id);
  }
}

/** Whether there is anything in a value that a structured clone would silently lose. */
function losesByClone(value: unknown, seen: Set<object>): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (
    value instanceof KafkaPayload ||
    value instanceof Partition ||
    value instanceof Topic ||
    value instanceof BrokerMessage ||
    value instanceof DerivedMessage ||
    value === FILTERED_PAYLOAD ||
    isForeignPayload(value)
  ) {
    return true;
  }
  if (ArrayBuffer.isView(value) || seen.has(value)) return false;
  seen.add(value);
  if (Array.isArray(value) || value instanceof Set) return some(value, seen);
  if (value instanceof Map) return some(value.keys(), seen) || some(value.values(), seen);
  return Object.prototype.toString.call(value) === "[object Object]" && some(Object.values(value), seen);
}

function some(values: Iterable<unknown>, seen: Set<object>): boolean {
  for (const value of values) if (losesByClone(value, seen)) return true;
  return false;
}

/** A payload of a second installed copy of this library: its class is another one, and its parts are private to that. */
function isForeignPayload(value: object): value is Pick<KafkaPayload, "key" | "value" | "headers"> {
  return (
    value.constructor?.name === "KafkaPayload" && "key" in value && "value" in value && "headers" in value
  );
}
