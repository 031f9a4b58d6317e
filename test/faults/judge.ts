import { readFileSync } from "node:fs";

/** What became of one group's messages. */
export interface Verdict {
  readonly handled: number;
  /** Handled more than once. */
  readonly again: number;
  /** Acknowledged to the producer, and never handled. */
  readonly lost: number;
  /** The first few of those, as `partition@offset`. */
  readonly examples: readonly string[];
}

/** Where the acknowledged messages are: partition to the end of what is known to be in the log. */
export class Acknowledged {
  readonly #offsets = new Map<number, Set<number>>();
  count = 0;

  add(partition: number, offset: number): void {
    let offsets = this.#offsets.get(partition);
    if (offsets === undefined) this.#offsets.set(partition, (offsets = new Set()));
    offsets.add(offset);
    this.count++;
  }

  /** Partition to the offset behind the last one. */
  ends(): ReadonlyMap<number, number> {
    const ends = new Map<number, number>();
    for (const [partition, offsets] of this.#offsets) {
      let end = 0;
      for (const offset of offsets) end = Math.max(end, offset + 1);
      ends.set(partition, end);
    }
    return ends;
  }

  entries(): Iterable<[number, ReadonlySet<number>]> {
    return this.#offsets;
  }
}

/** Compares what members say that they have handled, in their files, with what was acknowledged. */
export function judge(acknowledged: Acknowledged, paths: readonly string[]): Verdict {
  const times = new Map<number, Uint8Array>();
  const ends = acknowledged.ends();
  // There may be more in the log than was acknowledged.
  for (const [partition, end] of ends) times.set(partition, new Uint8Array(end + 1));
  let handled = 0;
  let again = 0;
  for (const path of paths) {
    for (const line of linesOf(path)) {
      const [partition = NaN, offset = NaN] = line.split(" ", 2).map(Number);
      handled++;
      const ofPartition = times.get(partition);
      if (ofPartition === undefined || offset >= ofPartition.length) continue;
      if (ofPartition[offset]! > 0) again++;
      if (ofPartition[offset]! < 255) ofPartition[offset]!++;
    }
  }
  let lost = 0;
  const examples: string[] = [];
  for (const [partition, offsets] of acknowledged.entries()) {
    for (const offset of offsets) {
      if (times.get(partition)![offset]! > 0) continue;
      lost++;
      if (examples.length < 5) examples.push(`${partition}@${offset}`);
    }
  }
  return { handled, again, lost, examples };
}

function linesOf(path: string): string[] {
  try {
    // The last line of a process that was killed may be cut short.
    return readFileSync(path, "utf8").split("\n").slice(0, -1);
  } catch {
    return [];
  }
}
