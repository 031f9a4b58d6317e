import type { RebalanceCallbacks } from "../backend/consumer.ts";
import { Partition } from "../message/partition.ts";
import type { ConsumerCommand, ConsumerEvent } from "./client/protocol.ts";
import { threadsMs } from "./client/threads-clock.ts";
import type { Delivery } from "./delivery.ts";

type Assigned = Extract<ConsumerEvent, { type: "assigned" }>;
type Revoke = Extract<ConsumerEvent, { type: "revoke" }>;
type Lost = Extract<ConsumerEvent, { type: "lost" }>;

/** A revocation whose callback runs now. */
interface RunningRevoke {
  readonly partitions: ReadonlySet<Partition>;
  /** Aborts when the drain has to end. */
  readonly drain: AbortController;
  /** Aborts when the hand-over cannot wait any longer, not even for a commit. */
  readonly handOver: AbortController;
  /** When that is, on the clock of `performance.now()`. */
  readonly handOverAtMs: number;
  /** Callbacks of losses that came in the middle. */
  readonly losses: Promise<void>[];
}

interface RebalancingOptions {
  readonly delivery: Delivery;
  readonly send: (command: ConsumerCommand) => void;
  /** Resolves when no commit is open any more, or when the signal aborts. */
  readonly commitsSettled: (deadline: AbortSignal) => Promise<void>;
  /** Something is due: a poll that waits should run it. */
  readonly wake: () => void;
  /** Partitions are not ours any more. */
  readonly removed: (partitions: readonly Partition[]) => void;
}

function partitionsOf(event: Assigned | Revoke | Lost): Partition[] {
  return event.partitions.map(({ topic, index }) => Partition.of(topic, index));
}

/**
 * The main thread's half of a rebalance: runs the callbacks one at a time from a poll, in the order in which the I/O
 * thread told of them, and tells it when they are through. A loss does not wait for the drain that it makes void.
 */
export class Rebalancing {
  callbacks: RebalanceCallbacks = {};
  readonly #options: RebalancingOptions;
  readonly #queue: {
    readonly event: Assigned | Revoke | Lost;
    readonly atMs: number;
    /** For a loss: the partitions that the callbacks know of. */
    readonly partitions: readonly Partition[];
  }[] = [];
  /** Partition to the assignment that brought it. */
  readonly #assignments = new Map<Partition, number>();
  /** Partitions whose onAssign is still running: they are not fetched before it has ended. */
  #assigning: ReadonlySet<Partition> = new Set();
  #running: RunningRevoke | undefined;
  #abandoned = false;

  constructor(options: RebalancingOptions) {
    this.#options = options;
  }

  /** Whether callbacks are due. */
  get pending(): boolean {
    return this.#queue.length > 0;
  }

  /** Whether there is an assignment, or something to tell of one. */
  get active(): boolean {
    return this.pending || this.#assignments.size > 0;
  }

  /** The assignment that brought a partition; undefined when it is not ours (any more). */
  assignmentOf(partition: Partition): number | undefined {
    return this.#assignments.get(partition);
  }

  /** How long a commit may take now, in ms, in the middle of a revocation; undefined outside of one. */
  get commitMs(): number | undefined {
    return this.#running === undefined
      ? undefined
      : Math.max(1, this.#running.handOverAtMs - performance.now());
  }

  assigned(event: Assigned): void {
    this.#enqueue(event, partitionsOf(event));
  }

  revoke(event: Revoke): void {
    const partitions = partitionsOf(event);
    for (const partition of partitions) this.#options.delivery.hold(partition);
    // The group's time runs while this thread is too busy to hear of it.
    this.#enqueue(event, partitions, performance.now() - (threadsMs() - event.sentAtMs));
  }

  lost(event: Lost): void {
    if (this.#abandoned) return;
    const known = partitionsOf(event).filter((partition) => this.#assignments.has(partition));
    this.#remove(known);
    const running = this.#running;
    if (running === undefined) {
      this.#enqueue(event, known);
      return;
    }
    // A topic that was made again, or a log that was cut, is no matter of the partitions that are drained.
    if (known.some((partition) => running.partitions.has(partition))) {
      running.drain.abort();
      running.handOver.abort();
    }
    const loss = this.#runLost(event, known);
    // Awaited once the drain has ended; until then it must not count as unhandled.
    loss.catch(() => {});
    running.losses.push(loss);
  }

  /** Runs what is due. Rejects with what a callback threw; the group goes on all the same. */
  async run(): Promise<void> {
    for (let due = this.#queue.shift(); due !== undefined; due = this.#queue.shift()) {
      const { event, atMs, partitions } = due;
      if (event.type === "assigned") await this.#runAssigned(event);
      else if (event.type === "revoke") await this.#runRevoke(event, atMs);
      else await this.#runLost(event, partitions);
    }
  }

  /** Starts or moves the fetching of partitions at their positions. */
  fetch(partitions: readonly Partition[]): void {
    const positions = partitions
      .filter((partition) => this.#options.delivery.has(partition) && !this.#assigning.has(partition))
      .map((partition) => ({
        topic: partition.topic.name,
        index: partition.index,
        ...this.#options.delivery.restart(partition),
      }));
    if (positions.length > 0) this.#options.send({ type: "fetch", positions });
  }

  /** The consumer closes: no callback is called any more. */
  abandon(): void {
    this.#abandoned = true;
    this.callbacks = {};
    this.#queue.length = 0;
    this.#running?.drain.abort();
    this.#running?.handOver.abort();
    this.#remove([...this.#assignments.keys()]);
  }

  #enqueue(
    event: Assigned | Revoke | Lost,
    partitions: readonly Partition[],
    atMs: number = performance.now(),
  ): void {
    if (this.#abandoned) return;
    if (event.type === "lost") {
      // What was assigned and lost again before a poll saw it is not worth a callback.
      const lost = new Set(partitionsOf(event));
      for (const [at, due] of this.#queue.entries()) {
        if (due.event.type !== "assigned") continue;
        const kept = due.event.partitions.filter(({ topic, index }) => !lost.has(Partition.of(topic, index)));
        this.#queue[at] = { ...due, event: { ...due.event, partitions: kept } };
      }
    }
    this.#queue.push({ event, atMs, partitions });
    this.#options.wake();
  }

  async #runAssigned(event: Assigned): Promise<void> {
    const offsets = new Map<Partition, number>();
    for (const assigned of event.partitions) {
      const { topic, index, offset, leaderEpoch } = assigned;
      const partition = Partition.of(topic, index);
      offsets.set(partition, offset);
      this.#options.delivery.add(partition, offset, leaderEpoch, assigned);
      this.#assignments.set(partition, event.id);
    }
    if (offsets.size === 0) return;
    this.#assigning = new Set(offsets.keys());
    try {
      await this.callbacks.onAssign?.(offsets);
    } finally {
      this.#assigning = new Set();
      this.fetch([...offsets.keys()]);
    }
  }

  async #runRevoke(event: Revoke, atMs: number): Promise<void> {
    const partitions = partitionsOf(event).filter((partition) => this.#assignments.has(partition));
    const running: RunningRevoke = {
      partitions: new Set(partitions),
      drain: new AbortController(),
      handOver: new AbortController(),
      handOverAtMs: atMs + event.drainMs + event.commitMs,
      losses: [],
    };
    const leftMs = (untilMs: number): number => Math.max(0, untilMs - performance.now());
    const drainTimer = setTimeout(() => running.drain.abort(), leftMs(atMs + event.drainMs));
    const handOverTimer = setTimeout(() => running.handOver.abort(), leftMs(running.handOverAtMs));
    this.#running = running;
    try {
      if (partitions.length > 0) await this.callbacks.onRevoke?.(partitions, running.drain.signal);
      await this.#options.commitsSettled(running.handOver.signal);
    } finally {
      clearTimeout(drainTimer);
      clearTimeout(handOverTimer);
      this.#running = undefined;
      this.#remove(partitions);
      this.#options.send({ type: "released", id: event.id });
      await Promise.all(running.losses);
    }
  }

  async #runLost(event: Lost, partitions: readonly Partition[]): Promise<void> {
    try {
      if (partitions.length > 0) await this.callbacks.onLost?.(partitions);
    } finally {
      this.#options.send({ type: "released", id: event.id });
    }
  }

  #remove(partitions: readonly Partition[]): void {
    for (const partition of partitions) {
      this.#assignments.delete(partition);
      this.#options.delivery.remove(partition);
    }
    this.#options.removed(partitions);
  }
}
