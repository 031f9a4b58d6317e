import { settings } from "./meter.ts";
import { processorOf } from "./pipeline.ts";
import { cpuPercent, peakMegabytes, printSample } from "./sample.ts";

/** What a consumer costs whose topic is quiet: CPU time of the whole process. */
const WARM_UP_MS = 3_000;

const processor = processorOf((message) => message.payload, { reset: "latest" });
const running = processor.run();
await new Promise((resolve) => setTimeout(resolve, WARM_UP_MS));
printSample({ percent: await cpuPercent(settings.seconds * 1_000), peakMegabytes: peakMegabytes() });
processor.signalShutdown();
await running;
