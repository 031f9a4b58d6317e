import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { noopMetrics, type Metrics } from "../metrics/metrics.ts";
import { UsageError } from "./arguments.ts";

export interface MetricsServerOptions {
  readonly metricsPort: number | undefined;
  /** The label that tells this consumer's metrics from others'. */
  readonly consumer: string;
  /** Tells the user where something is. */
  readonly note: (text: string) => void;
}

/** Metrics that can be asked for from outside. */
export interface MetricsServer extends AsyncDisposable {
  readonly metrics: Metrics;
}

/** @throws UsageError when the port is taken, or when `prom-client` is not installed. */
export async function serveMetrics({
  metricsPort,
  consumer,
  note,
}: MetricsServerOptions): Promise<MetricsServer> {
  if (metricsPort === undefined) return { metrics: noopMetrics, async [Symbol.asyncDispose]() {} };
  const { PrometheusMetrics } = await import("../metrics/prometheus.ts").catch((error: unknown) => {
    throw new UsageError("--metrics-port needs the package prom-client: npm install prom-client", {
      cause: error,
    });
  });
  const metrics = new PrometheusMetrics({ labels: { consumer } });
  const { registry } = metrics;
  const server = createServer((request, response) => {
    if (request.url !== "/metrics") {
      response.writeHead(404).end("The metrics are at /metrics.\n");
      return;
    }
    registry.metrics().then(
      (page) => response.setHeader("content-type", registry.contentType).end(page),
      (error: unknown) => response.writeHead(500).end(`${(error as Error).message}\n`),
    );
  });
  server.listen(metricsPort);
  try {
    await once(server, "listening");
  } catch (error) {
    throw new UsageError(`--metrics-port ${metricsPort} cannot be used: ${(error as Error).message}`, {
      cause: error,
    });
  }
  note(`metrics at http://localhost:${(server.address() as AddressInfo).port}/metrics`);
  return {
    metrics,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
