import { Producer } from "@platformatic/kafka";
import { produceBatches } from "./batches.mjs";
import { servers, target } from "./meter.mjs";

const producer = new Producer({ clientId: "bench", bootstrapBrokers: [servers], acks: -1 });
await produceBatches(
  (values) => producer.send({ messages: values.map((value) => ({ topic: target, value })) }),
  { size: 5_000, inFlight: 4 },
);
