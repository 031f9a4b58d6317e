import {
  closeSync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { dirname } from "node:path";
import { StorageError } from "../errors.ts";
import { Partition } from "../message/partition.ts";
import type { FileOptions } from "./file-log.ts";
import { FILE_KIND, FRAME_HEADER_BYTES, sealFrame } from "./frame.ts";
import { scanFrames } from "./frame-scan.ts";
import { CommittedOffsets, type Offsets } from "./storage.ts";

/** A file that is smaller than this is not worth compacting. */
const COMPACT_FROM_BYTES = 256 * 1024;

/** The content of a frame: one commit. */
type Entry = readonly [
  group: string,
  offsets: readonly (readonly [topic: string, index: number, offset: number])[],
];

/**
 * What the groups of a folder have committed: a log of commits, each all or nothing, which is written anew with only the
 * last offsets when it has grown to several times their size.
 *
 * It is written synchronously: a commit takes a few microseconds, happens about once a second, and nobody can get in
 * between.
 */
export class OffsetsLog {
  readonly committed: CommittedOffsets;
  readonly #file: string;
  readonly #options: FileOptions;
  #fd: number;
  #sequence: number;
  #end: number;
  #compactAt: number;
  /** Why nothing more can be written, once that is so. */
  #broken: StorageError | undefined;

  private constructor(
    file: string,
    options: FileOptions,
    committed: CommittedOffsets,
    end: { readonly sequence: number; readonly position: number },
  ) {
    this.#file = file;
    this.#options = options;
    this.committed = committed;
    this.#fd = openSync(file, "r+");
    this.#sequence = end.sequence;
    this.#end = end.position;
    this.#compactAt = Math.max(COMPACT_FROM_BYTES, 2 * this.#end);
  }

  /** Makes an empty one. */
  static create(file: string): void {
    const fresh = `${file}.new`;
    writeWhole(fresh, Buffer.from(FILE_KIND.offsets, "latin1"));
    renameSync(fresh, file);
  }

  /**
   * Opens one and checks all of it. A torn tail is cut off, and the logger told.
   *
   * @throws StorageError when it is damaged.
   */
  static async open(file: string, options: FileOptions): Promise<OffsetsLog> {
    const committed = new CommittedOffsets();
    await using handle = await open(file, "r+");
    const found = await scanFrames(handle, file, "offsets", (_sequence, _position, bytes, contentAt, end) => {
      const [group, offsets] = JSON.parse(bytes.toString("utf8", contentAt, end)) as Entry;
      committed.set(
        group,
        offsets.map(([topic, index, offset]) => [Partition.of(topic, index), offset]),
      );
    });
    if (found.tornBytes > 0) {
      await handle.truncate(found.end);
      options.logger.warn(
        { file, position: found.end, bytes: found.tornBytes },
        "Cut off the end of the committed offsets: the last commit was not finished, and was never acknowledged.",
      );
    }
    return new OffsetsLog(file, options, committed, { sequence: found.nextSequence, position: found.end });
  }

  /** @throws StorageError when it cannot be written; then nothing is committed. */
  commit(group: string, offsets: Offsets): void {
    if (this.#broken !== undefined) throw this.#broken;
    const bytes = encode(group, offsets, this.#sequence);
    try {
      writeAll(this.#fd, bytes, this.#end);
      if (this.#options.fsync) fdatasyncSync(this.#fd);
    } catch (cause) {
      this.#takeBack(
        new StorageError(
          `${this.#file} cannot be written, so nothing was committed: ${(cause as Error).message}`,
          {
            cause,
          },
        ),
      );
    }
    this.#sequence++;
    this.#end += bytes.length;
    this.committed.set(group, offsets);
    if (this.#end >= this.#compactAt) this.#compact();
  }

  close(): void {
    closeSync(this.#fd);
  }

  #takeBack(error: StorageError): never {
    try {
      ftruncateSync(this.#fd, this.#end);
    } catch {
      this.#broken = error;
    }
    throw error;
  }

  #compact(): void {
    const fresh = `${this.#file}.new`;
    const frames = [...this.committed.groups()].map(([group, offsets], at) => encode(group, offsets, at));
    const bytes = Buffer.concat([Buffer.from(FILE_KIND.offsets, "latin1"), ...frames]);
    try {
      writeWhole(fresh, bytes);
      const fd = openSync(fresh, "r+");
      renameSync(fresh, this.#file);
      closeSync(this.#fd);
      this.#fd = fd;
      this.#sequence = frames.length;
      this.#end = bytes.length;
      if (this.#options.fsync) syncFolder(dirname(this.#file));
    } catch (error) {
      // The old file is as good as before, only larger.
      rmSync(fresh, { force: true });
      this.#options.logger.warn(
        { file: this.#file, err: error },
        "The committed offsets could not be compacted.",
      );
    }
    this.#compactAt = Math.max(COMPACT_FROM_BYTES, 4 * this.#end);
  }
}

function encode(group: string, offsets: Offsets, sequence: number): Buffer {
  const entry: Entry = [
    group,
    Array.from(offsets, ([{ topic, index }, offset]) => [topic.name, index, offset]),
  ];
  const content = Buffer.from(JSON.stringify(entry));
  const bytes = Buffer.concat([Buffer.alloc(FRAME_HEADER_BYTES), content]);
  sealFrame(bytes, 0, bytes.length, sequence);
  return bytes;
}

function writeAll(fd: number, bytes: Buffer, position: number): void {
  for (let written = 0; written < bytes.length;) {
    written += writeSync(fd, bytes, written, bytes.length - written, position + written);
  }
}

/** Writes a file that the disk has when this returns, so that it may take the place of another. */
export function writeWhole(file: string, bytes: Buffer): void {
  const fd = openSync(file, "w");
  try {
    writeAll(fd, bytes, 0);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Has the disk know of the files that were made in a folder. */
export function syncFolder(folder: string): void {
  // Windows knows no such thing.
  if (process.platform === "win32") return;
  const fd = openSync(folder, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
