/** Where the acknowledged messages are. */
export class Acknowledged {
  readonly #offsets = new Map<number, Set<number>>();
  /** How many there are; some may be acknowledged without an offset. */
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
