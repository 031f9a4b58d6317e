import type { IncomingMessage, ServerResponse } from "node:http";
import { systemClock, type Clock } from "../clock.ts";
import { HealthMonitor, sampleOn } from "./monitor.ts";
import { answerTo, reportOf, type HealthReport } from "./report.ts";
import { resolveRules, type HealthRules } from "./rules.ts";
import { vitalsOf, type HealthSources } from "./source.ts";

/** What {@link healthHandler} watches, and by which rules. */
export interface HealthHandlerOptions {
  /** Whose health it is: a `StreamProcessor`, or several by name. */
  readonly watch: HealthSources;
  readonly rules?: HealthRules | undefined;
  /** Default: the machine's. */
  readonly clock?: Clock | undefined;
}

/** Answers probes in a server that is there already. Dispose of it when it is no longer needed. */
export interface HealthHandler extends Disposable {
  /**
   * Answers `/livez`, `/readyz` and `/healthz`, in the way of node:http. Returns false for any other path, and leaves the
   * response alone then.
   */
  (request: IncomingMessage, response: ServerResponse): boolean;
  /** What the probes go by, for a server of another kind. */
  report(): HealthReport;
}

/**
 * Makes a handler for a server of yours. It runs on the main thread: while that is blocked it answers nothing, and a probe
 * fails only when its own time is up, without a reason. `HealthServer` answers all the while.
 *
 * @throws ConfigurationError for rules that make no sense.
 */
export function healthHandler(options: HealthHandlerOptions): HealthHandler {
  const { clock = systemClock } = options;
  const rules = resolveRules(options.rules);
  const monitors = new Map(
    Array.from(vitalsOf(options.watch), ([name, vitals]) => [name, new HealthMonitor(vitals, rules, clock)]),
  );
  const sampling = [...monitors.values()].map((monitor) => sampleOn(clock, monitor));
  const handle = (request: IncomingMessage, response: ServerResponse): boolean => {
    const answer = answerTo(request.method ?? "GET", request.url ?? "/", monitors);
    if (answer === undefined) return false;
    response
      .writeHead(answer.status, answer.headers)
      .end(request.method === "HEAD" ? undefined : answer.body);
    return true;
  };
  return Object.assign(handle, {
    report: () => reportOf(monitors),
    [Symbol.dispose]: () => sampling.forEach((sampled) => sampled[Symbol.dispose]()),
  });
}
