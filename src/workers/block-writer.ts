/** Thrown, without a stack, by a {@link BlockWriter} that would grow beyond its limit: nothing failed, the block is full. */
export const BLOCK_FULL: Error = (() => {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  const full = new Error("The block is full.");
  Error.stackTraceLimit = limit;
  return full;
})();

/**
 * Writes one block of memory from front to back; the block grows (twice as large each time, by copying) up to a limit.
 *
 * The hot path of both threads, so it checks nothing on its own: `reserve` first, then write.
 */
export class BlockWriter {
  bytes: Buffer;
  /** Where the next byte goes. */
  at: number = 0;
  /** How large the block may become. */
  limit: number;
  #view: DataView;

  constructor(capacity: number, limit: number) {
    // Not from the pool of small buffers: the block is transferred, with everything that is in it.
    this.bytes = Buffer.allocUnsafeSlow(Math.min(capacity, limit));
    this.limit = limit;
    this.#view = viewOf(this.bytes);
  }

  /** Makes room for so many bytes. @throws BLOCK_FULL when that would go beyond the limit. */
  reserve(size: number): void {
    const end = this.at + size;
    // The block may be larger than its limit: that was another one when it grew.
    if (end > this.bytes.length || end > this.limit) this.#grow(end);
  }

  /** The block, to be transferred. Nothing may be written after this. */
  take(): ArrayBuffer {
    return this.bytes.buffer as ArrayBuffer;
  }

  byte(value: number): void {
    this.bytes[this.at++] = value;
  }

  u32(value: number): void {
    this.#view.setUint32(this.at, value, true);
    this.at += 4;
  }

  f64(value: number): void {
    this.#view.setFloat64(this.at, value, true);
    this.at += 8;
  }

  copy(from: Uint8Array): void {
    this.bytes.set(from, this.at);
    this.at += from.length;
  }

  #grow(needed: number): void {
    if (needed > this.limit) throw BLOCK_FULL;
    const bytes = Buffer.allocUnsafeSlow(Math.min(this.limit, Math.max(needed, this.bytes.length * 2)));
    this.bytes.copy(bytes, 0, 0, this.at);
    this.bytes = bytes;
    this.#view = viewOf(bytes);
  }
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
