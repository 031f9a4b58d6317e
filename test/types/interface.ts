/**
 * What TypeScript infers and refuses, of the interface that users write against. Nothing here is run: that it compiles,
 * and that each `@ts-expect-error` has an error to expect, is the test.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import * as z from "zod";
import {
  BatchStep,
  CommitOffsets,
  DlqLimit,
  DlqPolicy,
  FilterStep,
  FilteredPayload,
  Healthcheck,
  KafkaDlqProducer,
  KafkaPayload,
  NoopDlqProducer,
  RunTask,
  RunTaskConcurrently,
  StreamProcessor,
  decodeJson,
  isFiltered,
  pipeline,
  type BrokerMessage,
  type Commit,
  type Consumer,
  type Message,
  type ProcessingStrategy,
  type ProcessingStrategyFactory,
  type Producer,
  type StandardSchema,
  type Submitted,
} from "../../src/index.ts";

declare const producer: Producer<KafkaPayload>;
declare const commit: Commit;
const Order = z.object({ id: z.string(), amount: z.number(), note: z.string().optional() });
interface Order {
  id: string;
  amount: number;
  note?: string | undefined;
}

// A fluent chain needs no annotation, from top to bottom.
const fluent = pipeline()
  .healthcheck("/tmp/health.txt")
  .decodeJson(Order)
  .filter((order) => order.amount > 0)
  .mapConcurrently(async (order, message, _signal) => ({ ...order, vat: 1, at: message.offset }), {
    concurrency: 8,
    key: (order) => order.id,
    retry: { maxAttempts: 5 },
  })
  .batch({ maxBatchSize: 10, maxBatchTimeMs: 5 })
  .map(
    (batch) =>
      new KafkaPayload(batch[0]?.payload.id ?? null, JSON.stringify(batch.map((m) => m.payload.vat))),
  )
  .produce(producer, "out")
  .commit();
fluent satisfies ProcessingStrategyFactory<KafkaPayload>;

// A guard narrows, also one that is inferred.
pipeline<{ kind: "a"; x: 1 } | { kind: "b"; y: 2 }>()
  .filter((payload) => payload.kind === "a")
  .map((payload) => payload.x satisfies 1)
  .commit();

// What is produced has to be what the producer takes.
pipeline()
  .map(() => 42)
  // @ts-expect-error a number is no KafkaPayload
  .produce(producer, "out");

// Only bytes can be decoded.
// @ts-expect-error a number is no KafkaPayload
pipeline()
  .map(() => 42)
  .decodeJson(Order);

// Only a batch can be taken apart, and then its messages have their types again.
// @ts-expect-error a KafkaPayload is no batch
pipeline().unbatch();
pipeline()
  .decodeJson(Order)
  .batch({ maxBatchSize: 2, maxBatchTimeMs: 1 })
  .unbatch()
  .map((order) => order.amount satisfies number);

// A strategy of one's own: what it hands on is inferred when it is the same, and said when it is not.
class Mine<T> implements ProcessingStrategy<T> {
  readonly next: ProcessingStrategy<T>;
  constructor(next: ProcessingStrategy<T>) {
    this.next = next;
  }
  submit(message: Submitted<T>): void {
    this.next.submit(message);
  }
  poll(): void {}
  close(): void {}
  terminate(): void {}
  async join(): Promise<void> {}
}
pipeline()
  .decodeJson(Order)
  .through((next) => new Mine(next))
  .map((order) => order.amount)
  .commit();
pipeline()
  .decodeJson(Order)
  .through<Order>((next) => new Mine(next))
  .map((order) => order.amount)
  .commit();
pipeline()
  .decodeJson(Order)
  .through<number>(
    (next) => new RunTask((message: Message<{ amount: number }>) => message.payload.amount, next),
  )
  .map((amount) => amount.toFixed())
  .commit();

// Nested, with annotated functions.
new Healthcheck(
  "/tmp/health.txt",
  new RunTask(
    (message: Message<KafkaPayload>): Order => message.payload.json() as Order,
    new FilterStep(
      (message: Message<Order>) => message.payload.amount > 0,
      new RunTaskConcurrently(
        async (message: Message<Order>) => ({ ...message.payload, vat: 1 }),
        { concurrency: 4 },
        new BatchStep(
          { maxBatchSize: 1, maxBatchTimeMs: 1 },
          new RunTask(
            (message: Message<readonly Message<Order>[]>) => message.payload.length,
            new CommitOffsets(commit),
          ),
        ),
      ),
    ),
  ),
) satisfies ProcessingStrategy<KafkaPayload>;

// Behind a named function the rest need not be annotated.
const parse = (message: Message<KafkaPayload>): Order => message.payload.json() as Order;
new RunTask(parse, new FilterStep((message) => message.payload.amount > 0, new CommitOffsets(commit)));

// A strategy of strings is one of "a", but not one of strings and numbers.
declare const ofStrings: ProcessingStrategy<string>;
ofStrings satisfies ProcessingStrategy<"a">;
// @ts-expect-error numbers would be submitted to it
ofStrings satisfies ProcessingStrategy<string | number>;
declare const either: (message: Message<KafkaPayload>) => string | number;
// @ts-expect-error the function may return a number
new RunTask(either, ofStrings);

// A message from the broker has a position; a derived one has none.
declare const message: Message<Order>;
if (message.partition !== undefined) {
  message.offset satisfies number;
  message satisfies BrokerMessage<Order>;
} else {
  message.offset satisfies undefined;
}

// Filtered payloads are told apart, and what is left can be passed on.
declare const maybe: Message<Order | FilteredPayload>;
if (!(maybe.payload instanceof FilteredPayload)) maybe.payload satisfies Order;
declare const submitted: Submitted<Order>;
const identity = (one: Message<Order>): Message<Order> => one;
if (!isFiltered(submitted)) identity(submitted).payload.amount satisfies number;
else submitted.payload satisfies FilteredPayload;

// A promise is no payload.
// @ts-expect-error async
pipeline().map(async (payload) => payload.text());
// @ts-expect-error async
new RunTask(async (one: Message<KafkaPayload>) => void one, new CommitOffsets(commit));
// @ts-expect-error a promise is no boolean
new FilterStep(async (one: Message<KafkaPayload>) => one.payload.value !== null, new CommitOffsets(commit));

// A schema is any Standard Schema, and gives the type of what comes out.
declare const schema: StandardSchemaV1<unknown, { id: number }>;
schema satisfies StandardSchema<{ id: number }>;
pipeline()
  .decodeJson(schema)
  .map((value) => value.id satisfies number);
const decode = decodeJson(Order);
new RunTask(decode, new FilterStep((one) => one.payload.amount > 0, new CommitOffsets(commit)));

// The consumer says what flows, and the factory has to take it.
declare const consumer: Consumer<KafkaPayload>;
export async function run(): Promise<void> {
  await using processor = new StreamProcessor({
    consumer,
    topic: "orders",
    factory: fluent,
    dlqPolicy: undefined,
  });
  await processor.run({ signal: AbortSignal.timeout(1) });
}

// So does the dead letter queue; one that takes anything fits any consumer.
const dlqPolicy = new DlqPolicy({ producer: new KafkaDlqProducer(producer, "orders-dlq") });
dlqPolicy satisfies DlqPolicy<KafkaPayload>;
new StreamProcessor({ consumer, topic: "orders", factory: fluent, dlqPolicy });
const dropsAll = new DlqPolicy({
  producer: new NoopDlqProducer(),
  limit: new DlqLimit({ maxInvalidRatio: 0.01 }),
});
new StreamProcessor({ consumer, topic: "orders", factory: fluent, dlqPolicy: dropsAll });
declare const consumerOfStrings: Consumer<string>;
declare const factoryOfAnything: ProcessingStrategyFactory<unknown>;
// @ts-expect-error strings are no Kafka payloads
new StreamProcessor({ consumer: consumerOfStrings, topic: "orders", factory: factoryOfAnything, dlqPolicy });

declare const factoryOfStrings: ProcessingStrategyFactory<string>;
// @ts-expect-error the consumer delivers KafkaPayload
new StreamProcessor({ consumer, topic: "orders", factory: factoryOfStrings });
new StreamProcessor({
  consumer,
  topic: /^a/,
  factory: pipeline<unknown>()
    .map(() => 1)
    .commit(),
});

// A function may return one of several types.
pipeline()
  .map((payload) => (payload.text() === "a" ? { kind: "a" as const } : { kind: "b" as const }))
  .filter((value) => value.kind === "a")
  .map((value) => value.kind satisfies "a")
  .through((next) => next)
  .commit();
