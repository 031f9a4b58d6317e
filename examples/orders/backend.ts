import type { Consumer, KafkaPayload, Producer } from "../../src/index.ts";

/** Partition index to offset. */
export type Offsets = ReadonlyMap<number, number>;

/** What the example needs of a broker: its consumers and producers, and what an operator would ask it. */
export interface Backend extends AsyncDisposable {
  /** Where it is, for people. */
  readonly place: string;
  /** Makes the topics that are not there yet. */
  createTopics(topics: readonly string[], partitions: number): Promise<void>;
  /** A member of a group, which begins at the first message where the group has committed nothing. */
  consumer(group: string): Consumer<KafkaPayload>;
  producer(): Producer<KafkaPayload>;
  /** The offsets that the next messages will get. */
  endOffsets(topic: string): Promise<Offsets>;
  /** What a group has committed. */
  committed(group: string, topic: string): Promise<Offsets>;
}
