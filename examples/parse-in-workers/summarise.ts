import { gunzipSync } from "node:zlib";
import type { KafkaPayload, Message } from "../../src/index.ts";

export interface Summary {
  readonly events: number;
  readonly errors: number;
  readonly slowestMs: number;
}

interface LogEvent {
  readonly level: string;
  readonly tookMs: number;
}

/** What a worker does: unpacks a compressed log and sums it up. */
export function summarise({ payload }: Message<KafkaPayload>): Summary {
  const events = JSON.parse(gunzipSync(payload.value ?? Buffer.alloc(0)).toString("utf8")) as LogEvent[];
  return {
    events: events.length,
    errors: events.filter(({ level }) => level === "error").length,
    slowestMs: Math.max(0, ...events.map(({ tookMs }) => tookMs)),
  };
}
