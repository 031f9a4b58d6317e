import {
  context,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Context,
  type Span,
  type Tracer,
} from "@opentelemetry/api";
import { MessageRejected } from "../errors.ts";
import type { Message } from "../message/message.ts";
import { KafkaPayload } from "../message/payload.ts";

/** How {@link traced} makes its spans. */
export interface TracedOptions {
  /** Default: `trace.getTracer("arroyo")` of the API, so of the SDK that the process has set up. */
  readonly tracer?: Tracer | undefined;
}

/** The trace that a value belongs to which has no headers (any more), such as what decodeJson has made. */
const contexts = new WeakMap<object, Context>();

const headerGetter = {
  keys: (payload: KafkaPayload): string[] => payload.headers.map(([name]) => name),
  get: (payload: KafkaPayload, name: string): string | undefined => payload.header(name)?.toString("utf8"),
};

const headerSetter = {
  set: (headers: Map<string, string>, name: string, value: string): void => void headers.set(name, value),
};

/**
 * The trace that a payload belongs to: what its headers say (W3C `traceparent`, or whatever propagator the process has set
 * up), or what {@link traced} and {@link carryTrace} have noted of it. Without any: the root context.
 */
export function traceContextOf(payload: unknown): Context {
  if (payload instanceof KafkaPayload) {
    const noted = contexts.get(payload);
    if (noted !== undefined) return noted;
    return payload.headers.length === 0
      ? ROOT_CONTEXT
      : propagation.extract(ROOT_CONTEXT, payload, headerGetter);
  }
  return (typeof payload === "object" && payload !== null && contexts.get(payload)) || ROOT_CONTEXT;
}

/**
 * The same payload with the headers of the trace that is active, or of `of`, in place of those that it had. Without a trace
 * the payload comes back as it is.
 */
export function withTraceContext(payload: KafkaPayload, of: Context = context.active()): KafkaPayload {
  const added = new Map<string, string>();
  propagation.inject(of, added, headerSetter);
  if (added.size === 0) return payload;
  const kept = payload.headers.filter(([name]) => !added.has(name));
  return new KafkaPayload(payload.key, payload.value, [...kept, ...added]);
}

/**
 * Wraps a function of a strategy or a pipeline so that each call is a span, a child of the trace that the message came
 * with. The function may be async, and runs inside the span, so that what it calls finds it. What it returns belongs to the
 * trace: a KafkaPayload gets its headers, another object is remembered for the next `traced` or {@link carryTrace}.
 *
 * ```ts
 * pipeline()
 *   .map(carryTrace((payload: KafkaPayload) => Order.parse(payload.json())))
 *   .mapConcurrently(traced("enrich", (order: Order, message, signal) => enrich(order, signal)), { concurrency: 32 })
 *   .map(carryTrace((order: Order) => new KafkaPayload(order.id, JSON.stringify(order))))
 *   .produce(producer, "orders-enriched")
 * ```
 *
 * Costs a span for each message: leave the choice of which are kept to the SDK's sampler.
 */
export function traced<Args extends readonly unknown[], Result>(
  name: string,
  fn: (...args: Args) => Result,
  options: TracedOptions = {},
): (...args: Args) => Result {
  return (...args) => {
    const message = messageOf(args);
    const parent = traceContextOf(message?.payload ?? args[0]);
    const tracer = options.tracer ?? trace.getTracer("arroyo");
    const span = tracer.startSpan(
      `${name}${message?.partition === undefined ? "" : ` ${message.partition.topic.name}`}`,
      { kind: SpanKind.CONSUMER, attributes: { ...attributesOf(message), "messaging.operation.name": name } },
      parent,
    );
    const inside = trace.setSpan(parent, span);
    try {
      const result = context.with(inside, () => fn(...args));
      if (!isPromiseLike(result)) return ended(span, inside, result);
      return result.then(
        (value) => ended(span, inside, value),
        (error: unknown) => {
          failed(span, error);
          throw error;
        },
      ) as Result;
    } catch (error) {
      failed(span, error);
      throw error;
    }
  };
}

/**
 * Wraps a synchronous function so that what it makes belongs to the trace of the message, without a span of its own: a
 * KafkaPayload gets its headers, another object is remembered. For steps such as `decodeJson(schema)`, behind which the
 * headers would be gone.
 */
export function carryTrace<Args extends readonly unknown[], Result>(
  fn: (...args: Args) => Result,
): (...args: Args) => Result {
  return (...args) => {
    const from = traceContextOf(messageOf(args)?.payload ?? args[0]);
    const result = fn(...args);
    return from === ROOT_CONTEXT ? result : carried(result, from);
  };
}

function carried<Result>(result: Result, of: Context): Result {
  if (result instanceof KafkaPayload) return withTraceContext(result, of) as KafkaPayload & Result;
  if (typeof result === "object" && result !== null) contexts.set(result, of);
  return result;
}

function ended<Result>(span: Span, inside: Context, result: Result): Result {
  span.end();
  return carried(result, inside);
}

function failed(span: Span, error: unknown): void {
  // Held back, not failed: the function is asked again.
  if (MessageRejected.is(error)) span.addEvent("rejected");
  else {
    span.recordException(error instanceof Error ? error : String(error));
    span.setStatus({
      code: SpanStatusCode.ERROR,
      message: error instanceof Error ? error.message : String(error),
    });
  }
  span.end();
}

/** Strategies hand a message over first, pipelines second, behind its payload. */
function messageOf(args: readonly unknown[]): Message<unknown> | undefined {
  return args
    .slice(0, 2)
    .find(
      (arg): arg is Message<unknown> =>
        typeof arg === "object" && arg !== null && "committable" in arg && "payload" in arg,
    );
}

function attributesOf(message: Message<unknown> | undefined): Record<string, string | number> {
  const common = { "messaging.system": "kafka", "messaging.operation.type": "process" };
  if (message?.partition === undefined) return common;
  return {
    ...common,
    "messaging.destination.name": message.partition.topic.name,
    "messaging.destination.partition.id": String(message.partition.index),
    "messaging.kafka.offset": message.offset,
  };
}

function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}
