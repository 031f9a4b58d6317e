import assert from "node:assert/strict";
import { test } from "node:test";
import { outdatedDocs } from "../../scripts/generated-docs.ts";

test("the pages that are made from the code are up to date (npm run docs writes them)", async () => {
  assert.deepEqual(await outdatedDocs(), []);
});
