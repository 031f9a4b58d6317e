import { ConfigurationError } from "../errors.ts";
import { Topic } from "./topic.ts";

const MAX_INDEX = 2 ** 31 - 1;

/**
 * A partition of a topic. There is one object per topic and index in the process, so that it can be the key of a Map:
 * take it from {@link Partition.of}. (Arroyo's `Partition`.)
 */
export class Partition {
  readonly topic: Topic;
  readonly index: number;

  private constructor(topic: Topic, index: number) {
    this.topic = topic;
    this.index = index;
  }

  /** @throws ConfigurationError for a name that Kafka does not allow, or an index that is no whole number from 0 up. */
  static of(topic: Topic | string, index: number): Partition {
    const name = typeof topic === "string" ? topic : topic.name;
    let ofTopic = partitions.get(name);
    if (ofTopic === undefined) {
      Topic.of(name);
      ofTopic = new Map();
      partitions.set(name, ofTopic);
    }
    let partition = ofTopic.get(index);
    if (partition === undefined) {
      if (!Number.isInteger(index) || index < 0 || index > MAX_INDEX) {
        throw new ConfigurationError(
          `Partition index ${index} of topic ${name} is not a whole number from 0 up.`,
        );
      }
      partition = new Partition(Topic.of(name), index);
      ofTopic.set(index, partition);
    }
    return partition;
  }

  /** `topic:index`, for logs and tests. */
  toString(): string {
    return `${this.topic.name}:${this.index}`;
  }
}

const partitions = new Map<string, Map<number, Partition>>();
