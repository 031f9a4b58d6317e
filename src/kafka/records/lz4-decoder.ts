import { DecompressionLimitError } from "./decompression-limit-error.ts";
import { LZ4_MODULE } from "./lz4-module.ts";
import type { Lz4Block } from "./lz4-frame.ts";
import { KEPT_MEMORY_BYTES, WebAssembly } from "./web-assembly.ts";

/** What `lz4-block.wat` exports. */
interface DecoderExports {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  /** Returns where the output ends, or one of the two below. */
  decode(start: number, end: number, to: number, floor: number, limit: number): number;
}

const TOO_LARGE = -2;

const PAGE_BYTES = 65_536;
/** What the decoder may read and write behind the end of what is meant. */
const SLACK = 64;
const OUTPUT = SLACK;

/**
 * Decodes lz4 in WebAssembly that is written by hand, since that of the packages decodes 0.45 GB/s where this one does 2
 * (JSON of 0.8 kB, which compresses by little; on the same machine). Checksums inside of lz4 frames are passed over: the
 * batch's own one covers the same bytes, and was checked.
 */
class Lz4Decoder {
  #module: object | undefined;
  #exports: DecoderExports | undefined;

  /**
   * Decodes the blocks of a frame, which is to put out at most `boundBytes`. The result lies in the decoder's memory, and
   * is valid until the next call.
   *
   * @param linked Whether blocks go back to what those before them have put out.
   * @throws DecompressionLimitError when more than `maxBytes` would come out, Error when the blocks are damaged.
   */
  decode(
    frame: Buffer,
    blocks: Iterable<Lz4Block>,
    linked: boolean,
    boundBytes: number,
    maxBytes: number,
  ): Buffer {
    const room = Math.min(boundBytes, maxBytes);
    const input = OUTPUT + room + SLACK;
    const exports = this.#withMemory(input + frame.length + SLACK);
    const memory = Buffer.from(exports.memory.buffer);
    frame.copy(memory, input);
    let end = OUTPUT;
    for (const { start, end: blockEnd, stored, maxSize } of blocks) {
      const limit = Math.min(end + maxSize, OUTPUT + room);
      if (stored) {
        const size = blockEnd - start;
        if (size > limit - end) throw tooLarge(limit, room, maxBytes);
        memory.copyWithin(end, input + start, input + blockEnd);
        end += size;
        continue;
      }
      const at = exports.decode(input + start, input + blockEnd, end, linked ? OUTPUT : end, limit);
      if (at === TOO_LARGE) throw tooLarge(limit, room, maxBytes);
      if (at < 0) throw new Error("its lz4 frame has a block that cannot be decoded");
      end = at;
    }
    return memory.subarray(OUTPUT, end);
  }

  #withMemory(bytes: number): DecoderExports {
    if (this.#exports !== undefined && this.#exports.memory.buffer.byteLength > KEPT_MEMORY_BYTES) {
      this.#exports = undefined;
    }
    if (this.#exports === undefined) {
      this.#module ??= new WebAssembly.Module(Buffer.from(LZ4_MODULE, "base64"));
      this.#exports = new WebAssembly.Instance(this.#module).exports as DecoderExports;
    }
    const { memory } = this.#exports;
    const missing = bytes - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / PAGE_BYTES));
    return this.#exports;
  }
}

function tooLarge(limit: number, room: number, maxBytes: number): Error {
  return limit === OUTPUT + room && room === maxBytes
    ? new DecompressionLimitError(maxBytes)
    : new Error("its lz4 frame has a block that is larger than it may be");
}

/** The thread's decoder. It takes memory when it is first used. */
export const lz4Decoder: Lz4Decoder = new Lz4Decoder();
