// One order becomes a message for each of its lines, in the topic of the warehouse that has the article. An order that cannot
// be read, or that has a line for a warehouse that nobody knows, goes to the dead letter queue as a whole, and is replayed
// once that is put right: arroyo dlq replay --from orders-dlq --to orders ...
import { z } from "zod";
import {
  InvalidMessage,
  KafkaPayload,
  part,
  pipeline,
  type ProcessingStrategyFactory,
  type RunTools,
} from "../../src/index.ts";

const Order = z.object({
  id: z.string(),
  lines: z.array(z.object({ warehouse: z.string(), article: z.string(), quantity: z.int().positive() })),
});

export function topicOf(warehouse: string): string {
  return `warehouse-${warehouse}`;
}

export function fanOutPipeline(
  { producer }: RunTools,
  warehouses: ReadonlySet<string>,
): ProcessingStrategyFactory<KafkaPayload> {
  return pipeline()
    .decodeJson(Order)
    .map((order, message) => {
      const unknown = order.lines.find(({ warehouse }) => !warehouses.has(warehouse));
      if (unknown === undefined) return order;
      throw InvalidMessage.from(message, { reason: `no warehouse ${unknown.warehouse}` });
    })
    .unfold(({ id, lines }) => lines.map((line, number) => part({ id, number, ...line })))
    .mapConcurrently(
      async ({ warehouse, ...line }) => {
        // Called in the order of the lines, so each topic gets them in that order.
        await producer.produce(topicOf(warehouse), new KafkaPayload(line.id, JSON.stringify(line)));
      },
      { concurrency: 1_000 },
    )
    .commit();
}

// arroyo run examples/fan-out-with-dlq/pipeline.ts --topic orders --group fan-out --dlq orders-dlq ...
export default (tools: RunTools): ProcessingStrategyFactory<KafkaPayload> =>
  fanOutPipeline(tools, new Set((process.env["WAREHOUSES"] ?? "north,south").split(",")));
