import { deserialize } from "node:v8";
import { FILTERED_PAYLOAD } from "../message/filtered.ts";
import { BrokerMessage, DerivedMessage, type Message } from "../message/message.ts";
import { Partition } from "../message/partition.ts";
import { payloadOfBody } from "../message/payload.ts";
import { Topic } from "../message/topic.ts";
import { Tag, type PartitionName } from "./tags.ts";

/**
 * Reads what a ValueWriter wrote, in the same order. Bytes and Kafka payloads are views of the block, not copies: they
 * keep it in memory as long as they live.
 */
export class ValueReader {
  readonly #bytes: Buffer;
  readonly #view: DataView;
  readonly #partitions: readonly Partition[];
  #at = 0;

  constructor(block: ArrayBuffer, partitions: readonly PartitionName[]) {
    this.#bytes = Buffer.from(block);
    this.#view = new DataView(block);
    this.#partitions = partitions.map(([topic, index]) => Partition.of(topic, index));
  }

  /** The next message; undefined for a filtered one, of which nothing else was sent. */
  message(): Message<unknown> | undefined {
    const message = this.#tagged();
    return message === FILTERED_PAYLOAD ? undefined : (message as Message<unknown>);
  }

  /** What comes next: a value, or what is there instead of one. */
  peek(): number {
    return this.#bytes[this.#at]!;
  }

  value(): unknown {
    return this.#tagged();
  }

  #tagged(): unknown {
    const tag = this.#bytes[this.#at++] as (typeof Tag)[keyof typeof Tag];
    switch (tag) {
      case Tag.FILTERED:
        return FILTERED_PAYLOAD;
      case Tag.KAFKA_PAYLOAD: {
        const end = this.#end();
        const start = this.#at;
        this.#at = end;
        return payloadOfBody(this.#bytes, start, end);
      }
      case Tag.BUFFER:
        return this.#slice();
      case Tag.UINT8_ARRAY: {
        const { buffer, byteOffset, length } = this.#slice();
        return new Uint8Array(buffer, byteOffset, length);
      }
      case Tag.TEXT:
        return this.#text();
      case Tag.CLONE:
      case Tag.INVALID:
      case Tag.ERROR:
      case Tag.LEFT_OUT:
        return deserialize(this.#slice());
      case Tag.BROKER_MESSAGE: {
        const partition = this.#partition();
        const offset = this.#f64();
        const timestampMs = this.#timestamp();
        return new BrokerMessage(this.#tagged(), partition, offset, timestampMs);
      }
      case Tag.DERIVED_MESSAGE: {
        const committable = new Map<Partition, number>();
        for (let count = this.#u32(); count > 0; count--) committable.set(this.#partition(), this.#f64());
        const timestampMs = this.#timestamp();
        return new DerivedMessage(this.#tagged(), committable, timestampMs);
      }
      case Tag.PARTITION:
        return this.#partition();
      case Tag.TOPIC:
        return Topic.of(this.#text());
      case Tag.ARRAY:
        return Array.from({ length: this.#u32() }, () => this.#tagged());
      case Tag.RECORD:
        return Object.fromEntries(this.#entries() as [string, unknown][]);
      case Tag.MAP:
        return new Map(this.#entries());
      case Tag.SET:
        return new Set(Array.from({ length: this.#u32() }, () => this.#tagged()));
    }
  }

  #entries(): [unknown, unknown][] {
    return Array.from({ length: this.#u32() }, () => [this.#tagged(), this.#tagged()]);
  }

  #text(): string {
    const end = this.#end();
    const text = this.#bytes.toString("utf8", this.#at, end);
    this.#at = end;
    return text;
  }

  #slice(): Buffer {
    const end = this.#end();
    const bytes = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return bytes;
  }

  /** Reads a size, and says where what has that size will end. */
  #end(): number {
    const size = this.#u32();
    return this.#at + size;
  }

  #partition(): Partition {
    return this.#partitions[this.#u32()]!;
  }

  #timestamp(): number | undefined {
    const timestampMs = this.#f64();
    return Number.isNaN(timestampMs) ? undefined : timestampMs;
  }

  #u32(): number {
    const value = this.#view.getUint32(this.#at, true);
    this.#at += 4;
    return value;
  }

  #f64(): number {
    const value = this.#view.getFloat64(this.#at, true);
    this.#at += 8;
    return value;
  }
}
