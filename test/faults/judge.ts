import { JournalReader, type JournalEntry } from "../kafka/e2e/journal.ts";
import type { Acknowledged } from "./acknowledged.ts";
import { Runs, type Excuse, type Run } from "./runs.ts";

/** What became of one group's messages. */
export interface Verdict {
  readonly handled: number;
  /** Handled more than once. */
  readonly again: number;
  /** Acknowledged to the producer, and never handled. */
  readonly lost: number;
  /** The first few of those, as `partition@offset`. */
  readonly examples: readonly string[];
  /** Whether it may be that some were handled again: somebody was killed or put out, or was too late to commit. */
  readonly isExcused: boolean;
  /** What must not be, and was. */
  readonly complaints: readonly string[];
}

interface Observation {
  readonly atMs: number;
  readonly offset: number;
}

/** How often each message of a partition was handled. */
class Counts {
  readonly #times: number[] = [];
  /** Everything before it was handled. */
  whole = 0;

  add(offset: number): void {
    this.#times[offset] = this.of(offset) + 1;
    while (this.of(this.whole) > 0) this.whole++;
  }

  of(offset: number): number {
    return this.#times[offset] ?? 0;
  }
}

/**
 * Compares what the members of a group write into their journals with what the broker says that is committed, all the while.
 *
 * - No acknowledged message is missing in the end.
 * - A partition's sequence has no gap. It goes backwards only after the member that had it was killed, had lost it, or ran
 *   out of time when it drained; and then never to before the offset that was committed.
 * - No commit is ahead of what was handled, and none goes back.
 * - A member that was frozen for longer than its session commits nothing of what others have by then when it wakes up.
 */
export class Judge {
  readonly complaints: string[] = [];
  readonly #journals = new Map<string, JournalReader>();
  readonly #runs = new Runs();
  readonly #counts = new Map<number, Counts>();
  readonly #observed = new Map<number, Observation[]>();
  /**
   * Of members that were woken up and have not found out yet that they are in their group no more: the partitions that others
   * have by now, and what was committed of each.
   */
  readonly #woken = new Map<string, ReadonlyMap<number, number>>();
  #handled = 0;
  #again = 0;

  /** Another member, and where its journal is. */
  add(path: string): void {
    this.#journals.set(path, new JournalReader(path));
  }

  /** A member was killed: it could not commit what it had done. */
  killed(path: string): void {
    this.#read();
    for (const run of this.#runs.ofMember(path)) end(run, "killed");
  }

  /** A member that was frozen goes on now. What was committed has been observed since it was frozen. */
  wakes(path: string): void {
    this.#read();
    const taken = this.#runs.takenFrom(path);
    this.#woken.set(path, new Map(taken.map((partition) => [partition, this.#committed(partition)])));
  }

  /** What the group has committed, as the broker says now. */
  observe(committed: ReadonlyMap<number, number>): void {
    const atMs = Date.now();
    this.#read();
    for (const [partition, offset] of committed) {
      let observations = this.#observed.get(partition);
      if (observations === undefined) this.#observed.set(partition, (observations = []));
      const before = observations.at(-1)?.offset ?? 0;
      if (offset < before) this.#complain(`the commit of ${partition} went back from ${before} to ${offset}`);
      const whole = this.#counts.get(partition)?.whole ?? 0;
      if (offset > whole) {
        this.#complain(
          `the commit of ${partition} is at ${offset}, but only what is before ${whole} was handled`,
        );
      }
      // The first time that it was seen says the most.
      if (offset !== before) observations.push({ atMs, offset });
    }
  }

  verdict(acknowledged: Acknowledged): Verdict {
    this.#read();
    const missing: string[] = [];
    for (const [partition, offsets] of acknowledged.entries()) {
      for (const offset of offsets) {
        if ((this.#counts.get(partition)?.of(offset) ?? 0) === 0) missing.push(`${partition}@${offset}`);
      }
    }
    return {
      handled: this.#handled,
      again: this.#again,
      lost: missing.length,
      examples: missing.slice(0, 5),
      isExcused: this.#runs.isAnyExcused,
      complaints: [...this.complaints, ...this.#runs.stepsBack()],
    };
  }

  #read(): void {
    for (const [path, journal] of this.#journals) {
      for (const entry of journal.read()) this.#take(path, entry);
    }
  }

  #take(path: string, entry: JournalEntry): void {
    switch (entry.kind) {
      case "handled":
        this.#takeHandled(path, entry.partition, entry.offset);
        return;
      case "assigned":
        this.#woken.delete(path);
        for (const [partition, offset] of entry.offsets) this.#begin(path, partition, offset, entry.atMs);
        return;
      case "revoked":
        for (const partition of entry.partitions) end(this.#runs.current(path, partition));
        return;
      case "lost":
        for (const partition of entry.partitions) end(this.#runs.current(path, partition), "lost");
        return;
      case "late":
        for (const run of this.#runs.ofMember(path)) {
          run.excuse ??= "late";
          run.lateMs = entry.atMs;
        }
        return;
      case "committed":
        for (const [partition, offset] of entry.offsets) this.#takeCommitted(path, partition, offset);
    }
  }

  #begin(path: string, partition: number, offset: number, atMs: number): void {
    const committed = this.#committedBefore(partition, atMs);
    if (offset < committed) {
      this.#complain(`${path} began partition ${partition} at ${offset}, though ${committed} was committed`);
    }
    // The same member may get it anew; of what it had before, it says nothing more.
    end(this.#runs.current(path, partition));
    this.#runs.begin(path, partition, offset, atMs);
  }

  #takeHandled(path: string, partition: number, offset: number): void {
    this.#handled++;
    let counts = this.#counts.get(partition);
    if (counts === undefined) this.#counts.set(partition, (counts = new Counts()));
    if (counts.of(offset) > 0) this.#again++;
    counts.add(offset);

    let run = this.#runs.current(path, partition);
    if (run === undefined) {
      this.#complain(`${path} handled ${partition}@${offset}, which it does not have`);
      return;
    }
    // A chain that did not finish in time is made anew, and gets again what was not done.
    if (offset < run.next && run.excuse === "late") {
      this.#begin(path, partition, offset, run.lateMs ?? run.startedMs);
      run = this.#runs.current(path, partition)!;
    }
    if (offset !== run.next) {
      this.#complain(`${path} handled ${partition}@${offset} where ${run.next} was to come`);
    }
    run.next = offset + 1;
  }

  #takeCommitted(path: string, partition: number, offset: number): void {
    const committed = this.#woken.get(path)?.get(partition);
    // What was under way when it was frozen may be acknowledged now.
    if (committed === undefined || offset <= committed) return;
    this.#complain(`${path} committed ${partition}@${offset} when it woke up, though it had been put out`);
  }

  /** What is committed, as far as it was seen. */
  #committed(partition: number): number {
    return this.#observed.get(partition)?.at(-1)?.offset ?? 0;
  }

  /** What was committed at that time, as far as it was seen. */
  #committedBefore(partition: number, atMs: number): number {
    return this.#observed.get(partition)?.findLast((seen) => seen.atMs < atMs)?.offset ?? 0;
  }

  #complain(what: string): void {
    if (this.complaints.length < 20) this.complaints.push(what);
  }
}

function end(run: Run | undefined, excuse?: Excuse): void {
  if (run === undefined) return;
  run.ended = true;
  run.excuse ??= excuse;
}
