import { randomUUID } from "node:crypto";
import { Topic, type KafkaPayload } from "../../src/index.ts";
import type { Backend, Offsets } from "./backend.ts";
import { isPaid, type Invoice, type Order } from "./order.ts";

/** What the output topic holds of what was committed. */
export interface Verdict {
  /** Paid orders before the committed offsets. */
  readonly expected: number;
  /** Those of them whose invoice is not in the output topic. Must be 0. */
  readonly missing: number;
  /** Invoices that are there more than once, since their orders were handled again after a crash. */
  readonly repeated: number;
}

function sum(offsets: Offsets): number {
  let total = 0;
  for (const offset of offsets.values()) total += offset;
  return total;
}

/** Reads a topic up to these offsets, as a group of its own that commits nothing. */
async function readTo(
  backend: Backend,
  topic: string,
  ends: Offsets,
  onPayload: (payload: KafkaPayload) => void,
): Promise<void> {
  let left = sum(ends);
  if (left === 0) return;
  await using consumer = backend.consumer(`arroyo-example-check-${randomUUID()}`);
  consumer.subscribe([Topic.of(topic)]);
  while (left > 0) {
    for (const { payload, partition, offset } of await consumer.poll({
      timeoutMs: 1_000,
      maxMessages: 5_000,
    })) {
      if (offset >= (ends.get(partition.index) ?? 0)) continue;
      onPayload(payload);
      left -= 1;
    }
  }
}

/** Reads input and output again, and compares them: independent of all that the pipeline has counted. */
export async function check(
  backend: Backend,
  input: string,
  output: string,
  committed: Offsets,
): Promise<Verdict> {
  const invoices = new Map<number, number>();
  await readTo(backend, output, await backend.endOffsets(output), (payload) => {
    const { orderId } = payload.json() as Invoice;
    invoices.set(orderId, (invoices.get(orderId) ?? 0) + 1);
  });
  let expected = 0;
  let missing = 0;
  await readTo(backend, input, committed, (payload) => {
    const order = payload.json() as Order;
    if (!isPaid(order)) return;
    expected += 1;
    if (!invoices.has(order.id)) missing += 1;
  });
  const repeated = [...invoices.values()].filter((times) => times > 1).length;
  return { expected, missing, repeated };
}
