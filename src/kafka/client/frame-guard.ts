const LENGTH_SIZE = 4;
/** An answer has at least its correlation id. */
const MIN_FRAME_BYTES = 4;

/**
 * Watches the bytes of a connection for the length that precedes each answer. The library takes any length and gathers
 * bytes until it is reached, so one corrupt length would fill the memory, or stop the connection without a word.
 */
export class FrameGuard {
  readonly #maxBytes: number;
  /** Bytes that are still to come of the current answer. */
  #remaining = 0;
  /** The bytes of the current length that have come, while it is not whole. */
  #length = 0;
  #lengthBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Takes the next bytes. Gives back a length that no answer can have, if there is one among them. */
  findBadLength(chunk: Uint8Array): number | undefined {
    let at = 0;
    while (at < chunk.length) {
      if (this.#remaining > 0) {
        const taken = Math.min(this.#remaining, chunk.length - at);
        this.#remaining -= taken;
        at += taken;
        continue;
      }
      this.#length = (this.#length << 8) | (chunk[at] as number);
      this.#lengthBytes += 1;
      at += 1;
      if (this.#lengthBytes < LENGTH_SIZE) continue;
      if (this.#length < MIN_FRAME_BYTES || this.#length > this.#maxBytes) return this.#length;
      this.#remaining = this.#length;
      this.#length = 0;
      this.#lengthBytes = 0;
    }
    return undefined;
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
