/** The messages that were produced between two flushes, and how many of them are not settled. */
export class Generation {
  unsettled = 0;
  /** Set once a flush waits for it. */
  onSettled: (() => void) | undefined;
}

/** Counts what was produced and has not been delivered and has not failed. */
export class InFlight {
  #messages = 0;
  #bytes = 0;
  #current = new Generation();
  /** Those before the current one that are waited for. */
  readonly #flushing = new Set<Generation>();

  get messages(): number {
    return this.#messages;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** What a message that is produced now belongs to. */
  get generation(): Generation {
    return this.#current;
  }

  add(generation: Generation, bytes: number): void {
    this.#messages++;
    this.#bytes += bytes;
    generation.unsettled++;
  }

  /** A message that is counted already turns out to take more or less. */
  resize(bytes: number): void {
    this.#bytes += bytes;
  }

  /** So many messages of one generation are delivered or have failed. */
  settle(generation: Generation, messages: number, bytes: number): void {
    this.#messages -= messages;
    this.#bytes -= bytes;
    generation.unsettled -= messages;
    if (generation.unsettled === 0 && this.#flushing.delete(generation)) generation.onSettled?.();
  }

  /** Resolves when everything that was added before is settled; what is added afterwards does not delay it. */
  async settled(): Promise<void> {
    if (this.#current.unsettled > 0) {
      this.#flushing.add(this.#current);
      this.#current = new Generation();
    }
    await Promise.all(
      [...this.#flushing].map(
        (generation) =>
          new Promise<void>((resolve) => {
            const before = generation.onSettled;
            generation.onSettled = () => {
              before?.();
              resolve();
            };
          }),
      ),
    );
  }
}
