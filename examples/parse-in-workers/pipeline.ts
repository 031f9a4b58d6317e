// Unpacking and parsing keep a core busy for milliseconds a message. On worker threads they use the other cores, and the main
// thread stays free: messages go to the workers in batches, results come back in the order of the input.
import {
  KafkaPayload,
  pipeline,
  WorkerPool,
  workerTask,
  type ProcessingStrategyFactory,
  type RunTools,
} from "../../src/index.ts";
import type * as tasks from "./summarise.ts";

const task = workerTask<typeof tasks>()(new URL("./summarise.ts", import.meta.url), "summarise");

export function summaryPipeline(
  { producer }: RunTools,
  pool: WorkerPool,
): ProcessingStrategyFactory<KafkaPayload> {
  return pipeline()
    .mapInWorkers(task, { pool, maxBatchSize: 50, maxBatchTimeMs: 200 })
    .map((summary) => new KafkaPayload(null, JSON.stringify(summary)))
    .produce(producer, "log-summaries")
    .commit();
}

// arroyo run examples/parse-in-workers/pipeline.ts --topic logs --group summaries ...
export default (tools: RunTools): ProcessingStrategyFactory<KafkaPayload> => {
  const pool = new WorkerPool({ workers: 2 });
  const factory = summaryPipeline(tools, pool);
  return { ...factory, shutdown: () => pool.close() };
};
