import { InvalidStateError } from "../errors.ts";
import type { BrokerMessage } from "../message/message.ts";
import { KafkaPayload } from "../message/payload.ts";
import { Topic } from "../message/topic.ts";
import type { ProducesMessages } from "../strategies/produce.ts";
import type { DlqProducer } from "./producer.ts";

/**
 * The headers that say of a dead letter what it was, behind the message's own. Values are text; where a name occurs
 * more than once (the message was a dead letter before), the last one is of this time.
 */
export const DlqHeader = {
  TOPIC: "original_topic",
  PARTITION: "original_partition",
  OFFSET: "original_offset",
  /** In ms since the epoch. Not there for a message without a timestamp. */
  TIMESTAMP: "original_timestamp_ms",
  /** Not there for an invalid message that was thrown without a reason. */
  REASON: "dlq_reason",
} as const;

/**
 * Sends dead letters to a topic, with {@link DlqHeader}s: key and value as they were, and the headers of the message
 * itself stay as they are. A message that is in that topic already is refused: who reads his own dead letters would write
 * them anew for ever. (Arroyo's `KafkaDlqProducer`.)
 */
export class KafkaDlqProducer implements DlqProducer<KafkaPayload> {
  readonly #producer: ProducesMessages<KafkaPayload>;
  readonly #topic: Topic;

  /** @throws ConfigurationError for a topic that Kafka does not allow. */
  constructor(producer: ProducesMessages<KafkaPayload>, topic: Topic | string) {
    this.#producer = producer;
    this.#topic = Topic.of(topic);
  }

  readonly produce = (message: BrokerMessage<KafkaPayload>, reason: string | undefined): Promise<unknown> => {
    const { payload, partition, offset, timestampMs } = message;
    if (partition.topic.name === this.#topic.name) {
      const problem = `It is in ${this.#topic.name} already: do not read the dead letter topic, or send what is invalid there elsewhere.`;
      return Promise.reject(new InvalidStateError(problem));
    }
    const headers: [string, Buffer | string | null][] = payload.headers.map(([name, value]) => [name, value]);
    headers.push(
      [DlqHeader.TOPIC, partition.topic.name],
      [DlqHeader.PARTITION, String(partition.index)],
      [DlqHeader.OFFSET, String(offset)],
    );
    if (timestampMs !== undefined) headers.push([DlqHeader.TIMESTAMP, String(timestampMs)]);
    if (reason !== undefined) headers.push([DlqHeader.REASON, reason]);
    return this.#producer.produce(this.#topic, new KafkaPayload(payload.key, payload.value, headers));
  };
}
