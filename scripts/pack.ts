import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/**
 * Builds and packs the package as `npm publish` would, into a folder, and resolves to the path of the tarball.
 *
 * @throws Error with what the compiler or npm said.
 */
export async function pack(folder: string): Promise<string> {
  try {
    const { stdout } = await run("npm", ["pack", "--silent", "--pack-destination", folder], { cwd: ROOT });
    return join(folder, stdout.trim().split("\n").at(-1)!);
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    throw new Error(`npm pack failed:\n${stdout ?? ""}${stderr ?? ""}`, { cause: error });
  }
}
