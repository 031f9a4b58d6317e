// What the code blocks of the docs take for granted: names that stand for the reader's own.
import type { Consumer, KafkaPayload as Payload, Message, ProcessingStrategyFactory, Producer } from "arroyo";

declare global {
  interface Order {
    readonly id: string;
    readonly amount: number;
  }
  /** A schema, as zod makes it. */
  const Order: {
    parse(value: unknown): Order;
    readonly "~standard": {
      readonly version: 1;
      readonly vendor: string;
      readonly validate: (value: unknown) => { readonly value: Order };
    };
  };
  const consumer: Consumer<Payload>;
  const producer: Producer<Payload>;
  const factory: ProcessingStrategyFactory<Payload>;
  const message: Message<Payload>;
  function enrich(order: Order, signal?: AbortSignal): Promise<Order>;
}
