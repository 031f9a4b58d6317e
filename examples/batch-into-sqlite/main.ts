// node examples/batch-into-sqlite/main.ts: 10,000 orders, read twice by two groups: the second time changes nothing.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LocalBroker } from "../../src/local/index.ts";
import { createTopics, runEmbedded, send } from "../embedded.ts";
import { OrderStore, storePipeline } from "./pipeline.ts";

const folder = mkdtempSync(join(tmpdir(), "arroyo-example-"));
{
  await using broker = new LocalBroker();
  using store = new OrderStore(join(folder, "orders.sqlite"));
  await createTopics(broker, "orders");
  const orders = Array.from({ length: 10_000 }, (_, i) => ({
    id: `o${i}`,
    customer: `c${i % 97}`,
    cents: i,
  }));
  await send(
    broker,
    "orders",
    orders.map((order) => [order.customer, JSON.stringify(order)] as const),
  );
  for (const group of ["store", "store-again"]) {
    store.transactions = 0;
    await runEmbedded({ broker, group, input: "orders" }, () => storePipeline(store));
    const { orders: rows, cents } = store.totals;
    console.log(
      `${group}: ${store.transactions} transactions; the table has ${rows} orders worth ${cents} cents`,
    );
  }
}
rmSync(folder, { recursive: true });
