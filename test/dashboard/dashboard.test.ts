import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import type { Browser, Page } from "playwright-core";
import { Dashboard } from "../../src/dashboard/index.ts";
import {
  InvalidMessage,
  KafkaPayload,
  MESSAGE_REJECTED,
  Partition,
  pipeline,
  silentLogger,
  StreamProcessor,
  Topic,
  type Consumer,
  type ProcessingStrategyFactory,
} from "../../src/index.ts";
import { LocalBroker } from "../../src/local/index.ts";
import { openBrowser } from "./browser.ts";

let browser: Browser;
// The timers of clients keep no process alive.
let alive: NodeJS.Timeout;
before(async () => {
  alive = setInterval(() => {}, 1_000);
  browser = await openBrowser();
});
after(async () => {
  await browser.close();
  clearInterval(alive);
});

/** A processor on an embedded broker, and its page. */
class Setup {
  readonly broker: LocalBroker = new LocalBroker();
  readonly page: Page;
  readonly dashboard: Dashboard<KafkaPayload>;
  readonly errors: string[] = [];
  readonly #processor: StreamProcessor<KafkaPayload>;
  readonly running: Promise<void>;

  private constructor(
    page: Page,
    dashboard: Dashboard<KafkaPayload>,
    broker: LocalBroker,
    consumer: Consumer<KafkaPayload>,
    factory: ProcessingStrategyFactory<KafkaPayload>,
  ) {
    this.page = page;
    this.dashboard = dashboard;
    this.broker = broker;
    page.on("pageerror", (error) => this.errors.push(error.message));
    this.#processor = new StreamProcessor({
      consumer,
      topic: "orders",
      factory,
      metrics: dashboard.metrics(),
      logger: silentLogger,
    });
    dashboard.follow(this.#processor);
    this.running = this.#processor.run();
    this.running.catch(() => {});
  }

  static async open(factory: ProcessingStrategyFactory<KafkaPayload>): Promise<Setup> {
    const broker = new LocalBroker();
    await broker.createTopic("orders", 2);
    const consumer = broker.consumer({ "group.id": "billing", "auto.offset.reset": "earliest" });
    const dashboard = await Dashboard.start({ title: "billing", consumer, port: 0 });
    const page = await browser.newPage();
    page.setDefaultTimeout(60_000);
    const setup = new Setup(page, dashboard, broker, consumer, factory);
    await page.goto(dashboard.url);
    return setup;
  }

  async send(...values: string[]): Promise<void> {
    await using producer = this.broker.producer();
    for (const value of values)
      await producer.produce(Partition.of("orders", 0), new KafkaPayload(null, value));
  }

  /** Resolves when an element of the page holds that text. */
  async shows(selector: string, text: string | RegExp): Promise<void> {
    try {
      await this.page.locator(selector).filter({ hasText: text }).first().waitFor();
    } catch (error) {
      const there = await this.page.locator(selector).allTextContents();
      throw new Error(`${selector} does not show ${String(text)}, but ${JSON.stringify(there)}`, {
        cause: error,
      });
    }
  }

  async stop(): Promise<void> {
    this.#processor.signalShutdown();
    await this.running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#processor.signalShutdown();
    await this.running.catch(() => {});
    await this.page.close();
    await this.dashboard.close();
    await this.broker.close();
    assert.deepEqual(this.errors, []);
  }
}

/** A connection to the page that can be cut, until it is mended. */
class Wire implements AsyncDisposable {
  readonly url: string;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;
  #isCut = false;

  private constructor(server: Server, sockets: Set<Socket>) {
    this.#server = server;
    this.#sockets = sockets;
    this.url = `http://localhost:${(server.address() as AddressInfo).port}/`;
  }

  static async to(url: string): Promise<Wire> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      const behind = connect(Number(new URL(url).port), "127.0.0.1");
      for (const one of [socket, behind]) {
        sockets.add(one);
        one.on("error", () => {});
        one.on("close", () => {
          socket.destroy();
          behind.destroy();
        });
      }
      socket.pipe(behind).pipe(socket);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const wire = new Wire(server, sockets);
    server.on("connection", (socket) => {
      if (wire.#isCut) socket.destroy();
    });
    return wire;
  }

  mend(): void {
    this.#isCut = false;
  }

  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

describe("the dashboard's page", () => {
  it("shows what has happened: messages, commits, invalid ones, the chain, and the end", async () => {
    const evil = "<img src=x onerror=\"document.title='owned'\">";
    await using setup = await Setup.open(
      pipeline()
        .map((payload, message) => {
          if (payload.text() === "bad") throw InvalidMessage.from(message, { reason: evil });
        })
        .commit(),
    );
    await setup.send("a", "bad", "c");
    await setup.shows("#total-messages", "3");
    await setup.shows("#total-invalid", "1");
    await setup.shows("#partitions tr:nth-child(1)", "orders:0330");
    await setup.shows("#state", "running");
    await setup.shows("#health", "polling (liveness): healthy");
    await setup.shows("#health", "assignment (readiness): healthy");
    await setup.shows("#chain", "RunTask");
    await setup.shows("#chain", "CommitOffsets");
    await setup.shows("#events", "2 partitions assigned: orders:0, orders:1");
    await setup.shows("#events", `Invalid message at orders:0 offset 1: ${evil}`);
    assert.equal(await setup.page.locator("#events img").count(), 0, "markup must stay text");
    const curves = setup.page.getByRole("img");
    await assert.doesNotReject(
      curves
        .filter({ has: setup.page.locator("path") })
        .first()
        .waitFor(),
    );
    assert.equal(await curves.count(), 5);
    await setup.stop();
    await setup.shows("#state", "stopped");
    assert.equal(await setup.page.title(), "billing: stopped");
  });

  it("shows a rebalance, what is left to this member, and catches up after the connection was lost", async () => {
    await using setup = await Setup.open(pipeline().commit());
    await using wire = await Wire.to(setup.dashboard.url);
    await setup.page.goto(wire.url);
    await setup.shows("#partitions", "orders:1");
    const other = setup.broker.consumer({ "group.id": "billing", "auto.offset.reset": "earliest" });
    other.subscribe([Topic.of("orders")]);
    const isShown = new AbortController();
    const polling = other.poll({ timeoutMs: 60_000, signal: isShown.signal });
    await setup.shows("#events", "handed over, drained and committed in");
    await setup.page.waitForFunction("document.querySelectorAll('#partitions tr').length === 1");
    isShown.abort();
    await polling;

    wire.cut();
    await setup.page.locator("#connection").waitFor({ state: "visible" });
    await other.close(); // what happens meanwhile is not missed
    wire.mend();
    await setup.page.locator("#connection").waitFor({ state: "hidden" });
    await setup.page.waitForFunction("document.querySelectorAll('#partitions tr').length === 2");
    await setup.page.locator("#events li span").nth(4).waitFor();
    const texts = await setup.page.locator("#events li span").allTextContents();
    const kinds = texts.map((text) => /^\d partitions? (?:assigned|handed over)/.exec(text)?.[0]);
    assert.deepEqual(kinds.toReversed(), [
      "2 partitions assigned",
      "2 partitions handed over",
      "1 partition assigned",
      "1 partition handed over",
      "2 partitions assigned",
    ]);
    await setup.shows("#total-rebalances", /^3$/);
  });

  it("names the step that pushes back, and the error that ended it", async () => {
    let open = false;
    await using setup = await Setup.open(
      pipeline()
        .map((payload) => payload.text())
        .map(() => {
          if (!open) throw MESSAGE_REJECTED;
          throw new Error("no database");
        })
        .commit(),
    );
    await setup.send("a");
    await setup.shows("#chain li[data-rejecting=true]", "pushes back");
    open = true;
    await setup.shows("#state", "failed");
    await setup.shows("#error", "no database");
  });

  it("sums up invalid messages that come in a flood, so that the rest stays to be seen", async () => {
    await using setup = await Setup.open(
      pipeline()
        .map((_payload, message) => {
          throw InvalidMessage.from(message, { reason: "no good" });
        })
        .commit(),
    );
    await setup.send(...Array.from({ length: 500 }, () => "x"));
    await setup.shows("#total-invalid", "500");
    await setup.shows("#events", "more messages were invalid in that second");
    await setup.shows("#events", "2 partitions assigned");
  });

  it("can be read with the keyboard", async () => {
    await using setup = await Setup.open(pipeline().commit());
    await setup.send("a");
    await setup.shows("#total-messages", "1");
    const curve = setup.page.getByRole("img").first();
    await curve.focus();
    await setup.page.keyboard.press("Home");
    const label = await curve.getAttribute("aria-label");
    assert.match(label ?? "", /^Messages a second, \d.*: \d+$/);
    await setup.page.keyboard.press("Escape");
    assert.match((await curve.getAttribute("aria-label")) ?? "", /^Messages a second, now: /);
  });

  it("fits on a phone: nothing sticks out at the side", async () => {
    await using setup = await Setup.open(pipeline().commit());
    await setup.page.setViewportSize({ width: 360, height: 740 });
    await setup.shows("#partitions", "orders:1");
    const width = await setup.page.evaluate("document.documentElement.scrollWidth");
    assert.equal(width, 360);
  });
});

describe("the dashboard's server", () => {
  it("answers no other name of this machine, so that no page elsewhere can read along", async () => {
    await using broker = new LocalBroker();
    const consumer = broker.consumer({ "group.id": "g" });
    await using dashboard = await Dashboard.start({ title: "t", consumer, port: 0 });
    const { port } = new URL(dashboard.url);
    const status = (path: string, host: string, method = "GET"): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        request({ host: "127.0.0.1", port, path, method, headers: { host } }, (response) => {
          response.resume();
          resolve(response.statusCode);
        })
          .on("error", reject)
          .end();
      });
    assert.equal(await status("/", `localhost:${port}`), 200);
    assert.equal(await status("/", `evil.example:${port}`), 403);
    assert.equal(await status("/events", "evil.example"), 403);
    assert.equal(await status("/../package.json", "localhost"), 404);
    assert.equal(await status("/", "localhost", "POST"), 405);
    await consumer.close();
  });

  it("says when its port is taken", async () => {
    await using broker = new LocalBroker();
    const consumer = broker.consumer({ "group.id": "g" });
    await using dashboard = await Dashboard.start({ title: "t", consumer, port: 0 });
    const port = Number(new URL(dashboard.url).port);
    await assert.rejects(Dashboard.start({ title: "t", consumer, port }), {
      code: "ARROYO_CONFIGURATION",
      message: /port \d+ of 127\.0\.0\.1 cannot be used/,
    });
    await consumer.close();
  });
});
