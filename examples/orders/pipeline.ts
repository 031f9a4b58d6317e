import {
  MESSAGE_REJECTED,
  pipeline,
  type KafkaPayload,
  type ProcessingStrategyFactory,
  type Producer,
} from "../../src/index.ts";
import { invoiceOf, invoicePayload, isPaid, parseOrder } from "./order.ts";
import type { Counts } from "./progress.ts";
import type { RateLimit } from "./rate-limit.ts";

export interface InvoicePipelineOptions {
  readonly producer: Producer<KafkaPayload>;
  readonly output: string;
  readonly healthPath: string;
  /** How fast orders are taken; undefined: as fast as it goes. */
  readonly rateLimit: RateLimit | undefined;
  /** Counts up as orders pass. */
  readonly counts: Counts;
}

/** Orders in, an invoice out for each that is paid; an order is committed once the broker has its invoice. */
export function invoicePipeline(options: InvoicePipelineOptions): ProcessingStrategyFactory<KafkaPayload> {
  const { producer, output, healthPath, rateLimit, counts } = options;
  return pipeline()
    .healthcheck(healthPath)
    .map((payload, message) => {
      // Holds the consumer: the same order comes again a little later.
      if (rateLimit?.take() === false) throw MESSAGE_REJECTED;
      counts.read += 1;
      return parseOrder(payload, message);
    })
    .filter((order) => {
      const paid = isPaid(order);
      if (!paid) counts.filtered += 1;
      return paid;
    })
    .map((order) => invoicePayload(invoiceOf(order)))
    .produce(producer, output)
    .map(() => {
      counts.written += 1;
    })
    .commit();
}
