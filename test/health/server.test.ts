import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import {
  CommitOffsets,
  ConfigurationError,
  Healthcheck,
  HealthServer,
  InvalidStateError,
  KafkaPayload,
  MESSAGE_REJECTED,
  StreamProcessor,
  Vitals,
  healthHandler,
  silentLogger,
  type HealthReport,
} from "../../src/index.ts";
import { LocalBroker } from "../../src/local/index.ts";
import { MockClock } from "../../src/testing/index.ts";
import { ownPort } from "../kafka/ports.ts";

/** A consumer that is well. */
function healthy(): { readonly vitals: Vitals } {
  const vitals = new Vitals();
  vitals.phase = "running";
  vitals.member = "member";
  vitals.partitions = 3;
  return { vitals };
}

async function get(
  port: number | undefined,
  path: string,
  method: string = "GET",
): Promise<{ readonly status: number; readonly type: string | null; readonly text: string }> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { method });
  return { status: response.status, type: response.headers.get("content-type"), text: await response.text() };
}

/** Lets the event loop do what has come up. */
async function turns(count: number = 20): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

const TEXT = "text/plain; charset=utf-8";

describe("HealthServer", () => {
  it("answers the three probes, and says what is wrong as soon as it is", async () => {
    const consumer = healthy();
    await using server = new HealthServer({ watch: consumer, port: 0, logger: silentLogger });
    await server.listen();
    for (const path of ["/livez", "/readyz", "/readyz?verbose"]) {
      assert.deepEqual(await get(server.port, path), { status: 200, type: TEXT, text: "ok\n" });
    }
    consumer.vitals.phase = "stopping";
    assert.equal((await get(server.port, "/livez")).status, 200);
    const notReady = await get(server.port, "/readyz");
    assert.equal(notReady.status, 503);
    assert.match(notReady.text, /^not ready\nconsumer: shutdown: it shuts down \(since 20\d\d-.*Z\)\n$/);
    consumer.vitals.member = "failed";
    const dead = await get(server.port, "/livez");
    assert.equal(dead.status, 503);
    assert.match(dead.text, /^not alive\nconsumer: membership: the consumer has failed for good/);
  });

  it("tells everything at /healthz, of several consumers by name", async () => {
    const watch = { orders: healthy(), payments: healthy() };
    await using server = new HealthServer({ watch, port: 0, logger: silentLogger });
    await server.listen();
    const well = await get(server.port, "/healthz");
    assert.equal(well.status, 200);
    assert.equal(well.type, "application/json; charset=utf-8");
    watch.payments.vitals.phase = "stopping";
    const { status, text } = await get(server.port, "/healthz");
    assert.equal(status, 503);
    const report = JSON.parse(text) as HealthReport;
    assert.deepEqual(
      [report.alive, report.ready, report.consumers["orders"]!.ready, report.consumers["payments"]!.ready],
      [true, false, true, false],
    );
    for (const { name, probe, ok, why, since } of report.consumers["payments"]!.checks) {
      assert.equal(ok, name !== "shutdown");
      assert.ok(probe === "liveness" || probe === "readiness");
      assert.notEqual(why, "");
      assert.equal(new Date(since).toISOString(), since);
    }
  });

  it("answers HEAD without a body, refuses other methods, and knows no other path", async () => {
    await using server = new HealthServer({ watch: healthy(), port: 0, logger: silentLogger });
    await server.listen();
    assert.deepEqual(await get(server.port, "/livez", "HEAD"), { status: 200, type: TEXT, text: "" });
    assert.equal((await get(server.port, "/livez", "POST")).status, 405);
    assert.equal((await get(server.port, "/")).status, 404);
  });

  it("says when its port is taken, and gives it back when it is closed", async () => {
    const port = await ownPort();
    const first = new HealthServer({ watch: healthy(), port, logger: silentLogger });
    await first.listen();
    const second = new HealthServer({ watch: healthy(), port, logger: silentLogger });
    await assert.rejects(second.listen(), (error) => {
      assert.ok(error instanceof ConfigurationError);
      assert.match(error.message, new RegExp(`cannot listen on port ${port}: .*EADDRINUSE`));
      return true;
    });
    await second.close();
    await first.close();
    await first.close();
    await assert.rejects(first.listen(), InvalidStateError);
    await using third = new HealthServer({ watch: healthy(), port, logger: silentLogger });
    await third.listen();
    assert.equal((await get(port, "/livez")).status, 200);
  });

  it("refuses what makes no sense before it starts anything", () => {
    for (const options of [
      { watch: healthy(), port: 65_536 },
      { watch: healthy(), port: 0, rules: { graceMs: -1 } },
      { watch: {}, port: 0 },
      { watch: { orders: {} }, port: 0 },
    ]) {
      assert.throws(() => new HealthServer(options), ConfigurationError);
    }
  });
});

describe("healthHandler", () => {
  it("answers in a server that is there already, and leaves its other paths alone", async () => {
    const consumer = healthy();
    using health = healthHandler({ watch: consumer });
    const server = createServer((request, response) => {
      if (!health(request, response)) response.end("mine");
    }).listen(0);
    after(() => server.close());
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    assert.equal((await get(port, "/livez")).status, 200);
    assert.equal((await get(port, "/orders")).text, "mine");
    consumer.vitals.phase = "stopping";
    assert.equal((await get(port, "/readyz")).status, 503);
    assert.equal(health.report().ready, false);
    server.closeAllConnections();
  });
});

describe("a consumer whose chain takes nothing", () => {
  it("is alive and ready for ten minutes of back-pressure", async () => {
    const clock = new MockClock();
    await using broker = new LocalBroker({ clock, logger: silentLogger });
    await broker.createTopic("orders", 1);
    await broker.producer().produce("orders", new KafkaPayload(null, "1"));
    let rejections = 0;
    const processor = new StreamProcessor({
      consumer: broker.consumer({ "group.id": "g", "auto.offset.reset": "earliest" }),
      topic: "orders",
      clock,
      logger: silentLogger,
      factory: {
        createWithPartitions: (commit) => {
          const full = new CommitOffsets(commit);
          return Object.assign(full, {
            submit: () => {
              rejections++;
              throw MESSAGE_REJECTED;
            },
          });
        },
      },
    });
    using health = healthHandler({ watch: processor, clock });
    const ran = processor.run();
    await turns();
    for (let second = 0; second < 600; second++) {
      clock.advance(1_000);
      await turns(3);
      if (second % 60 === 59) assert.equal(health.report().ready, true, JSON.stringify(health.report()));
    }
    assert.ok(rejections > 600);
    processor.signalShutdown();
    await ran;
  });
});

describe("Healthcheck with rules", () => {
  it("touches its file only while the probe over HTTP would succeed", async () => {
    const folder = mkdtempSync(join(tmpdir(), "arroyo-health-"));
    after(() => rmSync(folder, { recursive: true }));
    const path = join(folder, "ready");
    const clock = new MockClock();
    await using broker = new LocalBroker({ clock, logger: silentLogger });
    await broker.createTopic("orders", 1);
    const consumer = broker.consumer({ "group.id": "g" });
    const rules = { graceMs: 10_000 };
    const processor = new StreamProcessor({
      consumer,
      topic: "orders",
      clock,
      logger: silentLogger,
      factory: {
        createWithPartitions: (commit) =>
          new Healthcheck({ path, probe: "readyz", rules }, new CommitOffsets(commit)),
      },
    });
    using http = healthHandler({ watch: processor, rules, clock });
    const ran = processor.run();
    const passes = async (seconds: number): Promise<void> => {
      for (let second = 0; second < seconds; second++) {
        clock.advance(1_000);
        await turns();
      }
    };
    const agree = async (isReady: boolean): Promise<void> => {
      rmSync(path, { force: true });
      await passes(2);
      assert.equal(existsSync(path), isReady);
      assert.equal(http.report().ready, isReady);
    };
    await passes(3);
    await agree(true);
    // As if the group had gone on without it, for longer than the grace.
    consumer.vitals.member = "lost";
    await agree(true);
    await passes(10);
    await agree(false);
    consumer.vitals.member = "member";
    await agree(true);
    processor.signalShutdown();
    await ran;
  });
});
