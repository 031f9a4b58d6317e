import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { ROOT } from "./code-blocks.ts";
import { logCalls, type LogCall } from "./log-calls.ts";

/** These pass on what others say, in the same words. */
const PASSING_ON = new Set([
  "src/log-limit.ts",
  "src/cli/run-report.ts",
  // What src/watch/stuck-reporter.ts could not write itself.
  "src/processing/stuck-detector.ts",
]);

interface Documented {
  readonly level: string;
  readonly fields: ReadonlySet<string>;
}

/** The rows of a section's table, cell by cell. */
function rows(page: string, section: string): string[][] {
  const [, text = ""] = page.split(`\n## ${section}\n`);
  const lines = text.split("\n## ")[0]!.split("\n");
  return lines
    .filter((line) => /^\|(?! *-)/.test(line))
    .slice(1)
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

function names(cell: string): string[] {
  return [...cell.matchAll(/`(\w+)`/g)].map((match) => match[1]!);
}

function documentedIn(page: string): Map<string, Documented> {
  const lines = new Map<string, Documented>();
  for (const [section, ofSection] of [
    ["Errors", "error"],
    ["Warnings", "warn"],
  ] as const) {
    for (const [message, fields] of rows(page, section)) {
      lines.set(message!, { level: ofSection, fields: new Set(names(fields!)) });
    }
  }
  for (const [message, level, fields] of rows(page, "What a healthy consumer says")) {
    lines.set(message!, { level: names(level!)[0]!, fields: new Set(names(fields!)) });
  }
  return lines;
}

it("docs/guides/on-call.md quotes what is really said: in the log, by probes, or on the dashboard", () => {
  const page = readFileSync(`${ROOT}docs/guides/on-call.md`, "utf8");
  const sources = globSync("src/**/*.ts", { cwd: ROOT }).map((file) =>
    readFileSync(`${ROOT}${file}`, "utf8"),
  );
  const said = [...sources, readFileSync(`${ROOT}deploy/grafana/arroyo.json`, "utf8")].join("\n");
  const quoted = [...page.matchAll(/"([^"]+)"/g)].map((match) => match[1]!);
  assert.ok(quoted.length > 10);
  assert.deepEqual(
    quoted.filter((text) => !said.includes(text)),
    [],
  );
});

describe("docs/guides/logging.md", async () => {
  const page = readFileSync(`${ROOT}docs/guides/logging.md`, "utf8");
  const documented = documentedIn(page);
  const calls = await logCalls();
  const spoken = calls.filter(({ messages }) => messages.length > 0);

  it("has every line that is logged, at its level and with its fields", () => {
    assert.ok(spoken.length > 50);
    for (const { file, level, messages, fields } of spoken) {
      for (const message of messages) {
        const told = documented.get(message);
        assert.ok(told !== undefined, `${file} says ${JSON.stringify(message)}, which the page has not`);
        assert.equal(told.level, level, `${file}: ${message}`);
        assert.deepEqual([...told.fields].toSorted(), [...fields].toSorted(), `${file}: ${message}`);
      }
    }
  });

  it("has no line that is not logged", () => {
    const said = new Set(spoken.flatMap(({ messages }) => messages));
    assert.deepEqual(
      [...documented.keys()].filter((message) => !said.has(message)),
      [],
    );
  });

  it("explains every field, and none that is not used", () => {
    const explained = rows(page, "Fields").flatMap(([cell]) => names(cell!));
    const used = new Set(calls.flatMap(({ fields }) => [...fields]));
    // It is added to whatever line comes after those that were left out.
    used.add("suppressed");
    assert.deepEqual(explained.toSorted(), [...used].toSorted());
  });

  it("is about lines that are written alike: whole sentences, and fields that are seen where they are logged", () => {
    const isFine = ({ messages, isOpen, file }: LogCall): boolean =>
      PASSING_ON.has(file) ||
      (!isOpen && messages.length > 0 && messages.every((message) => /^["\w…].*\.$/.test(message)));
    assert.deepEqual(
      calls.filter((call) => !isFine(call)),
      [],
    );
  });
});
