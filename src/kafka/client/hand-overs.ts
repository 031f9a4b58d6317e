import { Latch } from "./latch.ts";

/** Revocations and losses that the main thread was told of and has not released yet. */
export class HandOvers {
  readonly #open = new Map<number, Latch>();
  #closed = false;

  /** Asks the main thread for something, and resolves when it says that it is through. */
  async ask(id: number, ask: (id: number) => void): Promise<void> {
    if (this.#closed) return;
    const released = new Latch();
    this.#open.set(id, released);
    ask(id);
    await released.promise;
    this.#open.delete(id);
  }

  release(id: number): void {
    this.#open.get(id)?.set();
  }

  /** The main thread closes: it runs no callbacks any more, so nobody waits for one. */
  close(): void {
    this.#closed = true;
    for (const released of this.#open.values()) released.set();
  }
}
