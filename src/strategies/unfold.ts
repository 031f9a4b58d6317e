import { InvalidMessage, InvalidStateError, MESSAGE_REJECTED, MessageRejected } from "../errors.ts";
import { FILTERED_PAYLOAD } from "../message/filtered.ts";
import {
  type Committable,
  DerivedMessage,
  isFiltered,
  type Message,
  type Submitted,
} from "../message/message.ts";
import type { Partition } from "../message/partition.ts";
import { Drain } from "./drain.ts";
import { isAbout, takeOverCommit, withoutItem } from "./invalid.ts";
import { Lifecycle } from "./lifecycle.ts";
import { Outlet } from "./outlet.ts";
import { detachedRuntime } from "./runtime.ts";
import type { ProcessingStrategy, StrategyRuntime } from "./strategy.ts";
import { assertSync, type Sync } from "./sync.ts";

const NO_OFFSETS: Committable = new Map();

/**
 * A part of a message, for the generator of {@link Unfold}: it commits nothing itself, the last of the parts commits
 * the whole message.
 */
export function part<U>(payload: U, timestampMs?: number): DerivedMessage<U> {
  return new DerivedMessage(payload, NO_OFFSETS, timestampMs);
}

/**
 * Makes parts of each message and hands them on one by one. (Arroyo's `Unfold`.)
 *
 * ```ts
 * new Unfold((order: Message<Order>) => order.payload.lines.map((line) => part(line)), next)
 * ```
 *
 * The generator runs once per message, and makes all parts before the first is handed on. The message is committed
 * when the last of its parts is done; one without parts is committed in its turn. A part may bring offsets of its own
 * (a message of a batch does): it commits these when it is done, so make it with `message.replace` only if it is the
 * only part. The generator may throw {@link InvalidMessage} about the message.
 *
 * A step behind this one may throw {@link InvalidMessage} about a part that has a position of its own, or (for a part
 * that has none) about the message that it was made of: that part goes no further, the others do, and the message is
 * dead-lettered once.
 */
export class Unfold<T, U> implements ProcessingStrategy<T> {
  readonly next: ProcessingStrategy<U>;
  readonly #generator: (message: Message<T>) => Sync<Iterable<Message<U>>>;
  readonly #lifecycle: Lifecycle;
  readonly #outlet: Outlet<U>;
  readonly #drain = new Drain();
  #runtime: StrategyRuntime = detachedRuntime;
  /** The parts of `#origin`, of which those before `#at` were handed on. */
  #parts: Submitted<U>[] = [];
  #at = 0;
  #origin: Message<T> | undefined;
  #originInvalid = false;
  /** About a part; came when the message that is submitted was taken already. Nothing goes on before it is reported. */
  #deferred: InvalidMessage | undefined;
  /** The last one that came instead of an answer about the part that was offered. */
  #unplaced: InvalidMessage | undefined;

  constructor(
    generator: (message: Message<T>) => Sync<Iterable<Message<U>>>,
    next: ProcessingStrategy<NoInfer<U>>,
  ) {
    this.next = next;
    this.#generator = generator;
    this.#lifecycle = new Lifecycle(this.name);
    this.#outlet = new Outlet(next);
  }

  get name(): string {
    return "Unfold";
  }

  attach(runtime: StrategyRuntime): void {
    this.#runtime = runtime;
    this.#outlet.attach(runtime);
  }

  submit(message: Submitted<T>): void {
    if (!this.#lifecycle.open) this.#lifecycle.refuse("submit");
    if (!this.#handOn()) throw MESSAGE_REJECTED;
    if (isFiltered(message)) {
      this.next.submit(message);
      return;
    }
    this.#parts = this.#unfold(message);
    this.#origin = message;
    try {
      this.#handOn();
    } catch (error) {
      if (!InvalidMessage.is(error)) throw error;
      // The message that was submitted is taken, and its other parts are still to go on.
      this.#deferred = error;
      this.#runtime.wake();
    }
  }

  poll(): void {
    this.#lifecycle.assertPollable();
    try {
      // First of all, so that nothing is committed past it before it is reported.
      this.#throwDeferred();
      this.#outlet.poll();
      this.#handOn();
    } finally {
      this.#drain.notify();
    }
  }

  close(): void {
    this.#lifecycle.close();
  }

  terminate(): void {
    if (!this.#lifecycle.terminate()) return;
    this.#drain.notify();
    this.#outlet.terminate();
  }

  join(deadline: AbortSignal): Promise<void> {
    return this.#lifecycle.join(async () => {
      this.#throwDeferred();
      await this.#drain.until(() => this.#lifecycle.terminated || this.#handOn(), deadline);
      await this.#outlet.finish(deadline);
    });
  }

  #unfold(message: Message<T>): Submitted<U>[] {
    let parts: Message<U>[];
    try {
      const generated = this.#generator(message);
      assertSync(this.name, generated);
      // What Array.from makes of an async generator is an empty array, and the message would be gone.
      if (typeof (generated as Iterable<unknown> | undefined)?.[Symbol.iterator] !== "function") {
        throw new InvalidStateError(`The generator of ${this.name} returned no iterable of messages.`);
      }
      parts = Array.from(generated);
    } catch (error) {
      if (InvalidMessage.is(error) && isAbout(error, message) && takeOverCommit(error)) {
        this.#parts = [message.replace(FILTERED_PAYLOAD)];
        this.#runtime.wake();
      }
      throw error;
    }
    for (const { payload } of parts) {
      if (typeof payload === "object") assertSync(this.name, payload);
    }
    return committingAll(parts, message);
  }

  /** Offers the parts that are left, in order. Returns whether none is left. */
  #handOn(): boolean {
    this.#throwDeferred();
    for (;;) {
      const part = this.#parts[this.#at];
      if (part === undefined) break;
      try {
        this.next.submit(part);
        this.#at++;
        this.#unplaced = undefined;
      } catch (error) {
        if (MessageRejected.is(error)) return false;
        if (!InvalidMessage.is(error) || this.#takeOut(part, error)) throw error;
      }
    }
    if (this.#at > 0) {
      this.#parts = [];
      this.#at = 0;
      this.#origin = undefined;
      this.#originInvalid = false;
    }
    return true;
  }

  #throwDeferred(): void {
    const deferred = this.#deferred;
    if (deferred === undefined) return;
    this.#deferred = undefined;
    throw deferred;
  }

  /** The next step found a part invalid, or an earlier message. Returns whether that is to be reported. */
  #takeOut(part: Submitted<U>, error: InvalidMessage): boolean {
    this.#runtime.wake();
    const ofOrigin = this.#origin !== undefined && isAbout(error, this.#origin);
    if (ofOrigin || isAbout(error, part)) {
      const isLast = this.#at === this.#parts.length - 1;
      const commits = part.partition === undefined ? part.committable.size > 0 : isLast || !ofOrigin;
      if (takeOverCommit(error) && commits) this.#parts[this.#at] = part.replace(FILTERED_PAYLOAD);
      else this.#at++;
      const reported = ofOrigin && this.#originInvalid;
      this.#originInvalid ||= ofOrigin;
      return !reported;
    }
    const rest = isFiltered(part) ? undefined : withoutItem(part, error);
    if (rest !== undefined) {
      takeOverCommit(error);
      this.#parts[this.#at] = rest;
      return true;
    }
    // About a message further down, then: the part is offered again. But if that gives the same answer, it was about
    // something in it.
    const { partition, offset } = error;
    if (this.#unplaced?.partition === partition && this.#unplaced.offset === offset) {
      throw new InvalidStateError(
        `${this.name}: the step behind it says that ${partition} offset ${offset} is invalid, but it was given no part ` +
          "with that position. Make parts of a message in a batch with its own replace().",
        { cause: error },
      );
    }
    this.#unplaced = error;
    return true;
  }
}

/** The parts, and what has to go on with or behind them so that all that the message commits is committed. */
function committingAll<U>(parts: Message<U>[], message: Message<unknown>): Submitted<U>[] {
  const last = parts.at(-1);
  if (last === undefined) return [message.replace(FILTERED_PAYLOAD)];
  if (last.partition === undefined && last.committable.size === 0) {
    const { committable, timestampMs } = message;
    parts[parts.length - 1] = new DerivedMessage(last.payload, committable, last.timestampMs ?? timestampMs);
    return parts;
  }
  const rest = new Map<Partition, number>();
  for (const [partition, offset] of message.committable) {
    // From the end, where it is found at once.
    if (!parts.some((_, i) => commits(parts[parts.length - 1 - i]!, partition, offset))) {
      rest.set(partition, offset);
    }
  }
  if (rest.size === 0) return parts;
  return [...parts, new DerivedMessage(FILTERED_PAYLOAD, rest, message.timestampMs)];
}

function commits(part: Message<unknown>, partition: Partition, offset: number): boolean {
  if (part.partition !== undefined) return part.partition === partition && part.nextOffset >= offset;
  return (part.committable.get(partition) ?? -1) >= offset;
}
