import type { Api } from "../../../src/kafka/client/apis.ts";
import type { Leader, TopicMetadata } from "../../../src/kafka/client/metadata.ts";
import { TOPIC_ID } from "./fetch-bytes.ts";

/** A cluster whose brokers all answer one kind of request, as a function of the test says. */
export class AnsweringCluster<Request, Response> {
  /** What was asked, and of whom. */
  readonly asked: { readonly nodeId: number; readonly purpose: string; readonly request: Request }[] = [];
  readonly forgotten: string[] = [];
  refreshes = 0;
  answer: (request: Request, nodeId: number) => Response | Promise<Response> = () => {
    throw new Error("The test did not say what to answer.");
  };
  /** May reject, or never come to an end. */
  connect: () => Promise<void> = () => Promise.resolve();
  coordinatorOf: () => Promise<number> = () => Promise.resolve(1);
  onRefresh: () => void | Promise<void> = () => {};
  #topic: TopicMetadata | undefined;

  constructor(leaders: readonly (number | undefined)[] = []) {
    this.setLeaders(leaders);
  }

  /** Node ids of the leaders of the topic `orders`. */
  setLeaders(leaders: readonly (number | undefined)[], topicId: string = TOPIC_ID): void {
    const partitions = leaders.map((leader, index) => ({
      index,
      errorCode: 0,
      leader: leader ?? -1,
      leaderEpoch: 5,
    }));
    this.#topic = { name: "orders", topicId, errorCode: 0, isInternal: false, partitions };
  }

  setTopicError(errorCode: number): void {
    this.#topic = { name: "orders", topicId: TOPIC_ID, errorCode, isInternal: false, partitions: [] };
  }

  topic(name: string): TopicMetadata | undefined {
    return name === "orders" ? this.#topic : undefined;
  }

  leader(topic: string, index: number): Leader | undefined {
    const partition = this.topic(topic)?.partitions[index];
    if (partition === undefined || partition.leader < 0) return undefined;
    return { nodeId: partition.leader, leaderEpoch: partition.leaderEpoch };
  }

  async refresh(): Promise<void> {
    this.refreshes += 1;
    await this.onRefresh();
  }

  coordinator(_groupId: string): Promise<number> {
    return this.coordinatorOf();
  }

  forgetCoordinator(groupId: string): void {
    this.forgotten.push(groupId);
  }

  async connection(
    nodeId: number,
    purpose: string,
  ): Promise<{ request<Q extends unknown[], R>(api: Api<Q, R>, request: Q): Promise<R> }> {
    await this.connect();
    return {
      request: async <Q extends unknown[], R>(_api: Api<Q, R>, [request]: Q): Promise<R> => {
        this.asked.push({ nodeId, purpose, request: request as Request });
        return (await this.answer(request as Request, nodeId)) as unknown as R;
      },
    };
  }
}
