/** What may be committed: everything up to the first message that is not acknowledged. */
export class Positions {
  #current = new Map();
  #pieces = [];
  #done = new Map();

  /** Offsets of a partition come in order. */
  read(partition, offset) {
    this.#current.set(partition, offset);
  }

  /** What was read since the last cut is one piece. Returns what is called when all of it is acknowledged. */
  cut() {
    const piece = { offsets: this.#current, isDone: false };
    this.#current = new Map();
    this.#pieces.push(piece);
    return () => {
      piece.isDone = true;
      while (this.#pieces[0]?.isDone) {
        for (const [partition, offset] of this.#pieces.shift().offsets) this.#done.set(partition, offset);
      }
    };
  }

  /** The last offset of each partition that is acknowledged and was not asked for yet. */
  committable() {
    const done = this.#done;
    this.#done = new Map();
    return done;
  }
}
