/** Why it may be that what somebody has handled is handled by the next one again. */
export type Excuse = "killed" | "lost" | "late";

/** The time that a partition is with one member. */
export interface Run {
  readonly member: string;
  readonly partition: number;
  /** What was to be read first. */
  readonly start: number;
  readonly startedMs: number;
  /** What is to be handled next. */
  next: number;
  /** Whether it is over, in good order or not. */
  ended: boolean;
  excuse: Excuse | undefined;
  /** When its chain did not finish in time. */
  lateMs: number | undefined;
}

/** Who had which partition, and from where to where. */
export class Runs {
  readonly #all = new Map<number, Run[]>();

  /** A partition comes to a member. */
  begin(member: string, partition: number, start: number, startedMs: number): Run {
    const run: Run = {
      member,
      partition,
      start,
      startedMs,
      next: start,
      ended: false,
      excuse: undefined,
      lateMs: undefined,
    };
    const runs = this.#all.get(partition);
    if (runs === undefined) this.#all.set(partition, [run]);
    else runs.push(run);
    return run;
  }

  /** The run of a partition that a member has now. */
  current(member: string, partition: number): Run | undefined {
    return this.#all.get(partition)?.findLast((run) => run.member === member && !run.ended);
  }

  /** All that a member has now. */
  ofMember(member: string): Run[] {
    return [...this.#all.keys()].flatMap((partition) => this.current(member, partition) ?? []);
  }

  /** What a member has, as far as it knows, and somebody else has got since. */
  takenFrom(member: string): number[] {
    return this.ofMember(member)
      .filter(({ partition, startedMs }) =>
        this.#all.get(partition)!.some((run) => run.member !== member && run.startedMs > startedMs),
      )
      .map(({ partition }) => partition);
  }

  get isAnyExcused(): boolean {
    return [...this.#all.values()].some((runs) => runs.some(({ excuse }) => excuse !== undefined));
  }

  /** Where a sequence went backwards without a reason: in good order, the next one begins where the one before ended. */
  stepsBack(): string[] {
    const steps: string[] = [];
    for (const [partition, unordered] of this.#all) {
      // Journals of several members are read one after another.
      const runs = unordered.toSorted((one, other) => one.startedMs - other.startedMs);
      for (const [at, run] of runs.entries()) {
        for (const earlier of runs.slice(0, at)) {
          if (earlier.next <= run.start || earlier.excuse !== undefined || run.next === run.start) continue;
          steps.push(
            `partition ${partition} went back from ${earlier.next} (${earlier.member}) to ${run.start} (${run.member})`,
          );
        }
      }
    }
    return steps;
  }
}
