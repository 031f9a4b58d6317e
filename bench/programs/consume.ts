import { exporters } from "./exporters.ts";
import { Meter } from "./meter.ts";
import { processorOf, type Task } from "./pipeline.ts";

/**
 * Reads a topic through the whole library: KafkaConsumer, StreamProcessor, RunTask, CommitOffsets. With BENCH_PARSE each
 * value is parsed; with BENCH_TASKS there are so many more RunTasks; with BENCH_EXPORTERS metrics are exported.
 */
const meter = new Meter();
let parsed = 0;
function count(): void {
  if (!meter.hit()) return;
  meter.print({ parsed, ...(exported && { exportersPercent: exported.percent() }) });
  processor.signalShutdown();
}
const plain: Task = (message) => {
  count();
  return message.payload;
};
const parse: Task = (message) => {
  const { id } = JSON.parse(message.payload.text()) as { id: number };
  if (id >= 0) parsed++;
  count();
  return message.payload;
};
await using exported = process.env["BENCH_EXPORTERS"] === undefined ? undefined : exporters();
const processor = processorOf(process.env["BENCH_PARSE"] === undefined ? plain : parse, {
  moreTasks: Number(process.env["BENCH_TASKS"] ?? 0),
  metrics: exported?.metrics,
});
await processor.run();
