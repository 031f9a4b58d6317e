import assert from "node:assert/strict";
import type { Consumer } from "../../src/backend/consumer.ts";
import { ArroyoError } from "../../src/errors.ts";
import { Partition } from "../../src/message/partition.ts";
import { KafkaPayload } from "../../src/message/payload.ts";
import type { Topic } from "../../src/message/topic.ts";
import type { Backend } from "./backend.ts";

type KafkaLike = Consumer<KafkaPayload>;

/** What a call comes to: it works, or throws an error that says what to do. */
type Expected = "works" | RegExp | typeof EITHER;

/** In the order in which they are made: the last three change the state. */
const CALLS = {
  paused: (consumer) => consumer.paused(),
  tell: (consumer) => consumer.tell(),
  pause: (consumer, partition) => consumer.pause([partition]),
  resume: (consumer, partition) => consumer.resume([partition]),
  seek: (consumer, partition) => consumer.seek(new Map([[partition, 0]])),
  lag: (consumer, partition) => consumer.lag!(partition),
  stageOffsets: (consumer, partition) => consumer.stageOffsets(new Map([[partition, 1]])),
  commitOffsets: (consumer) => consumer.commitOffsets(),
  poll: (consumer) => consumer.poll(),
  subscribe: (consumer, partition) => consumer.subscribe([partition.topic]),
  unsubscribe: (consumer) => consumer.unsubscribe(),
  close: (consumer) => consumer.close(),
} satisfies Record<string, (consumer: KafkaLike, partition: Partition) => unknown>;

type Call = keyof typeof CALLS;
const ALL = Object.keys(CALLS) as readonly Call[];

/** In a callback of a poll that somebody waits for, these two are shown by themselves. */
const IN_A_CALLBACK = ALL.filter((call) => call !== "unsubscribe" && call !== "close");

/** Of partitions that are lost, a consumer may know before its next poll or in it. */
const EITHER = "works, or is not assigned any more";
const NOT_ASSIGNED = /is not assigned to this consumer now; tell\(\) gives the partitions that are/;
const SUBSCRIBED = /subscribed already: call unsubscribe\(\) before/;
const RUNNING = /poll\(\) is running already: await it/;
const CLOSED = /after close\(\): make a new consumer/;
const NO_OFFSET = /"auto\.offset\.reset"/;

/** Whatever needs a partition. */
const partitionCalls = (expected: Expected) =>
  ({ pause: expected, resume: expected, seek: expected, lag: expected }) as const;

const NO_PARTITION = {
  paused: "works",
  tell: "works",
  ...partitionCalls(NOT_ASSIGNED),
  // Of what is not ours, nothing is committed.
  stageOffsets: "works",
  commitOffsets: "works",
  poll: "works",
  subscribe: SUBSCRIBED,
  unsubscribe: "works",
  close: "works",
} as const satisfies Record<Call, Expected>;
const HELD = { ...NO_PARTITION, ...partitionCalls("works") } as const;
const GONE = Object.fromEntries(ALL.map((call) => [call, call === "close" ? "works" : CLOSED])) as Record<
  Call,
  Expected
>;

const TABLE = {
  "not subscribed": {
    ...NO_PARTITION,
    poll: /not subscribed: call subscribe\(\) before poll/,
    subscribe: "works",
  },
  "subscribed, without an assignment": NO_PARTITION,
  assigned: HELD,
  "in onAssign": { ...HELD, poll: RUNNING },
  "lost, before the next poll": { ...HELD, ...partitionCalls(EITHER) },
  "in onLost": { ...HELD, ...partitionCalls(EITHER), poll: RUNNING },
  "in onRevoke": { ...HELD, poll: RUNNING, subscribe: "works" },
  "unsubscribed, with something to give back": { ...HELD, subscribe: "works" },
  "given back": {
    ...NO_PARTITION,
    poll: /not subscribed: call subscribe\(\) before poll/,
    subscribe: "works",
  },
  "of no more use": { ...NO_PARTITION, commitOffsets: NO_OFFSET, poll: NO_OFFSET },
  closing: GONE,
  closed: GONE,
} as const satisfies Record<string, Readonly<Record<Call, Expected>>>;

async function outcome(call: () => unknown): Promise<string> {
  try {
    await call();
    return "works";
  } catch (error) {
    assert.ok(error instanceof ArroyoError, `not an error of this library: ${error}`);
    return error.message;
  }
}

async function check(
  consumer: KafkaLike,
  topic: Topic,
  state: keyof typeof TABLE,
  calls: readonly Call[] = ALL,
): Promise<void> {
  const partition = Partition.of(topic, 0);
  const expected: Readonly<Record<Call, Expected>> = TABLE[state];
  for (const call of calls) {
    const result = await outcome(() => CALLS[call](consumer, partition));
    const what = `${call}() while ${state}`;
    if (expected[call] === EITHER) {
      if (result !== "works") assert.match(result, NOT_ASSIGNED, what);
    } else if (expected[call] === "works") assert.equal(result, "works", what);
    else assert.match(result, expected[call], what);
  }
}

/** All but those that leave the state. */
const STAYING = ALL.slice(0, ALL.indexOf("poll"));

async function pollUntil(consumer: KafkaLike, holds: () => boolean): Promise<void> {
  while (!holds()) {
    await consumer.poll({ timeoutMs: 100, maxMessages: 0 });
  }
}

export const statesContract: Readonly<Record<string, (backend: Backend) => Promise<void>>> = {
  "every call in every state works, or says what to do": async (backend) => {
    const topic = await backend.createTopic(1);
    const producer = backend.producer();
    await producer.produce(topic, new KafkaPayload(null, "one"));
    await producer.produce(topic, new KafkaPayload(null, "two"));

    const unused = backend.consumer(backend.newGroup());
    await check(unused, topic, "not subscribed");
    await check(unused, topic, "closed");

    const consumer = backend.consumer(backend.newGroup());
    await check(consumer, topic, "not subscribed", STAYING);
    const checks: Promise<void>[] = [];
    let assigned = 0;
    let revoked = 0;
    const callbacks = {
      onAssign: async () => {
        if (assigned++ > 0) return;
        checks.push(check(consumer, topic, "in onAssign", IN_A_CALLBACK));
        await checks.at(-1);
      },
      onRevoke: async () => {
        if (revoked++ > 0) return;
        // To subscribe anew would be for the polls after this one.
        const calls = IN_A_CALLBACK.filter((call) => call !== "subscribe");
        checks.push(check(consumer, topic, "in onRevoke", calls));
        await checks.at(-1);
      },
    };
    consumer.subscribe([topic], callbacks);
    await check(consumer, topic, "subscribed, without an assignment", [...STAYING, "subscribe"]);
    await pollUntil(consumer, () => consumer.tell().size > 0);
    assert.equal(assigned, 1);
    await check(consumer, topic, "assigned", [...STAYING, "poll", "subscribe"]);
    consumer.unsubscribe();
    await check(consumer, topic, "unsubscribed, with something to give back", STAYING);
    await pollUntil(consumer, () => consumer.tell().size === 0);
    assert.equal(revoked, 1);
    await Promise.all(checks);
    await check(consumer, topic, "given back", STAYING);

    const closing = consumer.close();
    await check(consumer, topic, "closing");
    await closing;
    await check(consumer, topic, "closed");
  },

  "a consumer that was put out of its group can be asked everything, and commits nothing": async (
    backend,
  ) => {
    const topic = await backend.createTopic(1);
    const consumer = backend.consumer(backend.newGroup(), { "max.poll.interval.ms": 1_000 });
    let lost: Promise<void> | undefined;
    consumer.subscribe([topic], {
      onLost: async () => {
        await (lost ??= check(consumer, topic, "in onLost", IN_A_CALLBACK));
      },
    });
    await pollUntil(consumer, () => consumer.tell().size > 0);
    // By its own I/O thread, or by brokers that have not heard of it for as long.
    const isOut = (): boolean => ["expelled", "lost"].includes(consumer.vitals!.member);
    while (!isOut()) await new Promise((resolve) => setTimeout(resolve, 20));
    await check(consumer, topic, "lost, before the next poll", STAYING);
    consumer.stageOffsets(new Map([[Partition.of(topic, 0), 1]]));
    assert.equal((await consumer.commitOffsets()).size, 0);
    await pollUntil(consumer, () => lost !== undefined);
    await lost;
    for (let isThrough = false; !isThrough;) {
      await consumer.poll({ timeoutMs: 100, maxMessages: 0 });
      if (consumer.tell().size === 0) continue;
      try {
        await check(consumer, topic, "assigned", STAYING);
        isThrough = true;
      } catch (error) {
        // A machine that is busy for so long has it put out again.
        if (!isOut()) throw error;
      }
    }
  },

  "a consumer that is of no more use says why at each poll, and can be closed": async (backend) => {
    const topic = await backend.createTopic(1);
    const consumer = backend.consumer(backend.newGroup(), { "auto.offset.reset": "error" });
    consumer.subscribe([topic]);
    await assert.rejects(
      pollUntil(consumer, () => false),
      NO_OFFSET,
    );
    await check(consumer, topic, "of no more use");
    await check(consumer, topic, "closed");
  },

  "a consumer can be unsubscribed and closed in each of its callbacks": async (backend) => {
    const topic = await backend.createTopic(1);
    for (const call of ["unsubscribe", "close"] as const) {
      const consumer = backend.consumer(backend.newGroup());
      let done = false;
      consumer.subscribe([topic], {
        onAssign: () => {
          void CALLS[call](consumer);
          done = true;
        },
      });
      await pollUntil(consumer, () => done);
      if (call === "unsubscribe") await pollUntil(consumer, () => consumer.tell().size === 0);
      await consumer.close();
      await check(consumer, topic, "closed");
    }
  },

  "a closed producer says so": async (backend) => {
    const topic = await backend.createTopic(1);
    const producer = backend.producer();
    await producer.produce(topic, new KafkaPayload(null, "one"));
    const closing = producer.close();
    await assert.rejects(
      producer.produce(topic, new KafkaPayload(null, "two")),
      /closed?.*make a new (one|producer)/,
    );
    await closing;
    await assert.rejects(
      producer.produce(topic, new KafkaPayload(null, "two")),
      /closed?.*make a new (one|producer)/,
    );
    // What there was is delivered: nothing is left to wait for.
    await producer.flush();
    await producer.close();
  },
};
