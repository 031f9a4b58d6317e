const LENGTH_SIZE = 4;
/** An answer has at least its correlation id. */
const LEAST_BYTES = 4;
/** Answers that fit are read together, several at once; longer ones by themselves, to where they stay. */
const SHARED_BYTES = 16_384;
/** What is kept for the next long answer. More is let go of, so that one large answer does not hold its memory for ever. */
const KEPT_BYTES = 8_388_608;

/** An answer whose length cannot be true: fewer bytes than any answer has, or more than are allowed. */
export class BadLengthError extends Error {
  readonly length: number;
  /** What has come, from that length on. */
  readonly bytes: Buffer;

  constructor(length: number, bytes: Buffer) {
    super(`${length} bytes`);
    this.length = length;
    this.bytes = bytes;
  }
}

/**
 * Puts the answers of a connection together. It says itself where the bytes are to be read to, so that those of a long answer
 * are not copied, and that memory is used again for the next one: an answer is gone when the call that takes it returns.
 */
export class FrameReader {
  readonly #maxBytes: number;
  readonly #onFrame: (frame: Buffer) => void;
  readonly #shared = Buffer.allocUnsafeSlow(SHARED_BYTES);
  #sharedEnd = 0;
  #kept: Buffer | undefined;
  /** The long answer that is being read. */
  #long: { readonly frame: Buffer; end: number } | undefined;

  constructor(maxBytes: number, onFrame: (frame: Buffer) => void) {
    this.#maxBytes = maxBytes;
    this.#onFrame = onFrame;
  }

  /** Where the next bytes go. Never empty. */
  target(): Buffer {
    return this.#long === undefined
      ? this.#shared.subarray(this.#sharedEnd)
      : this.#long.frame.subarray(this.#long.end);
  }

  /**
   * So many bytes have come to where {@link target} said.
   *
   * @throws BadLengthError, after which nothing more can be read.
   */
  filled(bytes: number): void {
    if (this.#long === undefined) {
      this.#sharedEnd += bytes;
      this.#readShared();
      return;
    }
    this.#long.end += bytes;
    const { frame, end } = this.#long;
    if (end < frame.length) return;
    this.#long = undefined;
    this.#onFrame(frame);
  }

  /** Takes bytes that have come elsewhere, as {@link filled} does. */
  take(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      const target = this.target();
      const bytes = Math.min(target.length, chunk.length - at);
      target.set(chunk.subarray(at, at + bytes));
      at += bytes;
      this.filled(bytes);
    }
  }

  #readShared(): void {
    const shared = this.#shared;
    let at = 0;
    while (this.#sharedEnd - at >= LENGTH_SIZE) {
      const length = shared.readInt32BE(at);
      if (length < LEAST_BYTES || length > this.#maxBytes) {
        throw new BadLengthError(length, shared.subarray(at, this.#sharedEnd));
      }
      const from = at + LENGTH_SIZE;
      if (length > SHARED_BYTES - LENGTH_SIZE) {
        this.#long = { frame: this.#memoryFor(length), end: this.#sharedEnd - from };
        shared.copy(this.#long.frame, 0, from, this.#sharedEnd);
        at = this.#sharedEnd;
      } else {
        if (this.#sharedEnd - from < length) break;
        at = from + length;
        this.#onFrame(shared.subarray(from, at));
      }
    }
    if (at > 0) shared.copyWithin(0, at, this.#sharedEnd);
    this.#sharedEnd -= at;
  }

  #memoryFor(length: number): Buffer {
    if (this.#kept === undefined || this.#kept.length < length) {
      const memory = Buffer.allocUnsafeSlow(length);
      this.#kept = length <= KEPT_BYTES ? memory : undefined;
      return memory;
    }
    return this.#kept.subarray(0, length);
  }
}

/** What seems to be at the other end, if it is not a broker that speaks as this client does. */
export function guessPeer(chunk: Buffer): string {
  const [type = 0, major] = chunk;
  if (type >= 0x14 && type <= 0x17 && major === 0x03) {
    return '; it seems to want TLS, so set "security.protocol" to "ssl" or "sasl_ssl"';
  }
  if (chunk.subarray(0, 5).toString("latin1") === "HTTP/") return "; it seems to be an HTTP server";
  return "";
}
