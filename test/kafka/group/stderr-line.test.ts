import assert from "node:assert/strict";
import { closeSync, openSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { writeToStderr } from "../../../src/kafka/client/stderr-line.ts";
import { Scratch } from "../e2e/member-process.ts";

test("a line that cannot be written does not end the I/O thread, and is told otherwise", () => {
  using scratch = new Scratch();
  const path = scratch.file("stderr");
  const descriptor = openSync(path, "a");
  assert.equal(writeToStderr({ groupId: "g", msg: "late" }, descriptor), true);
  closeSync(descriptor);
  assert.match(readFileSync(path, "utf8"), /"groupId":"g","msg":"late"}\n$/);
  assert.equal(writeToStderr({ groupId: "g", msg: "late" }, descriptor), false);
});
