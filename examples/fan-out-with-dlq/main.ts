// node examples/fan-out-with-dlq/main.ts: orders are split; those for a warehouse that is new wait in the dead letter queue until
// it is known, and are replayed with the command.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { LocalBroker } from "../../src/local/index.ts";
import { createTopics, runEmbedded, send, valuesIn } from "../embedded.ts";
import { fanOutPipeline, topicOf } from "./pipeline.ts";

const ARROYO = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const WAREHOUSES = ["north", "south", "west"];
const folder = mkdtempSync(join(tmpdir(), "arroyo-example-"));

async function split(warehouses: readonly string[]): Promise<void> {
  await using broker = await LocalBroker.open(folder);
  await createTopics(broker, "orders", "orders-dlq", ...WAREHOUSES.map(topicOf));
  if (![...broker.endOffsets("orders").values()].some((end) => end > 0)) {
    const orders = Array.from({ length: 300 }, (_, i) => ({
      id: `o${i}`,
      lines: WAREHOUSES.slice(0, 1 + (i % 3)).map((warehouse) => ({
        warehouse,
        article: `a${i}`,
        quantity: 1,
      })),
    }));
    await send(
      broker,
      "orders",
      orders.map((order) => [order.id, JSON.stringify(order)] as const),
    );
  }
  await runEmbedded({ broker, group: "fan-out", input: "orders", deadLetters: "orders-dlq" }, (tools) =>
    fanOutPipeline(tools, new Set(warehouses)),
  );
  const counts = await Promise.all(
    [...WAREHOUSES.map(topicOf), "orders-dlq"].map(
      async (topic) => `${(await valuesIn(broker, topic)).length} in ${topic}`,
    ),
  );
  console.log(counts.join(", "));
}

await split(["north", "south"]);
console.log("The warehouse in the west opens: replaying the dead letters.");
const replay = ["dlq", "replay", "--from", "orders-dlq", "--to", "orders", "--local", folder];
const { status, stdout, stderr } = spawnSync(process.execPath, [ARROYO, ...replay], { encoding: "utf8" });
if (status !== 0) throw new Error(stderr);
console.log(stdout.trim());
await split(WAREHOUSES);
rmSync(folder, { recursive: true });
