import { InvalidMessage, KafkaPayload, type Message } from "../../src/index.ts";

export interface Order {
  readonly id: number;
  readonly customer: string;
  readonly status: "paid" | "open" | "cancelled";
  readonly items: readonly { readonly article: string; readonly quantity: number; readonly cents: number }[];
}

export interface Invoice {
  readonly orderId: number;
  readonly customer: string;
  readonly totalCents: number;
}

// Spreads neighbouring ids (Knuth's multiplicative hash), so that orders differ but are the same in every run.
function scattered(id: number): number {
  return Math.imul(id + 1, 2_654_435_761) >>> 0;
}

/** The order with this id: always the same one. */
export function exampleOrder(id: number): Order {
  const number = scattered(id);
  const items = Array.from({ length: 1 + (number % 3) }, (_, index) => ({
    article: `article-${(number >>> (4 + index)) % 997}`,
    quantity: 1 + ((number >>> (8 + index)) % 5),
    cents: 99 + ((number >>> (12 + index)) % 9_900),
  }));
  const status = (["paid", "paid", "paid", "open", "cancelled"] as const)[(number >>> 16) % 5]!;
  return { id, customer: `customer-${number % 10_007}`, status, items };
}

export function orderPayload(order: Order): KafkaPayload {
  return new KafkaPayload(order.customer, JSON.stringify(order));
}

/** Reads an order; one that cannot be read is an invalid message, and does not stop the consumer. */
export function parseOrder(payload: KafkaPayload, message: Message<unknown>): Order {
  try {
    return payload.json() as Order;
  } catch (error) {
    throw InvalidMessage.from(message, { reason: "not JSON", cause: error });
  }
}

export function isPaid(order: Order): boolean {
  return order.status === "paid";
}

export function invoiceOf(order: Order): Invoice {
  const totalCents = order.items.reduce((sum, { quantity, cents }) => sum + quantity * cents, 0);
  return { orderId: order.id, customer: order.customer, totalCents };
}

export function invoicePayload(invoice: Invoice): KafkaPayload {
  return new KafkaPayload(invoice.customer, JSON.stringify(invoice));
}
