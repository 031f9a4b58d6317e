import { Latch } from "./client/latch.ts";
import type { CommitOffset, ConsumerCommand } from "./client/protocol.ts";

interface PendingCommit {
  readonly resolve: (offsets: readonly CommitOffset[]) => void;
  readonly reject: (error: Error) => void;
}

/** Commits that the I/O thread has been asked for and has not answered yet. */
export class Commits {
  readonly #send: (command: ConsumerCommand) => void;
  readonly #pending = new Map<number, PendingCommit>();
  #lastId = 0;
  #settled: Latch | undefined;

  constructor(send: (command: ConsumerCommand) => void) {
    this.#send = send;
  }

  /** Resolves with what the broker has acknowledged: the offsets whose assignment had ended by then are left out. */
  commit(offsets: readonly CommitOffset[], timeoutMs: number): Promise<readonly CommitOffset[]> {
    const id = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<readonly CommitOffset[]>();
    this.#pending.set(id, { resolve, reject });
    this.#send({ type: "commit", id, offsets, timeoutMs });
    return promise;
  }

  committed(id: number, offsets: readonly CommitOffset[]): void {
    this.#take(id)?.resolve(offsets);
  }

  failed(id: number, error: Error): void {
    this.#take(id)?.reject(error);
  }

  /** Fails everything that is still open. */
  fail(error: Error): void {
    for (const id of [...this.#pending.keys()]) this.#take(id)?.reject(error);
  }

  /** Resolves when nothing is open any more, or when the deadline aborts. */
  async settled(deadline: AbortSignal): Promise<void> {
    if (this.#pending.size === 0 || deadline.aborted) return;
    this.#settled ??= new Latch();
    const { promise, resolve } = Promise.withResolvers<void>();
    const done = (): void => resolve();
    deadline.addEventListener("abort", done, { once: true });
    void this.#settled.promise.then(done);
    await promise;
    deadline.removeEventListener("abort", done);
  }

  #take(id: number): PendingCommit | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (this.#pending.size === 0) {
      this.#settled?.set();
      this.#settled = undefined;
    }
    return pending;
  }
}
