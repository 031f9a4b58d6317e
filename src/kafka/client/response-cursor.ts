import { ConsumerError } from "../../errors.ts";

/** An answer whose bytes are not what the protocol says: lengths that lie, numbers that cannot be. */
export class MalformedResponseError extends ConsumerError {}

/** Bytes that may lie in several pieces, as they came from the socket. A Buffer is one, too. */
export interface ByteSource {
  readonly length: number;
  /** A view where the bytes lie in one piece, and a copy of their own where they do not. */
  slice(start: number, end: number): Buffer;
}

/** How much is looked at at once. Whatever is longer (records) is taken out by itself. */
const WINDOW_BYTES = 512;

const NOTHING = Buffer.alloc(0);

/**
 * Reads the primitive types of Kafka's protocol (flexible versions), one after another. Everything is checked against the
 * end, and nothing is allocated by a length before the bytes are known to be there, so that whatever comes from the network
 * ends in a value or in {@link MalformedResponseError}, in time linear in its length.
 */
export class ResponseCursor {
  readonly #source: ByteSource;
  readonly #what: string;
  #position = 0;
  /** The bytes from `#windowStart` on. */
  #window: Buffer = NOTHING;
  #windowStart = 0;

  /** @param what names the answer in errors, e.g. "Fetch". */
  constructor(source: ByteSource, what: string) {
    this.#source = source;
    this.#what = what;
  }

  get position(): number {
    return this.#position;
  }

  get remaining(): number {
    return this.#source.length - this.#position;
  }

  malformed(problem: string): MalformedResponseError {
    return new MalformedResponseError(
      `The ${this.#what} answer is malformed at byte ${this.#position} of ${this.#source.length}: ${problem}.`,
    );
  }

  /** Moves on by `length` bytes, and says where they began. */
  #take(length: number, what: string): number {
    const at = this.#position;
    if (length > this.remaining) throw this.malformed(`${what} of ${length} bytes does not fit`);
    this.#position = at + length;
    return at;
  }

  /** Moves on by `length` bytes (few), and says where they begin in the window. */
  #look(length: number, what: string): number {
    const at = this.#take(length, what);
    if (at < this.#windowStart || at + length > this.#windowStart + this.#window.length) {
      this.#windowStart = at;
      this.#window = this.#source.slice(at, Math.min(at + WINDOW_BYTES, this.#source.length));
    }
    return at - this.#windowStart;
  }

  int16(): number {
    const at = this.#look(2, "an int16");
    return this.#window.readInt16BE(at);
  }

  int32(): number {
    const at = this.#look(4, "an int32");
    return this.#window.readInt32BE(at);
  }

  /** An int64 as a number; beyond 2^53 it would be rounded, so that is an error. */
  int64(): number {
    const at = this.#look(8, "an int64");
    const value = this.#window.readInt32BE(at) * 2 ** 32 + this.#window.readUInt32BE(at + 4);
    if (!Number.isSafeInteger(value)) {
      throw this.malformed(
        `${this.#window.readBigInt64BE(at)} is beyond the largest number that can be handled`,
      );
    }
    return value;
  }

  /** An int64 that is only compared. */
  bigInt64(): bigint {
    const at = this.#look(8, "an int64");
    return this.#window.readBigInt64BE(at);
  }

  unsignedVarint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const at = this.#look(1, "a varint");
      const byte = this.#window[at] as number;
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
    const at = this.#look(16, "a UUID");
    const hex = this.#window.toString("hex", at, at + 16);
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  }

  /** As they lie in the source, without a copy where that is possible. Null and no bytes are the same. */
  compactBytes(): Buffer {
    const length = Math.max(0, this.unsignedVarint() - 1);
    const at = this.#take(length, "a field");
    return length === 0 ? NOTHING : this.#source.slice(at, at + length);
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
