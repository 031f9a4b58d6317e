/**
 * Lets a join wait for what finished tasks and the polls that go on meanwhile bring about: it looks again when it is
 * told that something has changed, and not before.
 */
export class Drain {
  #changed: (() => void) | undefined;

  /** Something has changed. Costs nothing while no join waits. */
  notify(): void {
    this.#changed?.();
  }

  /**
   * Calls `advance` now and after each change, until it returns true (nothing is left) or the deadline aborts. What it
   * throws comes out of here.
   */
  async until(advance: () => boolean, deadline: AbortSignal): Promise<void> {
    const notify = (): void => this.notify();
    deadline.addEventListener("abort", notify);
    try {
      while (!deadline.aborted && !advance()) {
        await new Promise<void>((resolve) => (this.#changed = resolve));
      }
    } finally {
      this.#changed = undefined;
      deadline.removeEventListener("abort", notify);
    }
  }
}
