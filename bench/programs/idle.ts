import { processorOf } from "./pipeline.ts";

/** What a consumer costs whose topic is quiet: CPU time of the whole process. */
const WARM_UP_MS = 3_000;
const MEASURED_MS = 10_000;

const processor = processorOf((message) => message.payload, { reset: "latest" });
const running = processor.run();
await new Promise((resolve) => setTimeout(resolve, WARM_UP_MS));
const before = process.cpuUsage();
const startedMs = performance.now();
await new Promise((resolve) => setTimeout(resolve, MEASURED_MS));
const { user, system } = process.cpuUsage(before);
const percent = (user + system) / 10 / (performance.now() - startedMs);
process.stdout.write(`${JSON.stringify({ percent, rssMegabytes: process.memoryUsage().rss / 1e6 })}\n`);
processor.signalShutdown();
await running;
