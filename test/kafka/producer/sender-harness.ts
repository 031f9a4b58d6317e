import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { KafkaPayload } from "../../../src/message/payload.ts";
import { resolveProducerConfig, type ResolvedProducerConfig } from "../../../src/kafka/config.ts";
import type { Leader } from "../../../src/kafka/client/metadata.ts";
import {
  InitProducerId,
  type InitProducerIdResponse,
  type ProduceRequest,
  type ProduceResponse,
} from "../../../src/kafka/client/produce-apis.ts";
import type { ProduceAnswer } from "../../../src/kafka/client/produce-request.ts";
import type { OutgoingBatch } from "../../../src/kafka/client/producer-protocol.ts";
import { Sender, type SenderCluster } from "../../../src/kafka/client/sender.ts";
import { TransportError } from "../../../src/kafka/client/transport-error.ts";
import { BatchWriter } from "../../../src/kafka/records/batch-writer.ts";
import { silentLogger, type Logger } from "../../../src/logger.ts";
import { MockClock } from "../../../src/testing/mock-clock.ts";
import { read, values } from "../records/batches.ts";

/** A Produce request that waits for the test to answer it. */
export class Call {
  readonly nodeId: number;
  readonly request: ProduceRequest;
  readonly timeoutMs: number;
  readonly #settle: PromiseWithResolvers<ProduceResponse> = Promise.withResolvers();

  constructor(nodeId: number, request: ProduceRequest, timeoutMs: number) {
    this.nodeId = nodeId;
    this.request = request;
    this.timeoutMs = timeoutMs;
  }

  get response(): Promise<ProduceResponse> {
    return this.#settle.promise;
  }

  /** What it holds, as `topic:index=value,value`. */
  get content(): string[] {
    return this.request.topics.flatMap(({ name, partitions }) =>
      partitions.map(({ index, records }) => `${name}:${index}=${values(read(Buffer.from(records))).join()}`),
    );
  }

  /** What its batches were sent under, as `index: id/epoch+sequence`. */
  get identities(): string[] {
    return this.request.topics.flatMap(({ partitions }) =>
      partitions.map(({ index, records }) => {
        const bytes = Buffer.from(records);
        return `${index}: ${bytes.readBigInt64BE(43)}/${bytes.readInt16BE(51)}+${bytes.readInt32BE(53)}`;
      }),
    );
  }

  /** The broker answers for each partition of the request; 0 and offset 100 x index unless said otherwise. */
  async answer(answers: Readonly<Record<number, Partial<ProduceAnswer> | "left out">> = {}): Promise<void> {
    this.#settle.resolve({
      topics: this.request.topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.flatMap(({ index }) => {
          const answer = answers[index] ?? {};
          if (answer === "left out") return [];
          return [
            {
              index,
              errorCode: 0,
              errorMessage: null,
              baseOffset: 100 * index,
              logAppendTimeMs: -1,
              recordErrors: [],
              currentLeader: { leaderId: -1, leaderEpoch: -1 },
              ...answer,
            },
          ];
        }),
      })),
    });
    await turn();
  }

  async fail(error: Error = new TransportError("The connection was lost.")): Promise<void> {
    this.#settle.reject(error);
    await turn();
  }
}

/** A sender whose cluster is the test. */
export class SenderHarness implements SenderCluster {
  readonly clock: MockClock = new MockClock();
  readonly sender: Sender;
  /** Requests without an answer that the test has not looked at yet. */
  calls: Call[] = [];
  /** What became of batches, as `delivered id@offset` and `failed id: message`. */
  readonly events: string[] = [];
  readonly warnings: string[] = [];
  refreshes = 0;
  /** Batches that were sent again. */
  retries = 0;
  /** What a connection ends in, when it cannot be made. */
  connectError: Error | undefined;
  /** What connections that are made now wait for. */
  connecting: PromiseWithResolvers<void> | undefined;
  /** What InitProducerId is answered with, once each, the last one for ever; an error fails the request. */
  producerIds: (Partial<InitProducerIdResponse> | Error)[] = [{ producerId: 7n }];
  /** How often an id was asked for. */
  idRequests = 0;
  /** Topic to the leaders of its partitions. */
  leaders: Record<string, (Leader | undefined)[]> = {
    t: [1, 1, 2].map((nodeId) => ({ nodeId, leaderEpoch: 5 })),
  };
  #nextId = 1;
  readonly #listeners = new Set<() => void>();

  constructor(settings: Partial<ResolvedProducerConfig> = {}) {
    const warn: Logger["warn"] = (_fields, message) => this.warnings.push(message);
    this.sender = new Sender({
      cluster: this,
      config: { ...resolveProducerConfig({ "bootstrap.servers": "broker:9092" }), ...settings },
      clock: this.clock,
      logger: { ...silentLogger, warn, error: warn },
      events: {
        delivered: (batches) => {
          for (const { id, baseOffset, appendTimeMs } of batches) {
            this.events.push(
              `delivered ${id}@${baseOffset}` + (appendTimeMs < 0 ? "" : ` at ${appendTimeMs}`),
            );
          }
        },
        failed: (ids, error) => {
          for (const id of ids) this.events.push(`failed ${id}: ${error.message}`);
        },
        retried: (batches) => (this.retries += batches),
        fatal: (error) => this.events.push(`fatal: ${error.message}`),
      },
    });
  }

  /** Adds batches, given as `index=value,value` (of the topic `t`), with ids from 1 up; what they cause has happened. */
  async add(
    batches: readonly string[],
    timeoutMs: number = 60_000,
    changes: Partial<OutgoingBatch> = {},
  ): Promise<void> {
    this.sender.add(batches.map((batch) => ({ ...this.#write(batch, timeoutMs), ...changes })));
    await turn();
  }

  async advance(ms: number): Promise<void> {
    this.clock.advance(ms);
    await turn();
  }

  /** The one request that waits. */
  call(): Call {
    if (this.calls.length !== 1) throw new Error(`${this.calls.length} requests, not one`);
    return this.calls.pop()!;
  }

  changed(): void {
    for (const listener of this.#listeners) listener();
  }

  leader(topic: string, index: number): Leader | undefined {
    return this.leaders[topic]?.[index];
  }

  updateLeader(topic: string, index: number, nodeId: number, leaderEpoch: number): void {
    const known = this.leader(topic, index);
    if (known !== undefined && known.leaderEpoch < leaderEpoch)
      this.leaders[topic]![index] = { nodeId, leaderEpoch };
  }

  refresh(): Promise<void> {
    this.refreshes++;
    return Promise.resolve();
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  anyBroker(): ReturnType<SenderCluster["anyBroker"]> {
    return Promise.resolve({
      request: (api) => {
        assert.equal(api.key, InitProducerId.key);
        this.idRequests++;
        const answer = this.producerIds.length > 1 ? this.producerIds.shift()! : this.producerIds[0]!;
        if (answer instanceof Error) return Promise.reject(answer);
        return Promise.resolve({ errorCode: 0, producerId: -1n, producerEpoch: 0, ...answer } as never);
      },
    });
  }

  connection(nodeId: number): ReturnType<SenderCluster["connection"]> {
    if (this.connectError !== undefined) return Promise.reject(this.connectError);
    const connection: Awaited<ReturnType<SenderCluster["connection"]>> = {
      request: async (_api, [request], { timeoutMs }) => {
        const call = new Call(nodeId, request as ProduceRequest, timeoutMs);
        this.calls.push(call);
        return (await call.response) as never;
      },
    };
    return (this.connecting?.promise ?? Promise.resolve()).then(() => connection);
  }

  #write(batch: string, timeoutMs: number): OutgoingBatch {
    const [index, content] = batch.split("=") as [string, string];
    const writer = new BatchWriter(10_000_000, 0);
    for (const value of content.split(",")) writer.append(new KafkaPayload(null, value), 1_700_000_000_000);
    return { id: this.#nextId++, topic: "t", index: Number(index), ...writer.finish(), timeoutMs };
  }
}
