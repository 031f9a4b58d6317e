/**
 * Snappy as Kafka's clients write it: a bare block (librdkafka), or blocks in the framing of Java's SnappyOutputStream:
 * eight bytes of magic, two versions, then each block with its length in front of it.
 */

const FRAMING_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const FRAMING_HEADER = FRAMING_MAGIC.length + 8;

/** The blocks within some compressed bytes, one after another: they may be many, and tiny. */
export function* snappyBlocks(bytes: Buffer): Generator<Buffer, void> {
  if (!isFramed(bytes)) {
    yield bytes;
    return;
  }
  let at = FRAMING_HEADER;
  while (at < bytes.length) {
    if (at + 4 > bytes.length) throw new Error("its snappy framing is cut short");
    const length = bytes.readUInt32BE(at);
    at += 4;
    if (length > bytes.length - at) throw new Error("its snappy framing is cut short");
    yield bytes.subarray(at, at + length);
    at += length;
  }
}

/** Whether it is not a bare block. */
export function isFramed(bytes: Buffer): boolean {
  return bytes.length >= FRAMING_HEADER && FRAMING_MAGIC.compare(bytes, 0, FRAMING_MAGIC.length) === 0;
}

/** How many bytes a block says that it decompresses to. */
export function snappyBlockSize(block: Buffer): number {
  let size = 0;
  for (let i = 0; i < 5 && i < block.length; i++) {
    const byte = block[i]!;
    size += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return size;
  }
  throw new Error("its snappy block does not say its length");
}
