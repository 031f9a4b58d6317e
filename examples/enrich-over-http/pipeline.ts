// Each order gets the price of its article from a service over HTTP: 32 requests at once, orders of one customer one after
// another, a service that blinks is asked again. What cannot be priced goes to the dead letter queue.
import { z } from "zod";
import {
  InvalidMessage,
  KafkaPayload,
  pipeline,
  type ProcessingStrategyFactory,
  type RunTools,
} from "../../src/index.ts";

const Order = z.object({ customer: z.string(), article: z.string(), quantity: z.int().positive() });
const Price = z.object({ cents: z.int() });
type Order = z.infer<typeof Order>;

const PRICES_URL = process.env["PRICES_URL"] ?? "http://127.0.0.1:8080/prices";
const TIMEOUT_MS = 2_000;

/** What an article costs; undefined when the service does not know it. */
async function priceOf(url: string, article: string, signal: AbortSignal): Promise<number | undefined> {
  const response = await fetch(`${url}/${encodeURIComponent(article)}`, {
    signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
  });
  if (response.status === 404) return undefined;
  if (!response.ok) throw new Error(`The price service has answered ${response.status}.`);
  return Price.parse(await response.json()).cents;
}

export function enrichPipeline(
  { producer }: RunTools,
  pricesUrl: string = PRICES_URL,
): ProcessingStrategyFactory<KafkaPayload> {
  return pipeline()
    .decodeJson(Order)
    .mapConcurrently(
      async (order: Order, message, signal) => {
        const cents = await priceOf(pricesUrl, order.article, signal);
        if (cents === undefined) throw InvalidMessage.from(message, { reason: "nobody knows the article" });
        return { ...order, cents: order.quantity * cents };
      },
      {
        concurrency: 32,
        key: (order) => order.customer,
        retry: { maxAttempts: 5, backoffMs: 50, onExhausted: "invalid" },
      },
    )
    .map((order) => new KafkaPayload(order.customer, JSON.stringify(order)))
    .produce(producer, "orders-priced")
    .commit();
}

// arroyo run examples/enrich-over-http/pipeline.ts --topic orders --group pricing --dlq orders-dlq ...
export default (tools: RunTools): ProcessingStrategyFactory<KafkaPayload> => enrichPipeline(tools);
