/** A transaction that was aborted, as the answer to a Fetch tells it: whose, and from which offset on. */
export interface AbortedTransaction {
  readonly producerId: bigint;
  readonly firstOffset: number;
}

/**
 * Tells, batch by batch in the order of offsets, which ones belong to aborted transactions. A transaction ends with its
 * abort marker, and the same producer may have several in one answer, so both the list and the markers are followed.
 */
export class AbortedTransactions {
  /** Not begun yet, by first offset. */
  readonly #coming: AbortedTransaction[];
  readonly #open = new Set<bigint>();

  constructor(aborted: readonly AbortedTransaction[]) {
    this.#coming = aborted.toSorted((a, b) => a.firstOffset - b.firstOffset);
  }

  /** Takes up the transactions that begin up to this offset. */
  advance(lastOffset: number): void {
    while (this.#coming.length > 0 && this.#coming[0]!.firstOffset <= lastOffset) {
      this.#open.add(this.#coming.shift()!.producerId);
    }
  }

  /** Whether a transactional batch of this producer is to be passed over. */
  has(producerId: bigint): boolean {
    return this.#open.has(producerId);
  }

  /** The producer's abort marker has come. */
  end(producerId: bigint): void {
    this.#open.delete(producerId);
  }
}
