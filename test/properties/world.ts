import assert from "node:assert/strict";
import { InvalidMessage, MESSAGE_REJECTED } from "../../src/errors.ts";
import { FILTERED_PAYLOAD } from "../../src/message/filtered.ts";
import { BrokerMessage, isFiltered, type Message, type Submitted } from "../../src/message/message.ts";
import { Partition } from "../../src/message/partition.ts";
import type { ProcessingStrategy } from "../../src/strategies/strategy.ts";

/** A letter for each partition, so that a counterexample can be read: message `a3` is the one at offset 3 of `a`. */
const PARTITIONS = new Map(
  Array.from("abc").map((letter, index) => [letter, Partition.of("property", index)]),
);

/** What comes in: `invalidAt` is the step that finds it invalid, if that step gets to see it with its position. */
export interface Incoming {
  readonly partition: "a" | "b" | "c";
  readonly kind: "valid" | "filtered";
  readonly invalidAt: number | undefined;
}

/** The trouble that the end of the chain makes, each at the how many-th offer, counted over the whole run. */
export interface Trouble {
  readonly rejected: ReadonlySet<number>;
  readonly invalid: ReadonlySet<number>;
  readonly failed: ReadonlySet<number>;
}

interface Known {
  readonly id: string;
  readonly message: Submitted<unknown>;
  readonly partition: Partition;
  readonly offset: number;
  readonly invalidAt: number | undefined;
  /** In any life of the chain. */
  done: boolean;
}

export class SinkFailure extends Error {}

/**
 * The messages of a run and what became of them, over all the lives of the chain: complains when a commit passes what is
 * not done, when something comes to two ends in one life of the chain, or comes out of order.
 */
export class World {
  /** Every message, in the order in which it comes. */
  readonly known: readonly Known[];
  readonly committed: Map<Partition, number> = new Map();
  /** What went wrong where nobody could be told. */
  readonly complaints: string[] = [];
  readonly #byPosition = new Map<Partition, Known[]>();
  readonly #trouble: Trouble;
  #offers = 0;

  constructor(incoming: readonly Incoming[], trouble: Trouble) {
    this.#trouble = trouble;
    this.known = incoming.map(({ partition: letter, kind, invalidAt }) => {
      const partition = PARTITIONS.get(letter)!;
      const positions = this.#byPosition.get(partition) ?? [];
      this.#byPosition.set(partition, positions);
      const offset = positions.length;
      const id = `${letter}${offset}`;
      const payload = kind === "filtered" ? FILTERED_PAYLOAD : id;
      const message = new BrokerMessage(payload, partition, offset, offset) as Submitted<unknown>;
      const known = { id, message, partition, offset, invalidAt, done: kind === "filtered" };
      positions.push(known);
      return known;
    });
  }

  /** What a member gets that takes over: everything that is not committed. */
  get uncommitted(): readonly Known[] {
    return this.known.filter(({ partition, offset }) => offset >= (this.committed.get(partition) ?? 0));
  }

  at(partition: Partition, offset: number): Known {
    const known = this.#byPosition.get(partition)?.[offset];
    assert.ok(known, `nobody sent ${partition} offset ${offset}`);
    return known;
  }

  /** The trouble for an offer to the end of the chain. */
  makeTrouble(offered: Submitted<unknown>): void {
    const offer = this.#offers++;
    if (this.#trouble.rejected.has(offer)) throw MESSAGE_REJECTED;
    if (this.#trouble.failed.has(offer)) throw new SinkFailure();
    if (!this.#trouble.invalid.has(offer) || isFiltered(offered)) return;
    const item = positionedIn(offered)[0];
    if (item !== undefined) throw InvalidMessage.from(item);
  }
}

/** One life of a chain: from its assignment to its end. */
export class Life {
  readonly #world: World;
  /** How everything ended that ended: handed on to the end of the chain, dropped by a filter, or reported. */
  readonly #ends = new Map<string, string>();
  readonly #lastOut = new Map<Partition, number>();
  readonly #calls = new Set<string>();
  readonly #running = new Set<string>();
  over = false;

  constructor(world: World) {
    this.#world = world;
  }

  /** A step's function is called: throws what it finds invalid. */
  work(step: number, message: Message<unknown>): void {
    const call = `step ${step} on ${idsIn(message.payload).join()}`;
    this.#check(!this.#calls.has(call), `ran twice: ${call}`);
    this.#calls.add(call);
    for (const item of positionedIn(message)) {
      if (this.#world.at(item.partition, item.offset).invalidAt === step) throw InvalidMessage.from(item);
    }
  }

  /** Runs async work that must not run twice at once under the same name. */
  async alone<R>(name: string, run: () => Promise<R>): Promise<R> {
    this.#check(!this.#running.has(name), `at once: ${name}`);
    this.#running.add(name);
    try {
      return await run();
    } finally {
      this.#running.delete(name);
    }
  }

  dropped(payload: unknown): void {
    for (const id of idsIn(payload)) this.#end(id, "dropped");
  }

  reported(error: InvalidMessage): void {
    this.#end(this.#world.at(error.partition, error.offset).id, "reported");
  }

  /** Something reached the end of the chain and was taken. */
  out(message: Submitted<unknown>): void {
    this.#check(!this.over, "something went on after the end");
    if (!isFiltered(message)) {
      for (const id of idsIn(message.payload)) {
        this.#end(id, "handed on");
        this.#inOrder(id);
      }
    }
    for (const [partition, offset] of message.committable) this.#commit(partition, offset);
  }

  #inOrder(id: string): void {
    const partition = PARTITIONS.get(id[0]!)!;
    const offset = Number.parseInt(id.slice(1), 10);
    const last = this.#lastOut.get(partition) ?? -1;
    this.#check(offset >= last, `${id} came out after offset ${last}`);
    this.#lastOut.set(partition, offset);
  }

  #commit(partition: Partition, offset: number): void {
    const { committed } = this.#world;
    const before = committed.get(partition) ?? 0;
    // In a later life, what was done but not committed comes again.
    committed.set(partition, Math.max(before, offset));
    for (let undone = before; undone < offset; undone++) {
      const known = this.#world.at(partition, undone);
      this.#check(known.done, `committed up to ${partition} offset ${offset} before ${known.id} was done`);
    }
  }

  #end(id: string, end: string): void {
    const already = this.#ends.get(id);
    this.#check(already === undefined, `${id} was ${already}, and then ${end}`);
    this.#ends.set(id, end);
    const base = id.split("/", 1)[0]!;
    const known = this.#world.at(PARTITIONS.get(base[0]!)!, Number(base.slice(1)));
    known.done ||= this.#hasEnded(base);
  }

  /** Whether a message has come to an end, or all the parts that were made of it. */
  #hasEnded(id: string): boolean {
    if (this.#ends.has(id)) return true;
    return (
      [...this.#ends.keys()].some((other) => other.startsWith(`${id}/`)) &&
      this.#hasEnded(`${id}/0`) &&
      this.#hasEnded(`${id}/1`)
    );
  }

  #check(holds: boolean, complaint: string): void {
    if (!holds) this.#world.complaints.push(complaint);
  }
}

/** The end of a chain. */
export class End implements ProcessingStrategy<unknown> {
  readonly name = "End";
  readonly #world: World;
  readonly #life: Life;

  constructor(world: World, life: Life) {
    this.#world = world;
    this.#life = life;
  }

  submit(message: Submitted<unknown>): void {
    this.#world.makeTrouble(message);
    this.#life.out(message);
  }

  poll(): void {}
  close(): void {}

  terminate(): void {
    this.#life.over = true;
  }

  async join(): Promise<void> {
    this.#life.over = true;
  }
}

/** The ids in a payload: its own, or those in a list of payloads or of messages. */
export function idsIn(payload: unknown): readonly string[] {
  if (typeof payload === "string") return [payload];
  assert.ok(Array.isArray(payload));
  return payload.flatMap((item: unknown) => idsIn(isMessage(item) ? item.payload : item));
}

/** The messages at hand that have a position: the message itself, or those of its batch. */
function positionedIn(message: Message<unknown>): readonly BrokerMessage<unknown>[] {
  if (message.partition !== undefined) return [message];
  if (!Array.isArray(message.payload)) return [];
  return message.payload.filter((item: unknown) => item instanceof BrokerMessage);
}

export function isMessage(value: unknown): value is Message<unknown> {
  return typeof value === "object" && value !== null && "payload" in value;
}
