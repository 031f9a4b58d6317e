import { existsSync, statSync, watch } from "node:fs";
import { dirname } from "node:path";

/** Resolves when something is so; it is looked at whenever something happens to a file or in a folder. */
async function seen(path: string, isSo: () => boolean): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const look = (): void => {
    if (isSo()) resolve();
  };
  const watcher = watch(path, look);
  try {
    look();
    await promise;
  } finally {
    watcher.close();
  }
}

/** Resolves when the file exists. */
export async function appears(path: string): Promise<void> {
  await seen(dirname(path), () => existsSync(path));
}

/** Resolves when the file has been changed since the call. */
export async function isTouched(path: string): Promise<void> {
  const before = statSync(path).mtimeMs;
  await seen(path, () => statSync(path).mtimeMs > before);
}
