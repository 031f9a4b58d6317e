import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "node:test";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

function snippetsOf(path: string): string[] {
  const text = readFileSync(path, "utf8");
  return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map((match) => match[1]!);
}

test("every TypeScript snippet of README.md and docs/ compiles against the package's own names", (t) => {
  const pages = [
    join(ROOT, "README.md"),
    ...readdirSync(join(ROOT, "docs"), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".md"))
      .map((name) => join(ROOT, "docs", name)),
  ];
  // Inside the project, so that its dependencies and its tsconfig are found.
  mkdirSync(join(ROOT, ".data"), { recursive: true });
  const folder = mkdtempSync(join(ROOT, ".data", "snippets-"));
  t.after(() => rmSync(folder, { recursive: true }));
  let snippets = 0;
  for (const page of pages) {
    for (const [index, snippet] of snippetsOf(page).entries()) {
      // A snippet is a module of its own, also when it imports nothing.
      writeFileSync(join(folder, `${basename(page, ".md")}-${index + 1}.ts`), `${snippet}\nexport {};\n`);
      snippets += 1;
    }
  }
  assert.ok(snippets > 0);
  const source = (path: string): string[] => [join(relative(folder, ROOT), "src", path)];
  const config = {
    extends: join(relative(folder, ROOT), "tsconfig.json"),
    compilerOptions: {
      // As in a user's project: what concerns only how this one is built does not count.
      noUnusedLocals: false,
      noUnusedParameters: false,
      isolatedDeclarations: false,
      declaration: false,
      paths: {
        arroyo: source("index.ts"),
        "arroyo/kafka": source("kafka/index.ts"),
        "arroyo/local": source("local/index.ts"),
        "arroyo/testing": source("testing/index.ts"),
      },
    },
    include: ["*.ts"],
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
  try {
    execFileSync(join(ROOT, "node_modules/.bin/tsc"), ["-p", folder], { encoding: "utf8" });
  } catch (error) {
    assert.fail((error as { stdout: string }).stdout);
  }
});
