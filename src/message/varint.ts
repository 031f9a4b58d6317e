/**
 * Kafka's varints: a whole number of 32 bits, zigzag (the sign in the lowest bit), seven bits a byte, lowest first.
 * The lengths inside a record are written like this.
 */

/** How many bytes a number takes. */
export function varintSize(value: number): number {
  const zigzag = ((value << 1) ^ (value >> 31)) >>> 0;
  if (zigzag < 0x80) return 1;
  if (zigzag < 0x4000) return 2;
  if (zigzag < 0x200000) return 3;
  return zigzag < 0x10000000 ? 4 : 5;
}

/** Writes a number, and returns where it ends. */
export function writeVarint(target: Uint8Array, at: number, value: number): number {
  let zigzag = ((value << 1) ^ (value >> 31)) >>> 0;
  while (zigzag > 0x7f) {
    target[at++] = (zigzag & 0x7f) | 0x80;
    zigzag >>>= 7;
  }
  target[at++] = zigzag;
  return at;
}

/** Reads a number of at most five bytes that is known to lie whole in the bytes. */
export function readVarint(bytes: Uint8Array, at: number): number {
  let byte = bytes[at++]!;
  let zigzag = byte & 0x7f;
  for (let shift = 7; byte & 0x80; shift += 7) {
    byte = bytes[at++]!;
    zigzag |= (byte & 0x7f) << shift;
  }
  return (zigzag >>> 1) ^ -(zigzag & 1);
}

/** Where a number ends that is known to lie whole in the bytes. */
export function skipVarint(bytes: Uint8Array, at: number): number {
  while (bytes[at++]! & 0x80);
  return at;
}
