import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { sentence } from "../src/log-sentence.ts";
import { writeLogLine } from "../src/logger.ts";

test("a line that cannot be written ends no thread, and that is told", () => {
  const folder = mkdtempSync(join(tmpdir(), "arroyo-logger-"));
  try {
    const descriptor = openSync(join(folder, "stderr"), "a");
    assert.equal(writeLogLine("error", { groupId: "g" }, "late", descriptor), true);
    closeSync(descriptor);
    assert.match(
      readFileSync(join(folder, "stderr"), "utf8"),
      /^{"level":"error","time":"[^"]+","msg":"late","groupId":"g"}\n$/,
    );
    assert.equal(writeLogLine("error", { groupId: "g" }, "late", descriptor), false);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("at a terminal a line is a sentence, its fields in brackets, and a stack on lines of its own", () => {
  const fields = {
    topic: "orders",
    offset: 5,
    reason: undefined,
    err: new Error("no disk"),
    stack: "    at work",
  };
  assert.equal(
    sentence("error", fields, "It does not work."),
    "error: It does not work. (topic: orders, offset: 5, err: no disk)\n    at work",
  );
  assert.equal(
    sentence("info", { partitions: ["orders:0", "orders:1"] }, "Partitions were assigned."),
    "Partitions were assigned. (partitions: orders:0 orders:1)",
  );
  assert.equal(sentence("info", {}, "It works again."), "It works again.");
});
