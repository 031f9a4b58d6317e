import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { DecompressionLimitError } from "./decompression-limit-error.ts";
import { decompressLz4 } from "./lz4-frame.ts";
import { isFramed, snappyBlocks, snappyBlockSize } from "./snappy-block.ts";
import { wasmCodec } from "./wasm-codec.ts";

/** How the records of a batch are compressed, as its attributes say it. */
export const Codec = { NONE: 0, GZIP: 1, SNAPPY: 2, LZ4: 3, ZSTD: 4 } as const;

/** One of {@link Codec}'s values. */
export type Codec = (typeof Codec)[keyof typeof Codec];

/** `compression.type`, as a codec. */
export const CODEC_OF_TYPE: Readonly<Record<"none" | "gzip" | "snappy" | "lz4" | "zstd", Codec>> = {
  none: Codec.NONE,
  gzip: Codec.GZIP,
  snappy: Codec.SNAPPY,
  lz4: Codec.LZ4,
  zstd: Codec.ZSTD,
};

/** The smallest piece that zlib hands out its output in. */
const MIN_CHUNK = 64;
/** More than deflate can make of one byte: what claims to hold more is not believed when memory is set aside for it. */
const MAX_RATIO = 1032;
/** Writers make one frame of a batch, or one for each of their buffers. Each takes 15 us, be it ever so small. */
const MAX_ZSTD_FRAMES = 1_000;

/**
 * Compresses the records of a batch. The result may lie in memory that the next call uses again.
 */
export function compress(codec: Codec, records: Buffer): Buffer {
  switch (codec) {
    case Codec.GZIP:
      return gzipSync(records);
    case Codec.SNAPPY:
      return wasmCodec.run("snappy_compress", records);
    case Codec.LZ4:
      return wasmCodec.run("lz4_compress", records);
    case Codec.ZSTD:
      return zstdCompressSync(records);
    default:
      return records;
  }
}

/**
 * Decompresses the records of a batch. The result may lie in memory that the next call uses again: copy it where it is
 * to stay.
 *
 * @throws Error, with a message that goes on after "the batch cannot be decompressed: ", when the bytes are damaged,
 *   when more than `maxBytes` would come out, or when the codec is none of Kafka's.
 */
export function decompress(codec: number, bytes: Buffer, maxBytes: number): Buffer {
  switch (codec) {
    case Codec.NONE:
      return bytes;
    case Codec.GZIP:
      return gunzip(bytes, maxBytes);
    case Codec.SNAPPY:
      return unsnappy(bytes, maxBytes);
    case Codec.LZ4:
      return decompressLz4(bytes, maxBytes);
    case Codec.ZSTD:
      return unzstd(bytes, maxBytes);
    default:
      throw new Error(`its compression ${codec} is unknown`);
  }
}

/**
 * The same, in memory of its own.
 *
 * @throws as {@link decompress} does.
 */
export function decompressApart(codec: number, bytes: Buffer, maxBytes: number): Buffer {
  const records = decompress(codec, bytes, maxBytes);
  // zlib puts out into memory of its own each time.
  if (codec === Codec.GZIP || codec === Codec.ZSTD) return records;
  const apart = Buffer.allocUnsafeSlow(records.length);
  records.copy(apart);
  return apart;
}

/** What is wrong with records that cannot be decompressed, for an error's message. */
export function decompressionProblem(error: unknown): string {
  const limit =
    error instanceof DecompressionLimitError ? ', the limit that "receive.message.max.bytes" sets' : "";
  return `it cannot be decompressed: ${error instanceof Error ? error.message : String(error)}${limit}`;
}

function gunzip(bytes: Buffer, maxBytes: number): Buffer {
  const sizeHint = bytes.length < 4 ? 0 : bytes.readUInt32LE(bytes.length - 4);
  const chunkSize = chunkFor(sizeHint, bytes, maxBytes);
  const options = { chunkSize, maxOutputLength: maxBytes, info: true };
  return inflated(maxBytes, () => gunzipSync(bytes, options)).buffer;
}

/** Frame by frame, since Node stops at the end of the first. */
function unzstd(bytes: Buffer, maxBytes: number): Buffer {
  const contents: Buffer[] = [];
  let rest = bytes;
  let left = maxBytes;
  do {
    if (contents.length === MAX_ZSTD_FRAMES) throw new Error(`it has more than ${MAX_ZSTD_FRAMES} frames`);
    const frame = rest;
    const chunkSize = chunkFor(zstdContentSize(frame), frame, left);
    // Node takes no limit of 0: whatever comes out is checked below.
    const maxOutputLength = Math.max(1, left);
    const options = { chunkSize, maxOutputLength, info: true };
    const { buffer, engine } = inflated(maxBytes, () => zstdDecompressSync(frame, options));
    if (buffer.length > left) throw new DecompressionLimitError(maxBytes);
    contents.push(buffer);
    left -= buffer.length;
    rest = frame.subarray(engine.bytesWritten);
  } while (rest.length > 0);
  return contents.length === 1 ? contents[0]! : Buffer.concat(contents);
}

/** What Node gives with `info`, which its types do not know of: with `bytesWritten`, how much of the input was read. */
interface WithInfo {
  readonly buffer: Buffer;
  readonly engine: { readonly bytesWritten: number; _outBuffer?: unknown };
}

/**
 * `sizeHint` is what the bytes claim to hold. With one chunk of that size nothing has to be put together afterwards, which
 * makes zlib nearly twice as fast, zstd half as fast again. A false claim only costs that.
 */
function chunkFor(sizeHint: number, bytes: Buffer, maxBytes: number): number {
  return Math.max(MIN_CHUNK, Math.min(sizeHint, maxBytes, bytes.length * MAX_RATIO) + 1);
}

/**
 * Runs one of zlib's functions, with `info` among its options.
 *
 * The native side of an engine holds it until the next collection of the whole heap, and the engine its output. As nothing
 * else does for so long, it is taken from it; of a Node that names it otherwise, it only costs that memory.
 */
function inflated(maxBytes: number, inflate: () => unknown): WithInfo {
  try {
    const result = inflate() as WithInfo;
    result.engine._outBuffer = undefined;
    return result;
  } catch (error) {
    throw (error as { code?: unknown }).code === "ERR_BUFFER_TOO_LARGE"
      ? new DecompressionLimitError(maxBytes)
      : error;
  }
}

/** What a zstd frame says about its content (RFC 8878, 3.1.1.1), or 0 when it says nothing. */
function zstdContentSize(frame: Buffer): number {
  if (frame.length < 18) return 0;
  const descriptor = frame[4]!;
  const singleSegment = (descriptor & 0x20) !== 0;
  const at = 5 + (singleSegment ? 0 : 1) + [0, 1, 2, 4][descriptor & 3]!;
  switch (descriptor >> 6) {
    case 0:
      return singleSegment ? frame[at]! : 0;
    case 1:
      return frame.readUInt16LE(at) + 256;
    case 2:
      return frame.readUInt32LE(at);
    default:
      return frame.readUInt32LE(at) + frame.readUInt32LE(at + 4) * 2 ** 32;
  }
}

function unsnappy(bytes: Buffer, maxBytes: number): Buffer {
  let size = 0;
  for (const block of snappyBlocks(bytes)) size += snappyBlockSize(block);
  if (size > maxBytes) throw new DecompressionLimitError(maxBytes);
  if (!isFramed(bytes)) return wasmCodec.run("snappy_decompress", bytes);
  const whole = Buffer.allocUnsafe(size);
  let at = 0;
  for (const block of snappyBlocks(bytes)) at += wasmCodec.run("snappy_decompress", block).copy(whole, at);
  return whole.subarray(0, at);
}
