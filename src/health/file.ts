import { closeSync, openSync } from "node:fs";
import { ConfigurationError } from "../errors.ts";

/**
 * Makes the file if it is not there, and sets the time of its last change to now.
 *
 * @throws ConfigurationError when it cannot be written: a health check that fails silently is worse than none.
 */
export function touchHealthFile(path: string): void {
  try {
    // Opening for writing truncates, and that sets the time also for a file that is owned by somebody else.
    closeSync(openSync(path, "w"));
  } catch (error) {
    throw new ConfigurationError(
      `Healthcheck: the file ${JSON.stringify(path)} cannot be written (${(error as Error).message}). ` +
        "Give a path in a folder that exists and that this process may write to.",
      { cause: error },
    );
  }
}
