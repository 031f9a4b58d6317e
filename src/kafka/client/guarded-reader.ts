import { Reader } from "@platformatic/kafka";

/**
 * The library's reader, except that no length is negative. It reads lengths into 32 bits with a sign, and a negative one
 * takes it back to what it has read already: a few damaged bytes would keep it busy for minutes, or fill the memory.
 */
export class GuardedReader extends Reader {
  override readUnsignedVarInt(): number {
    const value = super.readUnsignedVarInt();
    if (value < 0) throw new RangeError(`a length of ${value} at byte ${this.position}`);
    return value;
  }
}
