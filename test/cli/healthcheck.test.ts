import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { arroyo } from "./command.ts";

const folder = mkdtempSync(join(tmpdir(), "arroyo-healthcheck-"));
after(() => rmSync(folder, { recursive: true }));

let files = 0;

function touched(secondsAgo: number): string {
  const path = join(folder, `health-${files++}`);
  writeFileSync(path, "");
  const time = Date.now() / 1_000 - secondsAgo;
  utimesSync(path, time, time);
  return path;
}

describe("arroyo healthcheck PATH", () => {
  test("removes the file and is content, however old it is", () => {
    const path = touched(10_000);
    assert.deepEqual(arroyo(["healthcheck", path]), { code: 0, stdout: "", stderr: "" });
    assert.equal(existsSync(path), false);
  });

  test("fails with one clear line when the file is missing", () => {
    const path = touched(0);
    arroyo(["healthcheck", path]);
    assert.deepEqual(arroyo(["healthcheck", path]), {
      code: 1,
      stdout: "",
      stderr: `arroyo healthcheck: ${path} is missing: the consumer has not touched it since the last probe\n`,
    });
  });

  test("--json: the outcome as one line, healthy or not", () => {
    const path = touched(0);
    const healthy = arroyo(["healthcheck", path, "--json"]);
    assert.deepEqual([healthy.code, healthy.stdout, healthy.stderr], [0, '{"healthy":true}\n', ""]);
    const { code, stdout, stderr } = arroyo(["healthcheck", path, "--json"]);
    assert.deepEqual([code, stderr], [1, ""]);
    assert.match(stdout, /^\{"healthy":false,"reason":".* is missing: [^"]*"\}\n$/);
  });

  test("fails with the system's reason when the file cannot be removed", () => {
    const { code, stderr } = arroyo(["healthcheck", folder]);
    assert.equal(code, 1);
    assert.match(stderr, /cannot be checked: E(ISDIR|PERM)/);
    assert.equal(existsSync(folder), true);
  });
});

describe("arroyo healthcheck PATH --max-age DURATION", () => {
  test("looks at the age and leaves the file alone", () => {
    const path = touched(200);
    for (const age of ["320s", "5m", "320000ms", "0.5h"]) {
      assert.deepEqual(arroyo(["healthcheck", path, "--max-age", age]), { code: 0, stdout: "", stderr: "" });
    }
    assert.equal(arroyo(["healthcheck", "--max-age=300s", path]).code, 0);
    assert.equal(existsSync(path), true);
  });

  test("fails with the age when the file is older, and when it is missing", () => {
    const path = touched(200);
    const old = arroyo(["healthcheck", path, "--max-age", "3m"]);
    assert.equal(old.code, 1);
    assert.match(
      old.stderr,
      /is 3 min [2-5]\d s old, more than 3 min 0 s: the consumer has stopped touching it\n$/,
    );
    assert.equal(existsSync(path), true);
    const missing = arroyo(["healthcheck", join(folder, "nothing"), "--max-age", "3m"]);
    assert.equal(missing.code, 1);
    assert.match(missing.stderr, /nothing is missing: the consumer has not touched it\n$/);
  });

  test("does not take something else for a health file", () => {
    const { code, stderr } = arroyo(["healthcheck", folder, "--max-age", "3m"]);
    assert.equal(code, 1);
    assert.match(stderr, /is not a file/);
  });
});

test("a wrong command line is exit code 2, and touches nothing", () => {
  const path = touched(0);
  for (const [args, expected] of [
    [[], /PATH is missing/],
    [[path, "other"], /unexpected argument "other"/],
    [[path, "--max-age"], /--max-age needs a value/],
    [[path, "--max-age", "--help"], /--max-age needs a value/],
    [[path, "--max-age", "320"], /--max-age is "320", but must be a duration like 320s, 5m or 1500ms/],
    [[path, "--max-age", "0s"], /must be a duration/],
    [[path, "--max-age", "5s", "--max-age", "6s"], /--max-age is given twice/],
    [[path, "--help=yes"], /--help takes no value/],
  ] as const) {
    const { code, stdout, stderr } = arroyo(["healthcheck", ...args]);
    assert.equal(code, 2);
    assert.equal(stdout, "");
    assert.match(stderr, expected);
    assert.match(stderr, /Usage: arroyo healthcheck PATH/);
  }
  assert.equal(existsSync(path), true);
});

test("--help explains both forms", () => {
  const { code, stdout } = arroyo(["healthcheck", "--help"]);
  assert.equal(code, 0);
  assert.match(stdout, /--max-age DURATION/);
});

test("a probe starts fast: it loads no more than itself", () => {
  const hook =
    "import { registerHooks } from 'node:module';" +
    "registerHooks({ load(url, context, next) { process._rawDebug(url); return next(url, context); } });";
  const { code, stderr } = arroyo(["healthcheck", touched(0)], ["--import", `data:text/javascript,${hook}`]);
  assert.equal(code, 0);
  const loaded = stderr.split("\n").filter((url) => url.startsWith("file:"));
  assert.deepEqual(loaded.map((url) => url.replace(/^.*\/src\//, "")).toSorted(), [
    "cli/arguments.ts",
    "cli/duration.ts",
    "cli/healthcheck.ts",
    "cli/main.ts",
    "nearest.ts",
  ]);
});
