import { Partition, type Delivery } from "../../src/index.ts";
import type { Backend } from "./backend.ts";
import { exampleOrder, orderPayload } from "./order.ts";

const AT_ONCE = 5_000;

/**
 * Fills a topic with the orders 0 to `total` - 1, order `id` in partition `id` modulo `partitions`, and resolves to how
 * many were missing. What is there already stays, also what a run that was killed has written.
 */
export async function fill(
  backend: Backend,
  topic: string,
  partitions: number,
  total: number,
): Promise<number> {
  const ends = await backend.endOffsets(topic);
  await using producer = backend.producer();
  let written = 0;
  let pending: Promise<Delivery>[] = [];
  for (let index = 0; index < partitions; index++) {
    const partition = Partition.of(topic, index);
    for (let id = index + (ends.get(index) ?? 0) * partitions; id < total; id += partitions) {
      pending.push(producer.produce(partition, orderPayload(exampleOrder(id))));
      if (pending.length < AT_ONCE) continue;
      written += (await Promise.all(pending)).length;
      pending = [];
    }
  }
  return written + (await Promise.all(pending)).length;
}
