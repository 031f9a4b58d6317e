// npm run package:check: packs the package and asks publint and attw (are the types wrong?) what its users would meet.
import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pack } from "./pack.ts";

const folder = await mkdtemp(join(tmpdir(), "arroyo-pack-"));
try {
  const tarball = await pack(folder);
  for (const [command, ...args] of [
    ["publint", "run", "--strict", tarball],
    ["attw", tarball, "--profile", "esm-only"],
  ] as const) {
    const { status, error } = spawnSync(command, args, { stdio: "inherit" });
    if (error !== undefined) throw error;
    if (status !== 0) process.exitCode = 1;
  }
} finally {
  await rm(folder, { recursive: true });
}
