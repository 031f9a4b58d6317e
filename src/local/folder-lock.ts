import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { StorageError } from "../errors.ts";

const SQLITE_BUSY = 5;

/**
 * Keeps a folder for one process at a time.
 *
 * The lock is the operating system's on a file, which goes away with the process that holds it, however that ends: so
 * there is nothing to guess about whether a holder still lives. Node has no call for such a lock, but SQLite takes one
 * around a transaction, on every platform; that empty database is all that it is used for.
 */
export class FolderLock {
  readonly #database: DatabaseSync;

  private constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** @throws StorageError that names the folder and who holds it. */
  static async take(folder: string): Promise<FolderLock> {
    const { DatabaseSync } = await import("node:sqlite");
    const holderFile = join(folder, "holder");
    let database: DatabaseSync | undefined;
    try {
      database = new DatabaseSync(join(folder, "lock"));
      database.exec("BEGIN EXCLUSIVE");
      introduce(holderFile);
      return new FolderLock(database);
    } catch (cause) {
      database?.close();
      if (((cause as { errcode?: number }).errcode ?? 0) % 256 !== SQLITE_BUSY) {
        throw new StorageError(`The folder ${folder} cannot be locked: ${(cause as Error).message}`, {
          cause,
        });
      }
      throw new StorageError(
        `The folder ${folder} is in use by another broker (${holder(holderFile)}): close that one, or use another folder.`,
        { cause },
      );
    }
  }

  release(): void {
    this.#database.close();
  }
}

/** Says who has the folder. It only matters to the reader of an error: a disk that is full must not keep anybody out. */
function introduce(file: string): void {
  try {
    writeFileSync(file, `process ${process.pid}, since ${new Date().toISOString()}`);
  } catch {
    rmSync(file, { force: true });
  }
}

function holder(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "which has not said who it is yet";
  }
}
