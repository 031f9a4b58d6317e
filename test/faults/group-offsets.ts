import { silentLogger, systemClock } from "../../src/index.ts";
import { OffsetFetch } from "../../src/kafka/client/apis.ts";
import { Cluster } from "../../src/kafka/client/cluster.ts";
import { resolveConsumerConfig } from "../../src/kafka/config.ts";

const QUESTION_MS = 3_000;

/** Asks a Kafka in trouble how far groups have committed. */
export class GroupOffsets implements AsyncDisposable {
  readonly #cluster: Cluster;

  constructor(servers: string) {
    const config = resolveConsumerConfig({ "bootstrap.servers": servers, "group.id": "judge" });
    this.#cluster = new Cluster({ config, clock: systemClock, logger: silentLogger });
  }

  /** By partition. Throws when there is no answer within three seconds. */
  async committed(groupId: string, topic: string): Promise<Map<number, number>> {
    const tooLate = Promise.withResolvers<never>();
    const timer = setTimeout(() => tooLate.reject(new Error("the coordinator does not answer")), QUESTION_MS);
    const question = this.#ask(groupId, topic);
    question.catch(() => {});
    try {
      return await Promise.race([question, tooLate.promise]);
    } catch (error) {
      this.#cluster.forgetCoordinator(groupId);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cluster.close();
  }

  async #ask(groupId: string, name: string): Promise<Map<number, number>> {
    const connection = await this.#cluster.connection(await this.#cluster.coordinator(groupId), "group");
    const answer = await connection.request(
      OffsetFetch,
      [{ groupId, memberId: null, memberEpoch: -1, topics: null, requireStable: false }],
      { timeoutMs: QUESTION_MS },
    );
    const partitions = answer.topics.find((topic) => topic.name === name)?.partitions ?? [];
    const errorCode =
      answer.errorCode || partitions.find((partition) => partition.errorCode !== 0)?.errorCode;
    if (errorCode) throw new Error(`the coordinator answers with error ${errorCode}`);
    return new Map(
      partitions
        .filter(({ committedOffset }) => committedOffset >= 0)
        .map(({ partitionIndex, committedOffset }) => [partitionIndex, committedOffset]),
    );
  }
}
