const FIRST_BYTES = 512;
/** Bytes from here on are not copied, but sent from where they are. */
const BY_REFERENCE_BYTES = 4_096;
const NO_UUID = "00000000-0000-0000-0000-000000000000";

/**
 * Writes the primitive types of Kafka's protocol, as flexible versions have them, one after another. The result is in pieces:
 * long bytes (records) are not copied.
 */
export class RequestWriter {
  readonly #pieces: Uint8Array[] = [];
  #buffer: Buffer = Buffer.allocUnsafe(FIRST_BYTES);
  /** What of the buffer belongs to a piece already, and what is written. */
  #from = 0;
  #at = 0;

  int8(value: number): this {
    const at = this.#need(1);
    this.#buffer.writeInt8(value, at);
    return this;
  }

  boolean(value: boolean): this {
    return this.int8(value ? 1 : 0);
  }

  int16(value: number): this {
    const at = this.#need(2);
    this.#buffer.writeInt16BE(value, at);
    return this;
  }

  int32(value: number): this {
    const at = this.#need(4);
    this.#buffer.writeInt32BE(value, at);
    return this;
  }

  int64(value: number | bigint): this {
    const at = this.#need(8);
    this.#buffer.writeBigInt64BE(BigInt(value), at);
    return this;
  }

  unsignedVarint(value: number): this {
    let end = this.#need(5);
    let rest = value;
    for (; rest > 0x7f; rest >>>= 7) this.#buffer[end++] = (rest & 0x7f) | 0x80;
    this.#buffer[end++] = rest;
    this.#at = end;
    return this;
  }

  /** A UUID in its usual spelling; null for the one that is all zero. */
  uuid(value: string | null): this {
    const at = this.#need(16);
    this.#buffer.write((value ?? NO_UUID).replaceAll("-", ""), at, "hex");
    return this;
  }

  string(value: string | null): this {
    if (value === null) return this.unsignedVarint(0);
    const length = Buffer.byteLength(value);
    this.unsignedVarint(length + 1);
    const at = this.#need(length);
    this.#buffer.write(value, at, "utf8");
    return this;
  }

  /** A string with its length in two bytes, as all had it before there were flexible versions. */
  shortString(value: string): this {
    const length = Buffer.byteLength(value);
    this.int16(length);
    const at = this.#need(length);
    this.#buffer.write(value, at, "utf8");
    return this;
  }

  /** Not copied when they are many: leave them as they are until the request is settled. */
  bytes(value: Uint8Array): this {
    return this.unsignedVarint(value.length + 1).raw(value);
  }

  /** Bytes without their length. */
  raw(value: Uint8Array): this {
    if (value.length >= BY_REFERENCE_BYTES) {
      this.#cut();
      this.#pieces.push(value);
    } else {
      const at = this.#need(value.length);
      this.#buffer.set(value, at);
    }
    return this;
  }

  array<Element>(elements: readonly Element[] | null, write: (element: Element) => void): this {
    if (elements === null) return this.unsignedVarint(0);
    this.unsignedVarint(elements.length + 1);
    for (const element of elements) write(element);
    return this;
  }

  /** An array of structures, none of which has tagged fields. */
  structures<Element>(elements: readonly Element[] | null, write: (element: Element) => void): this {
    return this.array(elements, (element) => {
      write(element);
      this.end();
    });
  }

  int32s(values: readonly number[]): this {
    return this.array(values, (value) => this.int32(value));
  }

  /** The end of a structure: no tagged fields. */
  end(): this {
    return this.unsignedVarint(0);
  }

  /** All that was written. */
  pieces(): readonly Uint8Array[] {
    this.#cut();
    return this.#pieces;
  }

  /** Moves on by `length` bytes, and says where they begin. */
  #need(length: number): number {
    if (this.#at + length > this.#buffer.length) {
      this.#cut();
      this.#buffer = Buffer.allocUnsafe(Math.max(length, this.#buffer.length * 2));
      this.#from = 0;
      this.#at = 0;
    }
    const at = this.#at;
    this.#at += length;
    return at;
  }

  #cut(): void {
    if (this.#at > this.#from) this.#pieces.push(this.#buffer.subarray(this.#from, this.#at));
    this.#from = this.#at;
  }
}
