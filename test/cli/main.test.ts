import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { arroyo } from "./command.ts";

test("--version prints the package's version", () => {
  const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  assert.deepEqual(arroyo(["--version"]), { code: 0, stdout: `${manifest.version}\n`, stderr: "" });
});

test("--help lists the commands; without a command it is shown as an error", () => {
  const { code, stdout, stderr } = arroyo(["--help"]);
  assert.equal(code, 0);
  assert.equal(stderr, "");
  assert.match(stdout, /healthcheck PATH \[--max-age DURATION\]/);
  assert.deepEqual(arroyo([]), { code: 2, stdout: "", stderr: stdout });
  const [, examples = ""] = stdout.split("\nExamples:\n");
  for (const command of ["run", "healthcheck", "dlq replay"])
    assert.match(examples, RegExp(`^ {2}arroyo ${command} `, "m"));
});

test("an unknown command or flag is named with the nearest one, with exit code 2", () => {
  for (const [args, expected] of [
    [["helthcheck", "x"], /^arroyo: unknown command helthcheck \(the nearest is healthcheck\)/],
    [["--verison"], /^arroyo: unknown flag --verison \(the nearest is --version\)/],
    [["healthcheck", "x", "--maxage", "5s"], /unknown flag --maxage \(the nearest is --max-age\)/],
    [["healthcheck", "x", "--toString"], /unknown flag --toString/],
    [["healthcheck", "-m", "x"], /unknown flag -m/],
  ] as const) {
    const { code, stdout, stderr } = arroyo(args);
    assert.equal(code, 2);
    assert.equal(stdout, "");
    assert.match(stderr, expected);
  }
});
