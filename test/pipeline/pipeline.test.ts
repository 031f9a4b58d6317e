import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import * as z from "zod";
import type { Commit } from "../../src/commit/commit.ts";
import {
  BatchStep,
  CommitOffsets,
  CommitPolicy,
  FilterStep,
  Healthcheck,
  KafkaPayload,
  Noop,
  Produce,
  Reduce,
  RunTask,
  RunTaskConcurrently,
  RunTaskInWorkers,
  UnbatchStep,
  Unfold,
  WorkerPool,
  decodeJson,
  part,
  pipeline,
  workerTask,
  type Message,
  type Partition,
  type Pipeline,
  type ProcessingStrategy,
} from "../../src/index.ts";
import type * as tasks from "./worker-tasks.ts";
import { P0, TestRuntime, at, attach, noDeadline, turn } from "../strategies/fixtures.ts";

const Order = z.object({ id: z.string(), amount: z.number() });
type Order = z.infer<typeof Order>;

const produced: KafkaPayload[] = [];
const producer = {
  produce: async (_topic: unknown, payload: KafkaPayload) => {
    produced.push(payload);
  },
};

const pool = new WorkerPool({ workers: 1 });
after(() => pool.close());
const task = workerTask<typeof tasks>()(new URL("./worker-tasks.ts", import.meta.url), "identity");

const noCommit: Commit = () => {};

/** The names of the steps of a chain, from its head. */
function names(head: ProcessingStrategy<never>): (string | undefined)[] {
  const found: (string | undefined)[] = [];
  for (let step: ProcessingStrategy<never> | undefined = head; step !== undefined; step = step.next) {
    found.push(step.name);
  }
  return found;
}

async function made(of: Pipeline<KafkaPayload, never>, commit: Commit = noCommit) {
  return of.commit().createWithPartitions(commit, new Map([[P0, 0]]));
}

describe("pipeline", () => {
  it("makes the very chain that the constructors make", async () => {
    const limits = { maxBatchSize: 10, maxBatchTimeMs: 5 };
    const fluent = pipeline()
      .healthcheck("/tmp/health.txt")
      .decodeJson(Order)
      .filter((order) => order.amount > 0)
      .mapConcurrently(async (order) => order, { concurrency: 2 })
      .map((order) => order.id)
      .mapInWorkers(task, { pool, ...limits })
      .batch(limits)
      .unbatch()
      .reduce({ ...limits, initialValue: () => "", accumulator: (all, message) => all + message.payload })
      .unfold((text) => [part(new KafkaPayload(null, text))])
      .through((next) => new Healthcheck("/tmp/other.txt", next))
      .produce(producer, "out");
    const nested = new Healthcheck(
      "/tmp/health.txt",
      new RunTask<KafkaPayload, Order>(
        decodeJson(Order),
        new FilterStep<Order>(
          () => true,
          new RunTaskConcurrently<Order, Order>(
            async (message) => message.payload,
            { concurrency: 2 },
            new RunTask<Order, string>(
              (message) => message.payload.id,
              new RunTaskInWorkers<string, string>(
                { task, pool, ...limits },
                new BatchStep<string>(
                  limits,
                  new UnbatchStep<string>(
                    new Reduce<string, string>(
                      { ...limits, initialValue: () => "", accumulator: (all) => all },
                      new Unfold<string, KafkaPayload>(
                        () => [],
                        new Healthcheck(
                          "/tmp/other.txt",
                          new Produce<KafkaPayload>({ producer, topic: "out" }, new CommitOffsets(noCommit)),
                        ),
                      ),
                    ),
                  ),
                ),
              ),
            ),
          ),
        ),
      ),
    );
    assert.deepEqual(names(await made(fluent as never)), names(nested));
  });

  it("runs each function with the payload and the message, in the order in which they are written", async () => {
    produced.length = 0;
    const committed = new Map<Partition, number>();
    const seen: unknown[] = [];
    const factory = pipeline()
      .decodeJson(Order)
      .filter((order, message) => {
        seen.push(["filter", order.id, message.offset]);
        return order.amount > 0;
      })
      .mapConcurrently(
        async (order, message, signal) => {
          seen.push(["mapConcurrently", order.id, message.offset, signal.aborted]);
          return { ...order, key: `k-${order.id}` };
        },
        { concurrency: 1, key: (order, message) => `${order.id}@${message.offset}` },
      )
      .map((order, message) => {
        seen.push(["map", order.key, message.offset]);
        return new KafkaPayload(order.key, JSON.stringify(order.amount));
      })
      .produce(producer, "out", { maxBufferSize: 10 })
      .commit();
    const chain = await factory.createWithPartitions(
      (offsets) => {
        for (const [partition, offset] of offsets) committed.set(partition, offset);
      },
      new Map([[P0, 0]]),
    );
    attach(chain, new TestRuntime(new CommitPolicy({})));
    chain.submit(at(new KafkaPayload(null, '{"id":"a","amount":1}'), 0));
    chain.submit(at(new KafkaPayload(null, '{"id":"b","amount":-1}'), 1));
    for (let polls = 0; polls < 3; polls++) {
      await turn();
      chain.poll();
    }
    chain.close();
    await chain.join(noDeadline());
    assert.deepEqual(seen, [
      ["filter", "a", 0],
      ["mapConcurrently", "a", 0, false],
      ["filter", "b", 1],
      ["map", "k-a", 0],
    ]);
    assert.deepEqual(
      produced.map((payload) => [payload.key?.toString(), payload.text()]),
      [["k-a", "1"]],
    );
    assert.deepEqual([...committed], [[P0, 2]]);
  });

  it("makes a new chain for each assignment, but keeps it when partitions are only added", async () => {
    const factory = pipeline().commit();
    const chains = [
      await factory.createWithPartitions(noCommit, new Map()),
      await factory.createWithPartitions(noCommit, new Map()),
    ];
    assert.notEqual(chains[0], chains[1]);
    factory.updatePartitions!(new Map([[P0, 0]]));
  });

  it("can be gone on with in two ways, without one changing the other", async () => {
    const start = pipeline<string>().map((text) => text.length);
    const doubled = start.map((length) => length * 2);
    const rest = start.filter(() => true);
    assert.deepEqual(names(await made(doubled as never)), ["RunTask", "RunTask", "CommitOffsets"]);
    assert.deepEqual(names(await made(rest as never)), ["RunTask", "FilterStep", "CommitOffsets"]);
  });

  it("hands the options of a filter on", async () => {
    const forwarded: unknown[] = [];
    const factory = pipeline<string>()
      .filter(() => false, { commitPolicy: new CommitPolicy({ everyMessages: 1 }) })
      .through((next) => {
        const submit = next.submit.bind(next);
        return Object.assign(next, {
          submit: (message: Message<string>) => {
            forwarded.push(message.committable);
            submit(message);
          },
        });
      })
      .commit();
    const chain = await factory.createWithPartitions(noCommit, new Map());
    chain.submit(at("dropped", 4));
    assert.deepEqual(forwarded, [new Map([[P0, 5]])]);
  });

  it("ends with CommitOffsets even if it holds nothing else", async () => {
    assert.deepEqual(names(await made(pipeline() as never)), ["CommitOffsets"]);
    assert.deepEqual(names(new Noop()), ["Noop"]);
  });
});
