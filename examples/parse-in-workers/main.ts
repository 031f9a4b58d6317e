// node examples/parse-in-workers/main.ts: 500 compressed logs, summed up by two workers.
import { gzipSync } from "node:zlib";
import { KafkaPayload, WorkerPool } from "../../src/index.ts";
import { LocalBroker } from "../../src/local/index.ts";
import { createTopics, runEmbedded, valuesIn } from "../embedded.ts";
import { summaryPipeline } from "./pipeline.ts";
import type { Summary } from "./summarise.ts";

const EVENTS = 200;

await using broker = new LocalBroker();
await createTopics(broker, "logs", "log-summaries");
{
  await using producer = broker.producer();
  await Promise.all(
    Array.from({ length: 500 }, (_, log) => {
      const events = Array.from({ length: EVENTS }, (__, i) => ({
        level: i % 20 === 0 ? "error" : "info",
        tookMs: (log * 7 + i * 13) % 1_000,
        text: `request ${log}-${i} was answered`,
      }));
      return producer.produce("logs", new KafkaPayload(null, gzipSync(JSON.stringify(events))));
    }),
  );
}

await using pool = new WorkerPool({ workers: 2 });
await runEmbedded({ broker, group: "summaries", input: "logs" }, (tools) => summaryPipeline(tools, pool));

const summaries = (await valuesIn(broker, "log-summaries")).map((text) => JSON.parse(text) as Summary);
const events = summaries.reduce((sum, summary) => sum + summary.events, 0);
const errors = summaries.reduce((sum, summary) => sum + summary.errors, 0);
console.log(`${summaries.length} logs with ${events} events, ${errors} of them errors`);
