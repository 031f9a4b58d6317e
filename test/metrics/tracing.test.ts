import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { context, propagation, SpanStatusCode, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { decodeJson, InvalidMessage, KafkaPayload, pipeline, type Message } from "../../src/index.ts";
import { carryTrace, traced, withTraceContext } from "../../src/metrics/opentelemetry.ts";
import { harness } from "../../src/testing/index.ts";
import { z } from "zod";

const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";
const PARENT_ID = "b7ad6b7169203331";
const TRACEPARENT = `00-${TRACE_ID}-${PARENT_ID}-01`;

const exporter = new InMemorySpanExporter();

before(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  trace.setGlobalTracerProvider(
    new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }),
  );
});

after(() => {
  for (const api of [context, propagation, trace]) api.disable();
});

function order(id: string, headers: readonly (readonly [string, string])[] = []): KafkaPayload {
  return new KafkaPayload(id, JSON.stringify({ id }), headers);
}

const Order = z.object({ id: z.string() });

describe("trace context", () => {
  it("goes from a message's headers through decoding, an async task and into what is produced", async () => {
    exporter.reset();
    const decode = decodeJson(Order);
    await using t = await harness(
      ({ producer }) =>
        pipeline()
          .map(carryTrace((_payload: KafkaPayload, message: Message<KafkaPayload>) => decode(message)))
          .mapConcurrently(
            traced("enrich", async (found: z.infer<typeof Order>) => {
              await Promise.resolve();
              trace.getActiveSpan()?.setAttribute("order", found.id);
              return { ...found, enriched: true };
            }),
            { concurrency: 2 },
          )
          .map(carryTrace((found) => new KafkaPayload(found.id, JSON.stringify(found), [["kept", "yes"]])))
          .produce(producer, "enriched")
          .commit(),
      { topics: { orders: 1 } },
    );
    t.send(order("1", [["traceparent", TRACEPARENT]]));
    await t.settle();

    const [span] = exporter.getFinishedSpans();
    assert.equal(span?.name, "enrich orders");
    assert.equal(span.spanContext().traceId, TRACE_ID);
    assert.equal(span.parentSpanContext?.spanId, PARENT_ID);
    assert.equal(span.attributes["order"], "1");
    assert.equal(span.attributes["messaging.destination.name"], "orders");
    assert.equal(span.attributes["messaging.kafka.offset"], 0);
    const [produced] = t.output("enriched");
    assert.equal(
      produced?.header("traceparent")?.toString(),
      `00-${TRACE_ID}-${span.spanContext().spanId}-01`,
    );
    assert.equal(produced.header("kept")?.toString(), "yes");
  });

  it("starts a trace for a message that has none", async () => {
    exporter.reset();
    await using t = await harness(
      pipeline()
        .map(traced("look", (payload: KafkaPayload) => payload.text()))
        .commit(),
      { topics: { orders: 1 } },
    );
    t.send(order("1"));
    await t.settle();
    const [span] = exporter.getFinishedSpans();
    assert.equal(span?.parentSpanContext, undefined);
    assert.deepEqual(t.committed, { "orders:0": 1 });
  });

  it("says in the span why a message was invalid", async () => {
    exporter.reset();
    await using t = await harness(
      pipeline()
        .map(
          traced("refuse", (_payload: KafkaPayload, message: Message<KafkaPayload>): string => {
            throw InvalidMessage.from(message, { reason: "too old" });
          }),
        )
        .commit(),
      { topics: { orders: 1 } },
    );
    t.send(order("1"));
    await t.settle();
    const [span] = exporter.getFinishedSpans();
    assert.equal(span?.status.code, SpanStatusCode.ERROR);
    assert.match(span.events[0]?.attributes?.["exception.message"] as string, /too old/);
    assert.equal(t.deadLetters.length, 1);
  });

  it("replaces the trace headers that a payload had, and keeps the others", () => {
    const parent = propagation.extract(context.active(), { traceparent: TRACEPARENT });
    const before = order("1", [
      ["traceparent", "00-11111111111111111111111111111111-2222222222222222-00"],
      ["kept", "yes"],
    ]);
    const payload = withTraceContext(before, parent);
    assert.deepEqual(
      payload.headers.map(([name, value]) => [name, value?.toString()]),
      [
        ["kept", "yes"],
        ["traceparent", TRACEPARENT],
      ],
    );
    assert.equal(withTraceContext(before), before, "without a trace nothing changes");
  });
});
