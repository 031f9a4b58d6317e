import { ConsumerError } from "../../errors.ts";

/** An answer whose bytes are not what the protocol says: lengths that lie, numbers that cannot be. */
export class MalformedResponseError extends ConsumerError {}

/** A number that is sound, but beyond 2^53 - 1: it would be rounded silently. To ask again would not help. */
export class NumberTooLargeError extends MalformedResponseError {}

const NOTHING = Buffer.alloc(0);

/**
 * Reads the primitive types of Kafka's protocol (flexible versions), one after another. Everything is checked against the
 * end, and nothing is allocated by a length before the bytes are known to be there, so that whatever comes from the network
 * ends in a value or in {@link MalformedResponseError}, in time linear in its length.
 */
export class ResponseCursor {
  readonly #bytes: Buffer;
  readonly #what: string;
  #position: number;

  /** @param what names the answer in errors, e.g. "Fetch". */
  constructor(bytes: Buffer, what: string, position: number = 0) {
    this.#bytes = bytes;
    this.#what = what;
    this.#position = position;
  }

  get position(): number {
    return this.#position;
  }

  get remaining(): number {
    return this.#bytes.length - this.#position;
  }

  malformed(problem: string): MalformedResponseError {
    return new MalformedResponseError(
      `The ${this.#what} answer is malformed at byte ${this.#position} of ${this.#bytes.length}: ${problem}.`,
    );
  }

  /** Moves on by `length` bytes, and says where they began. */
  #take(length: number, what: string): number {
    const at = this.#position;
    if (length > this.remaining) throw this.malformed(`${what} of ${length} bytes does not fit`);
    this.#position = at + length;
    return at;
  }

  int8(): number {
    return this.#bytes.readInt8(this.#take(1, "an int8"));
  }

  boolean(): boolean {
    return this.int8() !== 0;
  }

  int16(): number {
    return this.#bytes.readInt16BE(this.#take(2, "an int16"));
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.#take(4, "an int32"));
  }

  /** An int64 as a number; beyond 2^53 it would be rounded, so that is an error. */
  int64(): number {
    const at = this.#take(8, "an int64");
    const value = this.#bytes.readInt32BE(at) * 2 ** 32 + this.#bytes.readUInt32BE(at + 4);
    if (!Number.isSafeInteger(value)) {
      throw new NumberTooLargeError(
        `The ${this.#what} answer holds ${this.#bytes.readBigInt64BE(at)}, which is beyond the largest number that can ` +
          `be handled, ${Number.MAX_SAFE_INTEGER}.`,
      );
    }
    return value;
  }

  /** An int64 that is only compared. */
  bigInt64(): bigint {
    return this.#bytes.readBigInt64BE(this.#take(8, "an int64"));
  }

  unsignedVarint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#bytes[this.#take(1, "a varint")] as number;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) {
        if (value > 0x7fffffff) break;
        return value;
      }
    }
    throw this.malformed("a length is out of range");
  }

  /** A UUID in its usual spelling, lower case with dashes. */
  uuid(): string {
    const at = this.#take(16, "a UUID");
    const hex = this.#bytes.toString("hex", at, at + 16);
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  }

  /** Null where there may be no text, and there is none. */
  nullableString(): string | null {
    const length = this.unsignedVarint() - 1;
    if (length < 0) return null;
    const at = this.#take(length, "a text");
    return this.#bytes.toString("utf8", at, at + length);
  }

  string(): string {
    const text = this.nullableString();
    if (text === null) throw this.malformed("a text is missing");
    return text;
  }

  /** A string with its length in two bytes, as all had it before there were flexible versions. */
  shortString(): string {
    const length = Math.max(0, this.int16());
    const at = this.#take(length, "a text");
    return this.#bytes.toString("utf8", at, at + length);
  }

  /** A copy, in an ArrayBuffer of its own. Null and no bytes are the same. */
  compactBytes(): Buffer {
    return this.bytes(Math.max(0, this.unsignedVarint() - 1));
  }

  /** So many bytes; a copy, in an ArrayBuffer of its own. */
  bytes(length: number): Buffer {
    const at = this.#take(length, "a field");
    if (length === 0) return NOTHING;
    const copy = Buffer.allocUnsafeSlow(length);
    this.#bytes.copy(copy, 0, at, at + length);
    return copy;
  }

  /** Whether there is a structure that may be missing. */
  isPresent(): boolean {
    return this.int8() >= 0;
  }

  /**
   * An array, each of whose elements takes at least `leastBytes`, so that a length that cannot be true is seen at once.
   * Null is an empty array.
   */
  compactArray<T>(leastBytes: number, read: (cursor: this) => T): T[] {
    const length = this.unsignedVarint() - 1;
    if (length * leastBytes > this.remaining) throw this.malformed(`an array of ${length} does not fit`);
    const elements: T[] = [];
    for (let index = 0; index < length; index += 1) elements.push(read(this));
    return elements;
  }

  /** An array of structures, each of which ends with tagged fields that nobody needs. */
  structures<T>(leastBytes: number, read: (cursor: this) => T): T[] {
    return this.compactArray(leastBytes, () => {
      const structure = read(this);
      this.taggedFields();
      return structure;
    });
  }

  int32s(): number[] {
    return this.compactArray(4, () => this.int32());
  }

  /**
   * The tagged fields at the end of a structure. `read` reads those that it knows; it need not read all of a field, but
   * must not read beyond it. The others are passed over.
   */
  taggedFields(read?: (tag: number, cursor: this) => void): void {
    const count = this.unsignedVarint();
    for (let index = 0; index < count; index += 1) {
      const tag = this.unsignedVarint();
      const length = this.unsignedVarint();
      const end = this.#take(length, "a tagged field") + length;
      if (read === undefined) continue;
      this.#position = end - length;
      read(tag, this);
      if (this.#position > end) throw this.malformed(`tagged field ${tag} is shorter than its content`);
      this.#position = end;
    }
  }
}
