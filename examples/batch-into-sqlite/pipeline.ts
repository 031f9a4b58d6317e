// Orders go into a database in batches: one transaction for up to 500 of them, or for what has come within a second. The
// commit follows the transaction, so a crash in between brings a batch again: the primary key makes that harmless.
import { DatabaseSync } from "node:sqlite";
import { z } from "zod";
import {
  pipeline,
  type KafkaPayload,
  type Message,
  type ProcessingStrategyFactory,
} from "../../src/index.ts";

export interface Order {
  readonly id: string;
  readonly customer: string;
  readonly cents: number;
}

const OrderSchema: z.ZodType<Order> = z.object({ id: z.string(), customer: z.string(), cents: z.int() });

export class OrderStore implements Disposable {
  readonly #database: DatabaseSync;
  transactions = 0;

  constructor(path: string) {
    this.#database = new DatabaseSync(path);
    this.#database.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, customer TEXT NOT NULL, cents INTEGER NOT NULL) STRICT;
    `);
  }

  /** Writes a batch as a whole. Orders that are there already stay as they are. */
  write(batch: readonly Message<Order>[]): void {
    const insert = this.#database.prepare(
      "INSERT INTO orders (id, customer, cents) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING",
    );
    this.#database.exec("BEGIN");
    try {
      for (const { payload } of batch) insert.run(payload.id, payload.customer, payload.cents);
      this.#database.exec("COMMIT");
    } catch (error) {
      this.#database.exec("ROLLBACK");
      throw error;
    }
    this.transactions++;
  }

  get totals(): { readonly orders: number; readonly cents: number } {
    const row = this.#database
      .prepare("SELECT count(*) AS orders, coalesce(sum(cents), 0) AS cents FROM orders")
      .get();
    return row as unknown as { orders: number; cents: number };
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}

export function storePipeline(store: OrderStore): ProcessingStrategyFactory<KafkaPayload> {
  return pipeline()
    .decodeJson(OrderSchema)
    .batch({ maxBatchSize: 500, maxBatchTimeMs: 1_000 })
    .map((batch) => store.write(batch))
    .commit();
}

// arroyo run examples/batch-into-sqlite/pipeline.ts --topic orders --group store ...
export default (): ProcessingStrategyFactory<KafkaPayload> =>
  storePipeline(new OrderStore(process.env["ORDERS_DB"] ?? "orders.sqlite"));
