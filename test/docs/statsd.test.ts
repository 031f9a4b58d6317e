import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { KafkaPayload, pipeline, silentLogger, StreamProcessor, type Metrics } from "../../src/index.ts";
import { LocalBroker } from "../../src/local/index.ts";
import { codeBlocks, ROOT } from "./code-blocks.ts";

type StatsdMetrics = new (host: string, port: number) => Metrics;

/** The recipe of docs/guides/metrics.md, as it stands there. */
async function recipe(): Promise<{ readonly StatsdMetrics: StatsdMetrics } & Disposable> {
  const block = codeBlocks().find(({ code }) => code.includes("class StatsdMetrics"));
  assert.ok(block !== undefined);
  mkdirSync(join(ROOT, ".data"), { recursive: true });
  const folder = mkdtempSync(join(ROOT, ".data", "statsd-"));
  const file = join(folder, "statsd.ts");
  writeFileSync(file, block.code);
  const { StatsdMetrics } = (await import(pathToFileURL(file).href)) as { StatsdMetrics: StatsdMetrics };
  return { StatsdMetrics, [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
}

test("the StatsD recipe: counters, gauges and timings of a processor arrive as datagrams", async () => {
  using made = await recipe();
  const server = createSocket("udp4");
  const datagrams = new Set<string>();
  server.on("message", (datagram) => {
    datagrams.add(datagram.toString());
    server.emit("arrived");
  });
  server.bind(0, "127.0.0.1");
  await once(server, "listening");
  const arrival = async (pattern: RegExp): Promise<void> => {
    while (![...datagrams].some((datagram) => pattern.test(datagram))) await once(server, "arrived");
  };
  try {
    const metrics = new made.StatsdMetrics("127.0.0.1", server.address().port);
    await using broker = new LocalBroker({ logger: silentLogger });
    await broker.createTopic("orders", 1);
    for (const value of ["a", "b", "c"])
      await broker.producer().produce("orders", new KafkaPayload(null, value));
    const processor = new StreamProcessor({
      consumer: broker.consumer({ "group.id": "g", "auto.offset.reset": "earliest" }),
      topic: "orders",
      factory: pipeline().commit(),
      logger: silentLogger,
      metrics,
    });
    const ran = processor.run();
    await arrival(/^arroyo\.consumer\.messages_received\.count:3\|c$/);
    await arrival(/^arroyo\.consumer\.commit_status:\d+\|c\|#status:success$/);
    await arrival(/^arroyo\.consumer\.run\.create_strategy:[\d.e-]+\|h$/);
    metrics.gauge("arroyo.consumer.kafka.lag", 7, { topic: "orders", partition: "0" });
    await arrival(/^arroyo\.consumer\.kafka\.lag:7\|g\|#topic:orders,partition:0$/);
    processor.signalShutdown();
    await ran;
  } finally {
    server.close();
  }
});
