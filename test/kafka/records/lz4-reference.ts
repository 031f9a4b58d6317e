/** Decodes an lz4 frame byte by byte, as the format's description has it; undefined when it is damaged. Checks no checksums. */
export function decodeLz4Plainly(frame: Buffer, maxBytes: number): Buffer | undefined {
  if (frame.length < 7 || frame.readUInt32LE(0) !== 0x184d2204) return undefined;
  const flags = frame[4]!;
  if (flags >> 6 !== 1) return undefined;
  const maxBlock = 2 ** (8 + 2 * ((frame[5]! >> 4) & 7));
  const out: number[] = [];
  let at = 7 + ((flags & 0x08) === 0 ? 0 : 8) + (flags & 0x01) * 4;
  for (;;) {
    if (at + 4 > frame.length) return undefined;
    const header = frame.readUInt32LE(at);
    if (header === 0) break;
    const start = at + 4;
    const end = start + (header % 2 ** 31);
    at = end + ((flags & 0x10) === 0 ? 0 : 4);
    if (at > frame.length) return undefined;
    const before = out.length;
    if (header >= 2 ** 31) for (let i = start; i < end; i++) out.push(frame[i]!);
    else if (!decodeBlock(frame.subarray(start, end), out, (flags & 0x20) === 0 ? 0 : before, maxBytes))
      return undefined;
    if (out.length - before > maxBlock || out.length > maxBytes) return undefined;
  }
  if ((flags & 0x08) !== 0 && frame.readBigUInt64LE(6) !== BigInt(out.length)) return undefined;
  return Buffer.from(out);
}

function decodeBlock(block: Buffer, out: number[], floor: number, maxBytes: number): boolean {
  let at = 0;
  const length = (nibble: number): number => {
    let sum = nibble;
    for (let byte = nibble === 15 ? 255 : 0; byte === 255; sum += byte) byte = block[at++] ?? NaN;
    return sum;
  };
  for (;;) {
    const token = block[at++];
    if (token === undefined) return false;
    const literals = length(token >> 4);
    if (!(at + literals <= block.length)) return false;
    for (let i = 0; i < literals; i++) out.push(block[at++]!);
    if (at === block.length) return true;
    if (at + 2 > block.length) return false;
    const offset = block.readUInt16LE(at);
    at += 2;
    if (offset === 0 || offset > out.length - floor) return false;
    const match = length(token & 15) + 4;
    if (!(out.length + match <= maxBytes)) return false;
    for (let i = 0; i < match; i++) out.push(out[out.length - offset]!);
  }
}
