import { suite, test } from "node:test";
import { backendContract } from "../contracts/backend.ts";
import { folderBackend, memoryBackend } from "./backends.ts";

for (const [kind, open] of [
  ["in memory", memoryBackend],
  ["in a folder", folderBackend],
] as const) {
  for (const incremental of [false, true]) {
    suite(`a local broker ${kind}, ${incremental ? "incremental" : "eager"} rebalances`, () => {
      for (const { name, run } of backendContract()) {
        test(name, { timeout: 60_000 }, async () => {
          await using backend = await open(incremental);
          await run(backend);
        });
      }
    });
  }
}
