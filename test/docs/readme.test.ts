import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { codeBlocks, ROOT } from "./code-blocks.ts";

/** Node strips types of sources outside of node_modules only, so the package's names are written out. */
function withPaths(code: string): string {
  return code.replaceAll(
    /from "arroyo(?:\/([a-z]+))?"/g,
    (_all, entry: string | undefined) => `from "../../src/${entry === undefined ? "" : `${entry}/`}index.ts"`,
  );
}

test("README: the test of the first page tests its pipeline, and passes", () => {
  const [pipeline, itsTest] = codeBlocks().filter(({ page, info }) => page === "README.md" && info === "ts");
  const [chain, rest] = pipeline!.code.split("\nconst kafka = ");
  assert.ok(rest !== undefined, "the pipeline comes first, and then what it runs on");
  const declared = /^declare const makePipeline.*;$/m;
  assert.match(itsTest!.code, declared);
  mkdirSync(join(ROOT, ".data"), { recursive: true });
  const folder = mkdtempSync(join(ROOT, ".data", "readme-"));
  try {
    // What it calls is the reader's own.
    const enrich = "const enrich = async (order: unknown) => order;";
    writeFileSync(join(folder, "pipeline.ts"), `${withPaths(chain!)}\n${enrich}\n`);
    const code = itsTest!.code.replace(declared, 'import { makePipeline } from "./pipeline.ts";');
    writeFileSync(join(folder, "pipeline.test.ts"), withPaths(code));
    execFileSync(process.execPath, [join(folder, "pipeline.test.ts")], { encoding: "utf8", stdio: "pipe" });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
