import type { BrokerMessage } from "../message/message.ts";
import type { Partition } from "../message/partition.ts";
import { KafkaPayload, bodySize } from "../message/payload.ts";

/** A run of messages of one partition, in the very list in which the consumer gave them. */
interface Run<T> {
  readonly messages: readonly BrokerMessage<T>[];
  readonly from: number;
  readonly to: number;
  readonly lastOffset: number;
  readonly bytes: number;
}

interface Runs<T> {
  readonly list: Run<T>[];
  count: number;
  bytes: number;
}

export interface MessageBufferLimits {
  readonly maxMessages: number;
  readonly maxBytes: number;
}

/**
 * Remembers messages that are not done yet, as the consumer gave them: no copy is made, neither of a payload nor of a
 * list. What goes beyond the limits is forgotten, the oldest first.
 */
export class UndoneMessages<T> {
  readonly #limits: MessageBufferLimits;
  readonly #partitions = new Map<Partition, Runs<T>>();

  constructor(limits: MessageBufferLimits) {
    this.#limits = limits;
  }

  /** Returns how many messages had to be forgotten, per partition. */
  add(messages: readonly BrokerMessage<T>[]): ReadonlyMap<Partition, number> {
    let forgotten: Map<Partition, number> | undefined;
    for (let from = 0; from < messages.length;) {
      const { partition } = messages[from]!;
      let bytes = 0;
      let to = from;
      for (; to < messages.length && messages[to]!.partition === partition; to++) {
        const { payload } = messages[to]!;
        if (payload instanceof KafkaPayload) bytes += bodySize(payload);
      }
      const count = this.#push(partition, {
        messages,
        from,
        to,
        bytes,
        lastOffset: messages[to - 1]!.offset,
      });
      if (count > 0) forgotten = (forgotten ?? new Map<Partition, number>()).set(partition, count);
      from = to;
    }
    return forgotten ?? NOTHING;
  }

  find(partition: Partition, offset: number): BrokerMessage<T> | undefined {
    for (const { messages, from, to, lastOffset } of this.#partitions.get(partition)?.list ?? []) {
      if (lastOffset < offset) continue;
      for (let at = from; at < to; at++) if (messages[at]!.offset === offset) return messages[at];
    }
    return undefined;
  }

  /** Everything before an offset is done. */
  done(partition: Partition, offset: number): void {
    const runs = this.#partitions.get(partition);
    while (runs !== undefined && runs.list.length > 0 && runs.list[0]!.lastOffset < offset) forgetFirst(runs);
  }

  remove(partition: Partition): void {
    this.#partitions.delete(partition);
  }

  /** How many messages are remembered, per partition. */
  *lengths(): IterableIterator<readonly [Partition, number]> {
    for (const [partition, { count }] of this.#partitions) yield [partition, count];
  }

  #push(partition: Partition, run: Run<T>): number {
    let runs = this.#partitions.get(partition);
    if (runs === undefined) this.#partitions.set(partition, (runs = { list: [], count: 0, bytes: 0 }));
    runs.list.push(run);
    runs.count += run.to - run.from;
    runs.bytes += run.bytes;
    let forgotten = 0;
    while (runs.count > this.#limits.maxMessages || runs.bytes > this.#limits.maxBytes) {
      forgotten += forgetFirst(runs);
    }
    return forgotten;
  }
}

const NOTHING: ReadonlyMap<Partition, number> = new Map();

function forgetFirst(runs: Runs<unknown>): number {
  const { from, to, bytes } = runs.list.shift()!;
  runs.count -= to - from;
  runs.bytes -= bytes;
  return to - from;
}
