import { open, type FileHandle } from "node:fs/promises";
import { StorageError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { Partition } from "../message/partition.ts";
import { FileLogReader } from "./file-log-reader.ts";
import { MAX_CONTENT_BYTES } from "./frame.ts";
import { scanFrames } from "./frame-scan.ts";
import { encodeRecords, recordSize } from "./log-record.ts";
import { GrowListeners, type Append, type LogReader, type PartitionLog } from "./partition-log.ts";
import { SparseIndex } from "./sparse-index.ts";

/** About the most that is written at once. */
const WRITE_BYTES = 4 * 1024 * 1024;

interface Waiting extends Append {
  readonly size: number;
}

/** Where a log ends. */
interface LogEnd {
  readonly offset: number;
  readonly position: number;
}

export interface FileOptions {
  readonly logger: Logger;
  /** Whether something counts as stored only when the disk has it, not when the operating system has it. */
  readonly fsync: boolean;
}

/**
 * A log in a file. What is produced in one turn of the event loop, or while a write is under way, is written at once; a
 * message is stored when the operating system has taken it, which keeps it if this process is killed.
 */
export class FileLog implements PartitionLog {
  readonly partition: Partition;
  readonly file: string;
  readonly index: SparseIndex;
  readonly #handle: FileHandle;
  readonly #fsync: boolean;
  readonly #listeners = new GrowListeners();
  #end: LogEnd;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;
  /** Why nothing more can be written, once that is so. */
  #broken: StorageError | undefined;

  private constructor(
    partition: Partition,
    file: string,
    handle: FileHandle,
    end: LogEnd,
    index: SparseIndex,
    fsync: boolean,
  ) {
    this.partition = partition;
    this.file = file;
    this.index = index;
    this.#handle = handle;
    this.#end = end;
    this.#fsync = fsync;
  }

  /**
   * Opens a log and checks all of it. A torn tail is cut off, and the logger told.
   *
   * @throws StorageError when it is damaged.
   */
  static async open(partition: Partition, file: string, { logger, fsync }: FileOptions): Promise<FileLog> {
    const handle = await open(file, "r+");
    try {
      const index = new SparseIndex();
      const found = await scanFrames(handle, file, "log", (offset, position) => index.add(offset, position));
      if (found.tornBytes > 0) {
        await handle.truncate(found.end);
        logger.warn(
          {
            file,
            topic: partition.topic.name,
            partition: partition.index,
            position: found.end,
            bytes: found.tornBytes,
          },
          "Cut off the end of a log: its last write was not finished, and was never acknowledged.",
        );
      }
      const end = { offset: found.nextSequence, position: found.end };
      return new FileLog(partition, file, handle, end, index, fsync);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  get endOffset(): number {
    return this.#end.offset;
  }

  /** Where in the file what is stored ends. */
  get endPosition(): number {
    return this.#end.position;
  }

  append({ payload, timestampMs, stored, failed }: Append): void {
    const size = recordSize(payload);
    if (size > MAX_CONTENT_BYTES) {
      failed(
        new StorageError(
          `It has ${size} bytes, and at most ${MAX_CONTENT_BYTES} can be stored: make it smaller.`,
        ),
      );
      return;
    }
    this.#waiting.push({ payload, timestampMs, stored, failed, size });
    this.#writing ??= this.#write();
  }

  onGrow(listener: () => void): () => void {
    return this.#listeners.add(listener);
  }

  reader(): LogReader {
    return new FileLogReader(this);
  }

  /** Bytes from a position on, at most up to the end of what is stored. */
  async read(position: number, length: number): Promise<Buffer> {
    const wanted = Math.min(length, this.#end.position - position);
    const bytes = Buffer.allocUnsafeSlow(wanted);
    let read = 0;
    while (read < wanted) {
      const { bytesRead } = await this.#handle.read(bytes, read, wanted - read, position + read);
      if (bytesRead === 0) {
        throw new StorageError(
          `${this.file} ends at byte ${position + read}, but was longer: something has cut it.`,
        );
      }
      read += bytesRead;
    }
    return bytes;
  }

  /** Writes what waits, and lets go of the file. */
  async close(): Promise<void> {
    await this.#writing;
    await this.#handle.close();
  }

  async #write(): Promise<void> {
    // What is produced until the event loop has had its turn goes with the first write.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#waiting.length > 0) {
      const batch = this.#nextBatch();
      try {
        await this.#store(batch);
      } catch (error) {
        for (const { failed } of batch) failed(error as Error);
      }
    }
    this.#writing = undefined;
  }

  #nextBatch(): readonly Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const { size } of this.#waiting) {
      if (count > 0 && bytes + size > WRITE_BYTES) break;
      bytes += size;
      count++;
    }
    const batch = this.#waiting.slice(0, count);
    this.#waiting = this.#waiting.slice(count);
    return batch;
  }

  async #store(batch: readonly Waiting[]): Promise<void> {
    if (this.#broken !== undefined) throw this.#broken;
    await this.#writeAll(encodeRecords(batch, this.#end.offset));
    if (this.#fsync) await this.#sync();
    const first = this.#end.offset;
    let { offset, position } = this.#end;
    for (const { size } of batch) {
      this.index.add(offset++, position);
      position += size;
    }
    this.#end = { offset, position };
    for (const [at, { stored }] of batch.entries()) stored(first + at);
    this.#listeners.call();
  }

  async #writeAll(bytes: Buffer): Promise<void> {
    const from = this.#end.position;
    try {
      let written = 0;
      while (written < bytes.length) {
        const left = bytes.length - written;
        written += (await this.#handle.write(bytes, written, left, from + written)).bytesWritten;
      }
    } catch (cause) {
      const error = new StorageError(
        `${this.file} cannot be written (what is stored in it can still be read): ${(cause as Error).message}`,
        { cause },
      );
      try {
        // A write that failed half-way has left something, which must not be taken for messages later.
        await this.#handle.truncate(from);
      } catch {
        this.#broken = error;
      }
      throw error;
    }
  }

  async #sync(): Promise<void> {
    try {
      await this.#handle.datasync();
    } catch (cause) {
      // Nobody can tell what the disk has now, and to ask again is of no use: it may say yes to a write that is lost.
      this.#broken = new StorageError(
        `${this.file} cannot be brought to the disk, so nothing more is written to it: open the folder again.`,
        { cause },
      );
      throw this.#broken;
    }
  }
}
