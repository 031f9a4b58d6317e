import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { ErrorCode } from "../../src/errors.ts";

test("docs/errors.md explains every error code, and none that there is not", () => {
  const page = readFileSync(new URL("../../docs/errors.md", import.meta.url), "utf8");
  const explained = [...page.matchAll(/^\| `(ARROYO_\w+)`/gm)].map((match) => match[1]!);
  assert.deepEqual(explained.toSorted(), Object.values(ErrorCode).toSorted());
});
