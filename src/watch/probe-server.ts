import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { MessagePort } from "node:worker_threads";
import { Vitals } from "../backend/vitals.ts";
import { systemClock } from "../clock.ts";
import { HealthMonitor, sampleOn } from "../health/monitor.ts";
import { answerTo } from "../health/report.ts";
import type { WatchRequest } from "./watch-thread.ts";

/** What the server's owner is told. */
export type ProbeServerEvent =
  | { readonly type: "listening"; readonly port: number }
  /** Nobody is served (any more). */
  | { readonly type: "failed"; readonly message: string }
  | { readonly type: "closed" };

/** Answers probes over HTTP until `port` brings "close". */
export function serveProbes(request: Extract<WatchRequest, { kind: "probes" }>, port: MessagePort): void {
  const send = (event: ProbeServerEvent): void => port.postMessage(event);
  const monitors = new Map(
    request.vitals.map(([name, buffer]) => [
      name,
      new HealthMonitor(new Vitals(buffer), request.rules, systemClock),
    ]),
  );
  const sampling = [...monitors.values()].map((monitor) => sampleOn(systemClock, monitor));
  const server = createServer(({ method, url }, response) => {
    const answer = answerTo(method ?? "GET", url ?? "/", monitors);
    if (answer === undefined) {
      response.writeHead(404).end("/livez, /readyz or /healthz\n");
      return;
    }
    response.writeHead(answer.status, answer.headers).end(method === "HEAD" ? undefined : answer.body);
  });
  server.on("error", (error) => send({ type: "failed", message: error.message }));
  server.listen(request.listen.port, request.listen.host, () =>
    send({ type: "listening", port: (server.address() as AddressInfo).port }),
  );
  port.on("message", (message) => {
    if (message !== "close") return;
    for (const sampled of sampling) sampled[Symbol.dispose]();
    server.close(() => {
      send({ type: "closed" });
      port.close();
    });
    server.closeAllConnections();
  });
}
