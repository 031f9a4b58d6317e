const EVERY_BYTES = 64 * 1024;

/** Where in a file some of its frames lie, so that a frame is found without reading from the beginning. */
export class SparseIndex {
  readonly #sequences: number[] = [];
  readonly #positions: number[] = [];

  /** Notes a frame if the last noted one is far enough before it. To be called in the order of the file. */
  add(sequence: number, position: number): void {
    const last = this.#positions.at(-1);
    if (last !== undefined && position - last < EVERY_BYTES) return;
    this.#sequences.push(sequence);
    this.#positions.push(position);
  }

  /** The last noted frame that is not behind a sequence number; undefined when there is none. */
  floor(sequence: number): { readonly sequence: number; readonly position: number } | undefined {
    let low = 0;
    let high = this.#sequences.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#sequences[middle]! <= sequence) low = middle + 1;
      else high = middle;
    }
    return low === 0
      ? undefined
      : { sequence: this.#sequences[low - 1]!, position: this.#positions[low - 1]! };
  }
}
