import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { ConfigurationError } from "../errors.ts";

function readPem(path: string): string {
  if (!statSync(path).isDirectory()) return readFileSync(path, "utf8");
  const files = readdirSync(path, { withFileTypes: true }).filter((entry) => !entry.isDirectory());
  return files.map((file) => readFileSync(join(path, file.name), "utf8")).join("\n");
}

/**
 * Puts the text of each `ssl.*.location` into `ssl.*.pem`, so that nobody else has to read files.
 *
 * @throws ConfigurationError when a file cannot be read, or holds no PEM.
 */
export function readPemFiles(values: Record<string, unknown>): void {
  for (const what of ["ssl.ca", "ssl.certificate", "ssl.key"]) {
    const path = values[`${what}.location`];
    if (typeof path !== "string") continue;
    let text: string;
    try {
      text = readPem(path);
    } catch (error) {
      throw new ConfigurationError(`"${what}.location" (${JSON.stringify(path)}) cannot be read.`, {
        cause: error,
      });
    }
    if (!text.includes("-----BEGIN ")) {
      throw new ConfigurationError(`"${what}.location" (${JSON.stringify(path)}) holds no PEM text.`);
    }
    values[`${what}.pem`] = text;
  }
}
