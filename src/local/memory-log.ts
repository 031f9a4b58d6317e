import { BrokerMessage } from "../message/message.ts";
import type { Partition } from "../message/partition.ts";
import type { KafkaPayload } from "../message/payload.ts";
import { GrowListeners, type Append, type LogReader, type PartitionLog } from "./partition-log.ts";

/** A log that is gone with the process. It keeps the payloads as they are handed in, and hands out the same ones. */
export class MemoryLog implements PartitionLog, LogReader {
  readonly partition: Partition;
  readonly #messages: BrokerMessage<KafkaPayload>[] = [];
  readonly #listeners = new GrowListeners();

  constructor(partition: Partition) {
    this.partition = partition;
  }

  get endOffset(): number {
    return this.#messages.length;
  }

  append({ payload, timestampMs, stored }: Append): void {
    const offset = this.#messages.length;
    this.#messages.push(new BrokerMessage(payload, this.partition, offset, timestampMs));
    stored(offset);
    this.#listeners.call();
  }

  onGrow(listener: () => void): () => void {
    return this.#listeners.add(listener);
  }

  reader(): LogReader {
    return this;
  }

  take(offset: number, maxMessages: number, into: BrokerMessage<KafkaPayload>[]): void {
    const end = Math.min(offset + maxMessages, this.#messages.length);
    for (let at = offset; at < end; at++) into.push(this.#messages[at]!);
  }

  /** Everything is at hand always. */
  async load(): Promise<void> {}
}
