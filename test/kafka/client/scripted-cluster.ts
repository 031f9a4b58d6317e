import type { Api, FetchRequest } from "../../../src/kafka/client/apis.ts";
import type { FetchCluster, FetchConnection } from "../../../src/kafka/client/fetcher.ts";
import type { Leader, TopicMetadata } from "../../../src/kafka/client/metadata.ts";
import { ResponseCursor } from "../../../src/kafka/client/response-cursor.ts";
import { TransportError } from "../../../src/kafka/client/transport-error.ts";
import { fetchResponseBody, TOPIC_ID, type PartitionBytes, type ResponseBytes } from "./fetch-bytes.ts";

/** A request that waits for the test to answer it. */
export class ScriptedCall {
  readonly connection: ScriptedConnection;
  readonly request: FetchRequest;
  readonly timeoutMs: number;
  readonly #settle: (outcome: { readonly body: Buffer } | { readonly error: Error }) => void;

  constructor(
    connection: ScriptedConnection,
    request: FetchRequest,
    timeoutMs: number,
    settle: (outcome: { readonly body: Buffer } | { readonly error: Error }) => void,
  ) {
    this.connection = connection;
    this.request = request;
    this.timeoutMs = timeoutMs;
    this.#settle = settle;
  }

  /** Partition index to what is asked of it. */
  get asks(): Map<number, FetchRequest["topics"][number]["partitions"][number]> {
    const all = this.request.topics.flatMap((topic) => topic.partitions);
    return new Map(all.map((ask) => [ask.partition, ask]));
  }

  /** The offset that is asked for, of each partition. */
  get offsets(): Record<number, number> {
    return Object.fromEntries([...this.asks].map(([index, ask]) => [index, ask.fetchOffset]));
  }

  /** Answers for partitions of the topic `orders`. */
  answer(partitions: readonly PartitionBytes[], rest: ResponseBytes = {}): void {
    this.answerWith(fetchResponseBody({ topics: [{ topicId: TOPIC_ID, partitions }], ...rest }));
  }

  answerWith(body: Buffer): void {
    this.connection.calls.delete(this);
    this.#settle({ body });
  }

  fail(error: Error = new TransportError("The connection was lost.")): void {
    this.connection.calls.delete(this);
    this.#settle({ error });
  }
}

export class ScriptedConnection implements FetchConnection {
  readonly nodeId: number;
  readonly purpose: string;
  readonly calls: Set<ScriptedCall> = new Set();
  alive = true;
  readonly #cluster: ScriptedCluster;

  constructor(cluster: ScriptedCluster, nodeId: number, purpose: string) {
    this.#cluster = cluster;
    this.nodeId = nodeId;
    this.purpose = purpose;
  }

  request<Request extends unknown[], Response>(
    api: Api<Request, Response>,
    [request]: Request,
    { timeoutMs }: { readonly timeoutMs: number },
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      const call = new ScriptedCall(this, request as FetchRequest, timeoutMs, (outcome) => {
        if ("error" in outcome) return reject(outcome.error);
        try {
          resolve(api.versions[0].read(new ResponseCursor(outcome.body, api.name)));
        } catch (error) {
          // As a connection says it.
          reject(new TransportError("answered with what cannot be read", { cause: error }));
        }
      });
      this.calls.add(call);
      this.#cluster.arrived(call);
    });
  }

  close(): void {
    this.lose();
  }

  /** Ends it, and everything that is under way on it. */
  lose(): void {
    this.alive = false;
    for (const call of [...this.calls]) call.fail();
  }
}

/** A cluster that says what the test wants, and whose brokers answer when the test wants. */
export class ScriptedCluster implements FetchCluster {
  readonly topics: Map<string, TopicMetadata> = new Map();
  readonly connections: ScriptedConnection[] = [];
  /** How often fresh metadata was asked for. */
  refreshes = 0;
  /** What a refresh brings, before it resolves. */
  onRefresh: () => void | Promise<void> = () => {};
  /** What a connection ends in, when it cannot be made. */
  connectError: Error | undefined;
  /** What making a connection waits for. */
  connect: () => Promise<void> = () => Promise.resolve();
  readonly #listeners = new Set<() => void>();
  readonly #calls: ScriptedCall[] = [];
  #waiting: ((call: ScriptedCall) => void) | undefined;

  constructor(leaders: readonly (Leader | undefined)[] = [{ nodeId: 1, leaderEpoch: 5 }]) {
    this.setLeaders(leaders);
  }

  /** Who leads the partitions of the topic `orders`. */
  setLeaders(leaders: readonly (Leader | undefined)[], topicId: string = TOPIC_ID): void {
    this.topics.set("orders", {
      name: "orders",
      topicId,
      errorCode: 0,
      isInternal: false,
      partitions: leaders.map((leader, index) => ({
        index,
        errorCode: 0,
        leader: leader?.nodeId ?? -1,
        leaderEpoch: leader?.leaderEpoch ?? -1,
      })),
    });
    this.changed();
  }

  setTopicError(errorCode: number): void {
    this.topics.set("orders", {
      name: "orders",
      topicId: TOPIC_ID,
      errorCode,
      isInternal: false,
      partitions: [],
    });
    this.changed();
  }

  changed(): void {
    for (const listener of this.#listeners) listener();
  }

  topic(name: string): TopicMetadata | undefined {
    return this.topics.get(name);
  }

  leader(topic: string, index: number): Leader | undefined {
    const partition = this.topics.get(topic)?.partitions[index];
    if (partition === undefined || partition.leader < 0) return undefined;
    return { nodeId: partition.leader, leaderEpoch: partition.leaderEpoch };
  }

  updateLeader(topic: string, index: number, nodeId: number, leaderEpoch: number): void {
    const known = this.topics.get(topic);
    if (known === undefined || (known.partitions[index]?.leaderEpoch ?? -1) >= leaderEpoch) return;
    const partitions = known.partitions.map((partition) =>
      partition.index === index ? { ...partition, leader: nodeId, leaderEpoch } : partition,
    );
    this.topics.set(topic, { ...known, partitions });
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async refresh(): Promise<void> {
    this.refreshes += 1;
    await this.onRefresh();
  }

  async connection(nodeId: number, purpose: string): Promise<FetchConnection> {
    if (this.connectError !== undefined) throw this.connectError;
    const open = this.connections.find(
      (connection) => connection.nodeId === nodeId && connection.purpose === purpose && connection.alive,
    );
    if (open !== undefined) return open;
    await this.connect();
    const connection = new ScriptedConnection(this, nodeId, purpose);
    this.connections.push(connection);
    return connection;
  }

  arrived(call: ScriptedCall): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) this.#calls.push(call);
    else waiting(call);
  }

  /** The next request that comes, or has come and was not looked at yet. */
  async next(): Promise<ScriptedCall> {
    const call = this.#calls.shift();
    if (call !== undefined) return call;
    return await new Promise((resolve, reject) => {
      // On the real clock: nothing but the test's end depends on it.
      const timer = setTimeout(() => reject(new Error("No request has come.")), 30_000);
      this.#waiting = (arrived) => {
        clearTimeout(timer);
        resolve(arrived);
      };
    });
  }

  /** Requests that have come and were not looked at yet. */
  get unseen(): number {
    return this.#calls.length;
  }
}
