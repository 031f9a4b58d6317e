import { writeSync } from "node:fs";

const STDERR = 2;

/**
 * Writes an error as a line of JSON straight to standard error, from this thread: a worker's `console` is seen only when
 * the main thread is free.
 *
 * Returns false when it cannot be written: the pipe may be full or closed, which is no reason for the I/O thread to end.
 */
export function writeToStderr(
  fields: { readonly groupId: string; readonly msg: string },
  fileDescriptor: number = STDERR,
): boolean {
  const line = { level: "error", time: new Date().toISOString(), thread: "arroyo-io", ...fields };
  try {
    writeSync(fileDescriptor, `${JSON.stringify(line)}\n`);
    return true;
  } catch {
    return false;
  }
}
