import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Consumer } from "../backend/consumer.ts";
import { systemClock, type Clock, type ClockTimer } from "../clock.ts";
import { ConfigurationError, InvalidStateError } from "../errors.ts";
import { HealthMonitor } from "../health/monitor.ts";
import { resolveRules, type HealthRules, type ResolvedHealthRules } from "../health/rules.ts";
import type { HealthSource } from "../health/source.ts";
import { noopMetrics, type Metrics } from "../metrics/metrics.ts";
import { Observer } from "./observer.ts";

const EVERY_MS = 1_000;
/** Names under which this machine calls itself: a page elsewhere must not read along through another name. */
const LOOPBACK_NAMES: ReadonlySet<string> = new Set(["localhost", "127.0.0.1", "[::1]"]);

const HEADERS = {
  "cache-control": "no-store",
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
} as const;

interface PageFile {
  readonly type: string;
  readonly body: Buffer;
}

// The page lies beside the sources, which the package brings along.
function pageFile(name: string, type: string): PageFile {
  return { type, body: readFileSync(new URL(`../../src/dashboard/page/${name}`, import.meta.url)) };
}

/** What a {@link Dashboard} shows, and where it listens. */
export interface DashboardOptions<T> {
  /** What the page is headed with, such as the name of the group. */
  readonly title: string;
  readonly consumer: Consumer<T>;
  /** 0: any that is free. */
  readonly port: number;
  /** Default: this machine only. */
  readonly host?: string | undefined;
  /** What counts as healthy; give the same as to the HealthServer. */
  readonly rules?: HealthRules | undefined;
  readonly clock?: Clock | undefined;
}

/**
 * A page that shows one running processor: throughput and latency, lag, the chain of strategies with what is in flight and
 * who pushes back, rebalances and other events, invalid messages, CPU. It shows no payload. By default only this machine
 * can open it.
 *
 * ```ts
 * await using dashboard = await Dashboard.start({ title: "orders", consumer, port: 8088 });
 * const processor = new StreamProcessor({ consumer, topic, factory, metrics: dashboard.metrics() });
 * dashboard.follow(processor);
 * await processor.run();
 * ```
 *
 * The page is served by the main thread: it stands still while that is blocked.
 */
export class Dashboard<T> implements AsyncDisposable {
  readonly #observer: Observer;
  readonly #server: Server;
  readonly #host: string;
  readonly #loopback: boolean;
  readonly #clock: Clock;
  readonly #pages: ReadonlyMap<string, PageFile>;
  readonly #clients = new Set<ServerResponse>();
  readonly #rules: ResolvedHealthRules;
  #monitor: HealthMonitor | undefined;
  #timer: ClockTimer | undefined;
  #lastEventId = 0;
  #latest = "";
  #followed = false;

  private constructor(options: DashboardOptions<T>) {
    const { title, consumer, clock = systemClock } = options;
    this.#clock = clock;
    this.#host = options.host ?? "127.0.0.1";
    this.#loopback = this.#host === "127.0.0.1" || this.#host === "::1" || this.#host === "localhost";
    this.#observer = new Observer({ title, consumer, clock, health: () => this.#monitor?.checks() ?? [] });
    this.#rules = resolveRules(options.rules);
    this.#pages = new Map([
      ["/", pageFile("index.html", "text/html; charset=utf-8")],
      ["/page.js", pageFile("page.js", "text/javascript; charset=utf-8")],
      ["/charts.js", pageFile("charts.js", "text/javascript; charset=utf-8")],
      ["/page.css", pageFile("page.css", "text/css; charset=utf-8")],
    ]);
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  /**
   * Resolves when the page can be opened.
   *
   * @throws ConfigurationError when the port cannot be used.
   */
  static async start<T>(options: DashboardOptions<T>): Promise<Dashboard<T>> {
    const dashboard = new Dashboard(options);
    dashboard.#server.listen(options.port, dashboard.#host);
    try {
      await once(dashboard.#server, "listening");
    } catch (error) {
      dashboard.#observer[Symbol.dispose]();
      throw new ConfigurationError(
        `Dashboard: port ${options.port} of ${dashboard.#host} cannot be used: ${(error as Error).message}`,
        { cause: error },
      );
    }
    // The page is no reason for the process to stay.
    dashboard.#server.unref();
    dashboard.#tick();
    return dashboard;
  }

  /** Where the page is. */
  get url(): string {
    const { port } = this.#server.address() as AddressInfo;
    return `http://${this.#loopback ? "localhost" : this.#host}:${port}/`;
  }

  /** The metrics to give to the processor; they are passed on to `target`. */
  metrics(target: Metrics = noopMetrics): Metrics {
    return this.#observer.metrics(target);
  }

  /** Says which processor the page is about. @throws InvalidStateError the second time. */
  follow(processor: HealthSource): void {
    if (this.#followed)
      throw new InvalidStateError("Dashboard: it follows a processor already: make one for each.");
    this.#followed = true;
    this.#observer.follow(processor);
    const { vitals } = processor;
    if (vitals !== undefined) this.#monitor = new HealthMonitor(vitals, this.#rules, this.#clock);
  }

  async close(): Promise<void> {
    this.#timer?.cancel();
    this.#observer[Symbol.dispose]();
    for (const client of this.#clients) client.end();
    this.#server.closeAllConnections();
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    if (this.#loopback && !LOOPBACK_NAMES.has((request.headers.host ?? "").replace(/:\d+$/, ""))) {
      response.writeHead(403).end("Open this page as localhost.\n");
      return;
    }
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.writeHead(405, { allow: "GET, HEAD" }).end();
      return;
    }
    if (pathname === "/events") {
      this.#stream(request, response);
      return;
    }
    const page = this.#pages.get(pathname);
    if (page === undefined) response.writeHead(404).end("There is only one page, at /.\n");
    else response.writeHead(200, { ...HEADERS, "content-type": page.type }).end(page.body);
  }

  /** Everything at once, then what is new each second. */
  #stream(request: IncomingMessage, response: ServerResponse): void {
    response.writeHead(200, { ...HEADERS, "content-type": "text/event-stream" });
    const { points, events } = this.#observer;
    response.write(frame("history", { points, events }));
    if (this.#latest !== "") response.write(this.#latest);
    this.#clients.add(response);
    request.on("close", () => this.#clients.delete(response));
  }

  #tick(): void {
    const { point, state } = this.#observer.sample();
    const events = this.#observer.events.filter(({ id }) => id > this.#lastEventId);
    this.#lastEventId = events.at(-1)?.id ?? this.#lastEventId;
    this.#latest = frame("tick", { point, state, events: [] });
    const text = frame("tick", { point, state, events });
    for (const client of this.#clients) {
      // Somebody who does not read gets nothing more, instead of the memory of this process.
      if (client.writableNeedDrain) client.destroy();
      else client.write(text);
    }
    this.#timer = this.#clock.setTimeout(() => this.#tick(), EVERY_MS);
  }
}

function frame(event: string, data: unknown): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}
