import assert from "node:assert/strict";
import { InvalidMessage } from "../errors.ts";
import { FILTERED_PAYLOAD } from "../message/filtered.ts";
import { BrokerMessage, isFiltered, type Message, type Submitted } from "../message/message.ts";
import { Partition } from "../message/partition.ts";

/** How the messages of a contract run look, and how to know them again in what comes out. */
export interface ContractMessages<T> {
  /** The message of a number, at a position. Default: a broker message with the number as its payload. */
  readonly message?: ((n: number, partition: Partition, offset: number) => Message<T>) | undefined;
  /** The numbers of the messages that went into a payload. Default: those in it, in arrays, and in arrays of messages. */
  readonly trace?: ((payload: unknown) => readonly number[]) | undefined;
  /** How often each number is to come out. Default 1. */
  readonly copies?: number | undefined;
  /** Whether the strategy drops the message with this number, and only commits it. Default: none. */
  readonly drops?: ((n: number) => boolean) | undefined;
}

const PARTITIONS = [Partition.of("contract", 0), Partition.of("contract", 1)] as const;

interface Entry<T> {
  readonly n: number;
  readonly message: Submitted<T>;
  readonly partition: Partition;
  readonly offset: number;
  works: number;
  outputs: number;
  reports: number;
  /** The next step found it invalid, and sees to its commit itself. */
  leftToNext: boolean;
}

function numbersIn(payload: unknown): readonly number[] {
  if (typeof payload === "number") return [payload];
  if (!Array.isArray(payload)) return [];
  return payload.flatMap((item: unknown) =>
    item instanceof Object && "payload" in item ? numbersIn(item.payload) : numbersIn(item),
  );
}

/**
 * The messages of one contract run, numbered, on two partitions in turn, and what became of each. Complains at once
 * when something comes out twice or out of order, or when a commit passes what is not done.
 */
export class ContractLedger<T> {
  readonly #messages: ContractMessages<T>;
  readonly #copies: number;
  readonly #entries: Entry<T>[] = [];
  readonly #committed = new Map<Partition, number>();
  readonly #lastOut = new Map<Partition, number>();
  #works = 0;

  constructor(messages: ContractMessages<T>) {
    this.#messages = messages;
    this.#copies = messages.copies ?? 1;
  }

  /** The next message: with a payload, or one that was filtered further up. */
  next(filtered: boolean): Submitted<T> {
    const n = this.#entries.length;
    const partition = PARTITIONS[n % PARTITIONS.length]!;
    const offset = 10 + Math.floor(n / PARTITIONS.length);
    const make = this.#messages.message ?? defaultMessage;
    const message = filtered
      ? new BrokerMessage(FILTERED_PAYLOAD, partition, offset, n)
      : make(n, partition, offset);
    const entry = { n, message, partition, offset, works: 0, outputs: 0, reports: 0, leftToNext: false };
    this.#entries.push(entry);
    return message;
  }

  /** How many messages there are. */
  get size(): number {
    return this.#entries.length;
  }

  /** How often something came out with a payload. */
  get outputs(): number {
    return this.#entries.reduce((sum, entry) => sum + entry.outputs, 0);
  }

  /** How far each partition is committed. */
  get committed(): ReadonlyMap<Partition, number> {
    return new Map(this.#committed);
  }

  /** The numbers of the messages that were reported as invalid, each as often as it was. */
  get reported(): readonly number[] {
    return this.#entries.flatMap((entry) => Array.from({ length: entry.reports }, () => entry.n));
  }

  numberOf(payload: T): number {
    const [n] = this.#trace(payload);
    assert.ok(n !== undefined, "the function was given a payload that no message has");
    return n;
  }

  invalid(n: number): InvalidMessage {
    const { partition, offset } = this.#entry(n);
    return new InvalidMessage(partition, offset, { reason: "as the contract wants it" });
  }

  /** The function was called. Returns how many calls there were before. */
  worked(n: number): number {
    this.#entry(n).works++;
    return this.#works++;
  }

  noteReport(error: InvalidMessage): void {
    const entry = this.#at(error.partition, error.offset);
    if (entry === undefined) return;
    entry.reports++;
    assert.equal(entry.reports, 1, `message ${entry.n} was reported more than once`);
    assert.equal(entry.outputs, 0, `message ${entry.n} went on and was reported`);
    if (entry.leftToNext) this.#commit(entry.partition, entry.offset + 1);
  }

  noteOutput(message: Submitted<unknown>): void {
    if (!isFiltered(message)) {
      for (const n of this.#trace(message.payload)) this.#out(this.#entry(n));
    }
    for (const [partition, offset] of message.committable) this.#commit(partition, offset);
  }

  /**
   * What the next step may throw about something that it is offered: about the message itself, or one in its batch.
   * Undefined for one that has no position.
   */
  invalidIn(offered: Submitted<unknown>, needsCommit: boolean): InvalidMessage | undefined {
    if (isFiltered(offered)) return undefined;
    const items: readonly Message<unknown>[] =
      offered.partition === undefined && Array.isArray(offered.payload) ? offered.payload : [offered];
    const item = items[items.length >> 1];
    if (item?.partition === undefined) return undefined;
    this.#at(item.partition, item.offset)!.leftToNext = !needsCommit && item === offered;
    return InvalidMessage.from(item, { needsCommit });
  }

  /** Everything is done, once, and committed. */
  assertAllDone(): void {
    for (const entry of this.#entries) {
      assert.ok(this.#isDone(entry), `message ${entry.n} was lost: it neither came out nor was reported`);
      assert.ok(entry.works <= 1, `the function was run ${entry.works} times for message ${entry.n}`);
      assert.ok(
        entry.works === 0 || !isFiltered(entry.message),
        `the function was run for the filtered message ${entry.n}`,
      );
    }
    for (const partition of PARTITIONS) {
      const last = this.#entries.findLast((entry) => entry.partition === partition);
      if (last === undefined) continue;
      const committed = this.#committed.get(partition) ?? 0;
      assert.ok(
        committed >= last.offset + 1,
        `${partition} is committed up to ${committed} only, and not up to ${last.offset + 1}`,
      );
    }
  }

  /** A message that was submitted did not go on, nor was it committed. */
  assertNotDone(n: number): void {
    const entry = this.#entry(n);
    assert.equal(entry.outputs, 0, `message ${n} went on`);
    const committed = this.#committed.get(entry.partition) ?? 0;
    assert.ok(committed <= entry.offset, `message ${n} was committed`);
  }

  #trace(payload: unknown): readonly number[] {
    return this.#messages.trace?.(payload) ?? numbersIn(payload);
  }

  #entry(n: number): Entry<T> {
    const entry = this.#entries[n];
    assert.ok(entry, `there is no message ${n}`);
    return entry;
  }

  #at(partition: Partition, offset: number): Entry<T> | undefined {
    return this.#entries.find((entry) => entry.partition === partition && entry.offset === offset);
  }

  #out(entry: Entry<T>): void {
    const { n, partition } = entry;
    entry.outputs++;
    assert.ok(entry.outputs <= this.#copies, `message ${n} went on ${entry.outputs} times`);
    assert.equal(entry.reports, 0, `message ${n} was reported and went on`);
    const last = this.#lastOut.get(partition) ?? -1;
    assert.ok(last <= n, `message ${n} went on after message ${last} of the same partition`);
    this.#lastOut.set(partition, n);
  }

  #commit(partition: Partition, offset: number): void {
    const committed = this.#committed.get(partition) ?? 0;
    assert.ok(offset >= committed, `${partition} was committed up to ${committed}, then up to ${offset}`);
    for (const entry of this.#entries) {
      if (entry.partition !== partition || entry.offset >= offset) continue;
      assert.ok(
        this.#isDone(entry),
        `${partition} was committed up to ${offset} before message ${entry.n} was done`,
      );
    }
    const known = this.#entries.some((entry) => entry.partition === partition && entry.offset === offset - 1);
    assert.ok(known, `${partition} was committed up to ${offset}, which was not submitted`);
    this.#committed.set(partition, offset);
  }

  #isDone(entry: Entry<T>): boolean {
    return (
      isFiltered(entry.message) ||
      entry.reports > 0 ||
      entry.outputs === this.#copies ||
      (this.#messages.drops?.(entry.n) ?? false)
    );
  }
}

function defaultMessage<T>(n: number, partition: Partition, offset: number): Message<T> {
  return new BrokerMessage(n as T, partition, offset, n);
}
