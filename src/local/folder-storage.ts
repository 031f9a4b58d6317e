import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { StorageError } from "../errors.ts";
import { Partition } from "../message/partition.ts";
import { FileLog, type FileOptions } from "./file-log.ts";
import { FolderLock } from "./folder-lock.ts";
import { FILE_KIND } from "./frame.ts";
import { OffsetsLog, syncFolder, writeWhole } from "./offsets-log.ts";
import type { PartitionLog } from "./partition-log.ts";
import type { Offsets, Storage } from "./storage.ts";

/**
 * Keeps everything in a folder:
 *
 * | file | what it is |
 * |---|---|
 * | `lock`, `holder` | held by the process that has the folder open; who that is |
 * | `topics/NAME/INDEX-of-COUNT.log` | the messages of a partition |
 * | `offsets.log` | what groups have committed |
 * | `making/` | what is not finished: topics that appear by being moved |
 */
export class FolderStorage implements Storage {
  readonly topics: Map<string, readonly PartitionLog[]>;
  readonly #folder: string;
  readonly #options: FileOptions;
  readonly #lock: FolderLock;
  readonly #offsets: OffsetsLog;
  readonly #logs: FileLog[];

  private constructor(
    folder: string,
    options: FileOptions,
    lock: FolderLock,
    offsets: OffsetsLog,
    topics: Map<string, readonly FileLog[]>,
  ) {
    this.#folder = folder;
    this.#options = options;
    this.#lock = lock;
    this.#offsets = offsets;
    this.topics = topics;
    this.#logs = [...topics.values()].flat();
  }

  /**
   * Opens a folder, and makes it if it is not there.
   *
   * @throws StorageError when it is in use, damaged, or cannot be read and written.
   */
  static async open(path: string, options: FileOptions): Promise<FolderStorage> {
    const folder = resolve(path);
    try {
      await mkdir(join(folder, "topics"), { recursive: true });
      const lock = await FolderLock.take(folder);
      const topics = new Map<string, readonly FileLog[]>();
      try {
        await rm(join(folder, "making"), { recursive: true, force: true });
        const file = join(folder, "offsets.log");
        const names = await topicNames(folder);
        if (!existsSync(file)) {
          // It is made before the first topic: without it, every group would start anew.
          if (names.length > 0) throw new StorageError(`${file} is missing: put a copy of it back.`);
          OffsetsLog.create(file);
          if (options.fsync) syncFolder(folder);
        }
        for (const name of names) {
          topics.set(name, await openTopic(join(folder, "topics", name), name, options));
        }
        return new FolderStorage(folder, options, lock, await OffsetsLog.open(file, options), topics);
      } catch (error) {
        for (const log of [...topics.values()].flat()) await log.close();
        lock.release();
        throw error;
      }
    } catch (error) {
      if (error instanceof StorageError) throw error;
      throw new StorageError(`The folder ${folder} cannot be used: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  async createTopic(name: string, partitions: number): Promise<void> {
    const making = join(this.#folder, "making", name);
    const made = join(this.#folder, "topics", name);
    try {
      mkdirSync(making, { recursive: true });
      for (let index = 0; index < partitions; index++) {
        writeWhole(logFile(making, index, partitions), Buffer.from(FILE_KIND.log, "latin1"));
      }
      renameSync(making, made);
      if (this.#options.fsync) syncFolder(join(this.#folder, "topics"));
      const logs = await openTopic(made, name, this.#options);
      this.#logs.push(...logs);
      this.topics.set(name, logs);
    } catch (cause) {
      rmSync(making, { recursive: true, force: true });
      throw new StorageError(`Topic ${name} cannot be made in ${this.#folder}: ${(cause as Error).message}`, {
        cause,
      });
    }
  }

  committed(group: string): Offsets {
    return this.#offsets.committed.of(group);
  }

  commit(group: string, offsets: Offsets): void {
    this.#offsets.commit(group, offsets);
  }

  async close(): Promise<void> {
    try {
      for (const log of this.#logs) await log.close();
      this.#offsets.close();
    } finally {
      this.#lock.release();
    }
  }
}

/** The count is part of the name so that a file that is missing is missed. */
function logFile(topicFolder: string, index: number, count: number): string {
  return join(topicFolder, `${index}-of-${count}.log`);
}

async function topicNames(folder: string): Promise<readonly string[]> {
  const entries = await readdir(join(folder, "topics"), { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}

async function openTopic(folder: string, name: string, options: FileOptions): Promise<readonly FileLog[]> {
  const counts = (await readdir(folder)).map((file) => Number(/^\d+-of-(\d+)\.log$/.exec(file)?.[1] ?? 0));
  const count = Math.max(0, ...counts);
  if (count === 0) throw new StorageError(`${folder} has no logs in it: put copies of them back.`);
  const logs: FileLog[] = [];
  try {
    for (let index = 0; index < count; index++) {
      logs.push(await FileLog.open(Partition.of(name, index), logFile(folder, index, count), options));
    }
    return logs;
  } catch (error) {
    for (const log of logs) await log.close();
    throw error;
  }
}
