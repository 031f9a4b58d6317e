import { ConsumerError, OffsetOutOfRange } from "../errors.ts";
import type { BrokerMessage } from "../message/message.ts";
import type { Partition } from "../message/partition.ts";
import type { KafkaPayload } from "../message/payload.ts";
import type { ConsumerCommand, FetchedRecords } from "./client/protocol.ts";
import { RecordDecoder } from "./records/record-decoder.ts";

interface PendingReread {
  readonly partition: Partition;
  readonly offset: number;
  readonly resolve: (message: BrokerMessage<KafkaPayload>) => void;
  readonly reject: (error: Error) => void;
}

/** Messages that the I/O thread has been asked to read again. */
export class Rereads {
  readonly #send: (command: ConsumerCommand) => void;
  readonly #pending = new Map<number, PendingReread>();
  #lastId = 0;

  constructor(send: (command: ConsumerCommand) => void) {
    this.#send = send;
  }

  read(partition: Partition, offset: number): Promise<BrokerMessage<KafkaPayload>> {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { partition, offset, resolve, reject });
      this.#send({ type: "reread", id, topic: partition.topic.name, index: partition.index, offset });
    });
  }

  answered(id: number, records: FetchedRecords): void {
    const pending = this.#take(id);
    if (pending === undefined) return;
    const { partition, offset } = pending;
    const messages: BrokerMessage<KafkaPayload>[] = [];
    try {
      new RecordDecoder(partition, records).next(1, messages);
    } catch (error) {
      pending.reject(
        new ConsumerError(`${partition} offset ${offset} cannot be read again.`, { cause: error }),
      );
      return;
    }
    const [message] = messages;
    // Compaction may have removed it: what comes is the next one then.
    if (message?.offset === offset) pending.resolve(message);
    else pending.reject(new OffsetOutOfRange(partition, offset));
  }

  failed(id: number, error: Error): void {
    this.#take(id)?.reject(error);
  }

  /** Fails everything that is still open. */
  fail(error: Error): void {
    for (const id of [...this.#pending.keys()]) this.#take(id)?.reject(error);
  }

  #take(id: number): PendingReread | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }
}
