import type { BrokerMessage } from "../message/message.ts";
import type { KafkaPayload } from "../message/payload.ts";
import { FILE_HEADER_BYTES, FRAME_HEADER_BYTES, isFrameIntact, sizeOfFrame } from "./frame.ts";
import { damaged } from "./frame-scan.ts";
import type { FileLog } from "./file-log.ts";
import { decodeRecord } from "./log-record.ts";
import type { LogReader } from "./partition-log.ts";

/** How much is read at once. A payload keeps as much in memory as long as it lives. */
const READ_BYTES = 256 * 1024;

/** Reads a log's file piece by piece. */
export class FileLogReader implements LogReader {
  readonly #log: FileLog;
  #bytes: Buffer = Buffer.alloc(0);
  /** Where in `#bytes` the frame of `#offset` begins. */
  #at = 0;
  /** Where in the file it begins. */
  #position: number = FILE_HEADER_BYTES;
  #offset = 0;

  constructor(log: FileLog) {
    this.#log = log;
  }

  take(offset: number, maxMessages: number, into: BrokerMessage<KafkaPayload>[]): void {
    if (offset !== this.#offset) return;
    const before = into.length;
    try {
      this.#take(maxMessages, into);
    } catch (error) {
      // What lies before the damage goes out first; the next call begins with it.
      if (into.length === before) throw error;
    }
  }

  async load(offset: number): Promise<void> {
    if (offset !== this.#offset) this.#moveTo(offset);
    do {
      // A piece is never written over: the payloads that were made of it are in somebody's hands.
      this.#bytes = await this.#log.read(this.#position, this.#bytesWanted());
      this.#at = 0;
      for (let size = this.#next(); size !== undefined && this.#offset < offset; size = this.#next())
        this.#skip(size);
    } while (this.#next() === undefined);
  }

  #take(maxMessages: number, into: BrokerMessage<KafkaPayload>[]): void {
    const { partition } = this.#log;
    for (let left = maxMessages; left > 0; left--) {
      const size = this.#next();
      if (size === undefined) return;
      if (!isFrameIntact(this.#bytes, this.#at, size)) this.#failDamaged();
      into.push(decodeRecord(this.#bytes, this.#at, size, partition, this.#offset));
      this.#skip(size);
    }
  }

  /** The size of the frame that comes next if all of it is at hand. */
  #next(): number | undefined {
    const left = this.#bytes.length - this.#at;
    if (left < FRAME_HEADER_BYTES) return undefined;
    const size = sizeOfFrame(this.#bytes, this.#at, this.#offset);
    if (size === undefined || this.#position + size > this.#log.endPosition) this.#failDamaged();
    return size <= left ? size : undefined;
  }

  /** Usually a piece; more when the next frame is larger, which shows when its head is at hand. */
  #bytesWanted(): number {
    const left = this.#bytes.length - this.#at;
    return left < FRAME_HEADER_BYTES
      ? READ_BYTES
      : Math.max(READ_BYTES, sizeOfFrame(this.#bytes, this.#at, this.#offset) ?? 0);
  }

  #skip(size: number): void {
    this.#at += size;
    this.#position += size;
    this.#offset++;
  }

  #moveTo(offset: number): void {
    const from = this.#log.index.floor(offset);
    this.#bytes = Buffer.alloc(0);
    this.#at = 0;
    this.#offset = from?.sequence ?? 0;
    this.#position = from?.position ?? FILE_HEADER_BYTES;
  }

  #failDamaged(): never {
    throw damaged(this.#log.file, this.#position, "what was written there is not there any more");
  }
}
