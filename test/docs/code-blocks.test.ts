import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { codeBlocks, ROOT, type CodeBlock } from "./code-blocks.ts";

/**
 * The blocks as files, in a folder where `arroyo` means this project's sources. It lies in the project, since what is
 * under node_modules is not compiled and what is elsewhere does not find it.
 */
mkdirSync(join(ROOT, ".data"), { recursive: true });
const folder = mkdtempSync(join(ROOT, ".data", "blocks-"));
after(() => rmSync(folder, { recursive: true }));

const blocks = codeBlocks().filter(({ info }) => info === "ts" || info === "ts run");

function fileOf({ page, line }: CodeBlock): string {
  return `${page.replaceAll(/[^a-zA-Z0-9]+/g, "-")}-line-${line}.ts`;
}

/** Blocks of a page import each other by the names that they have there. */
function codeOf({ page, code }: CodeBlock): string {
  return code.replaceAll(/(?<=from ")\.\/([\w.-]+\.ts)(?=")/g, (path, name: string) => {
    const imported = blocks.find((block) => block.page === page && block.file === name);
    return imported === undefined ? path : `./${fileOf(imported)}`;
  });
}

async function output(command: string, args: readonly string[]): Promise<{ code: number; text: string }> {
  const child = spawn(command, args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  }
  const [code] = (await once(child, "close")) as [number];
  return { code, text };
}

describe("code in the docs", () => {
  test("every block that is said to be TypeScript compiles", async () => {
    assert.ok(blocks.length > 5);
    // A block that imports nothing is a module all the same.
    for (const block of blocks) writeFileSync(join(folder, fileOf(block)), `${codeOf(block)}\nexport {};\n`);
    cpSync(join(ROOT, "test", "docs", "given.d.ts"), join(folder, "given.d.ts"));
    writeFileSync(
      join(folder, "tsconfig.json"),
      JSON.stringify({
        extends: "../../tsconfig.json",
        compilerOptions: {
          paths: Object.fromEntries(
            [
              "index",
              "kafka/index",
              "local/index",
              "testing/index",
              "dashboard/index",
              "metrics/prometheus",
              "metrics/opentelemetry",
            ].map((entry) => [
              entry === "index" ? "arroyo" : `arroyo/${entry.replace(/\/index$/, "")}`,
              [`../../src/${entry}.ts`],
            ]),
          ),
          // A reader writes neither types for what they export nor uses for everything that is shown.
          isolatedDeclarations: false,
          declaration: false,
          noUnusedLocals: false,
          noUnusedParameters: false,
        },
        include: ["*.ts"],
      }),
    );
    const { code, text } = await output(join(ROOT, "node_modules", ".bin", "tsc"), ["-p", "."]);
    assert.equal(code, 0, text);
  });

  for (const block of blocks.filter(({ info }) => info === "ts run")) {
    test(`${block.page}, line ${block.line}, runs`, async () => {
      const file = join(folder, `run-${fileOf(block)}`);
      // Node strips types of sources outside of node_modules only, so the names are written out.
      const code = block.code.replaceAll(
        /from "arroyo(?:\/([a-z/]+))?"/g,
        (_all, entry: string | undefined) =>
          entry === undefined
            ? 'from "../../src/index.ts"'
            : `from "../../src/${entry}${entry.startsWith("metrics/") ? "" : "/index"}.ts"`,
      );
      writeFileSync(file, code);
      const ran = await output(process.execPath, [file]);
      assert.equal(ran.code, 0, ran.text);
    });
  }
});
