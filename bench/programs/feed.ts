import { feedTopic } from "../fill.ts";
import { settings } from "./meter.ts";

/** Writes a message each BENCH_FEED_EVERY_MS until it is stopped: the one producer for all whose latency is measured. */
feedTopic(settings.bootstrapServers, settings.topic, Number(process.env["BENCH_FEED_EVERY_MS"]));
