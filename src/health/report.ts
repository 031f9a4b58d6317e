import type { ConsumerHealth, HealthMonitor } from "./monitor.ts";

/** How all of them are: each has to be alive, or ready. */
export interface HealthReport {
  readonly alive: boolean;
  readonly ready: boolean;
  readonly consumers: Readonly<Record<string, ConsumerHealth>>;
}

export type Monitors = ReadonlyMap<string, HealthMonitor>;

export function reportOf(monitors: Monitors): HealthReport {
  const consumers: Record<string, ConsumerHealth> = {};
  for (const [name, monitor] of monitors) consumers[name] = monitor.health();
  const all = Object.values(consumers);
  return {
    alive: all.every(({ alive }) => alive),
    ready: all.every(({ ready }) => ready),
    consumers,
  };
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const NOT_CACHED = { "cache-control": "no-store" };
const TEXT = { ...NOT_CACHED, "content-type": "text/plain; charset=utf-8" };
const JSON_TYPE = { ...NOT_CACHED, "content-type": "application/json; charset=utf-8" };

function probeAnswer(report: HealthReport, what: "alive" | "ready"): Answer {
  if (report[what]) return { status: 200, headers: TEXT, body: "ok\n" };
  const complaints = Object.entries(report.consumers).flatMap(([consumer, { checks }]) =>
    checks
      .filter(({ ok, probe }) => !ok && (what === "ready" || probe === "liveness"))
      .map(({ name, why, since }) => `${consumer}: ${name}: ${why} (since ${since})\n`),
  );
  return { status: 503, headers: TEXT, body: `not ${what}\n${complaints.join("")}` };
}

/**
 * What a request for health is answered with; undefined for a path that is none of the three: `/livez`, `/readyz` and
 * `/healthz`.
 */
export function answerTo(method: string, url: string, monitors: Monitors): Answer | undefined {
  const path = url.split("?", 1)[0]!;
  if (path !== "/livez" && path !== "/readyz" && path !== "/healthz") return undefined;
  if (method !== "GET" && method !== "HEAD") {
    return { status: 405, headers: { ...TEXT, allow: "GET, HEAD" }, body: "GET or HEAD\n" };
  }
  const report = reportOf(monitors);
  if (path === "/livez") return probeAnswer(report, "alive");
  if (path === "/readyz") return probeAnswer(report, "ready");
  const status = report.ready ? 200 : 503;
  return { status, headers: JSON_TYPE, body: `${JSON.stringify(report, null, 2)}\n` };
}
