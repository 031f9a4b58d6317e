// node scripts/pictures.ts: takes the pictures of the dashboard that the docs show, of a pipeline that runs for a minute.
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Dashboard } from "../src/dashboard/index.ts";
import {
  DlqPolicy,
  InvalidMessage,
  KafkaDlqProducer,
  KafkaPayload,
  pipeline,
  silentLogger,
  StreamProcessor,
  Topic,
} from "../src/index.ts";
import { LocalBroker } from "../src/local/index.ts";
import { openBrowser } from "../test/dashboard/browser.ts";

const SECONDS = 60;

function picture(name: string): string {
  return fileURLToPath(new URL(`../docs/images/${name}`, import.meta.url));
}

await using broker = new LocalBroker();
await broker.createTopic("orders", 4);
await broker.createTopic("orders-enriched", 4);
await broker.createTopic("orders-dlq", 1);
await using producer = broker.producer();
const consumer = broker.consumer({ "group.id": "billing", "auto.offset.reset": "earliest" });
await using dashboard = await Dashboard.start({ title: "billing", consumer, port: 0 });
const factory = pipeline()
  .map((payload, message) => {
    if (message.partition?.index === 1 && Number(message.offset) % 8_000 === 7_999) {
      throw InvalidMessage.from(message, { reason: "schema error: amount" });
    }
    return payload.text();
  })
  .mapConcurrently(
    async (text) => {
      await wait(8 + Math.random() * 8);
      return text;
    },
    { concurrency: 32 },
  )
  .map((text) => new KafkaPayload(null, text))
  .produce(producer, "orders-enriched")
  .commit();
const processor = new StreamProcessor({
  consumer,
  topic: "orders",
  factory,
  dlqPolicy: new DlqPolicy({ producer: new KafkaDlqProducer(producer, "orders-dlq") }),
  metrics: dashboard.metrics(),
  logger: silentLogger,
});
dashboard.follow(processor);
const running = processor.run();

const browser = await openBrowser();
const page = await browser.newPage({ viewport: { width: 1_200, height: 900 } });
await page.goto(dashboard.url);
const other = broker.consumer({ "group.id": "billing", "auto.offset.reset": "earliest" });
for (let second = 0; second < SECONDS; second++) {
  // As much as it can take, except for a peak.
  const orders = second > 20 && second < 27 ? 4_500 : 1_500 + Math.round(400 * Math.sin(second / 4));
  for (let i = 0; i < orders; i++) void producer.produce("orders", new KafkaPayload(`c${i}`, `order ${i}`));
  if (second === 12) other.subscribe([Topic.of("orders")]);
  if (second > 12 && second < 16) await other.poll({ timeoutMs: 100, maxMessages: 0 });
  if (second === 16) await other.close();
  await wait(1_000);
}
await page.screenshot({ path: picture("dashboard.png"), fullPage: true });
await page.setViewportSize({ width: 390, height: 844 });
await page.screenshot({ path: picture("dashboard-phone.png") });
await browser.close();
processor.signalShutdown();
await running;
