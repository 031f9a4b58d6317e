import { Fifo } from "../strategies/fifo.ts";

/** A message on its way. */
export interface Pending {
  readonly offset: number;
  done: boolean;
}

/** How far a partition of the dead letter topic is done: up to the first message that is still on its way. */
export class ReplayedPartition {
  /** Where the replay ends. */
  readonly end: number;
  /** The offset that is read next. */
  position: number;
  readonly #pending: Fifo<Pending> = new Fifo();
  #committed: number;

  constructor(end: number, position: number) {
    this.end = end;
    this.position = position;
    this.#committed = position;
  }

  /** Whether everything up to the end was read. */
  get atEnd(): boolean {
    return this.position >= this.end;
  }

  /** Whether something is on its way. */
  get pending(): boolean {
    return this.#pending.length > 0;
  }

  /** How many offsets before the end are not done. */
  get left(): number {
    return Math.max(0, this.end - this.#done);
  }

  started(offset: number): Pending {
    const pending = { offset, done: false };
    this.#pending.push(pending);
    return pending;
  }

  finished(pending: Pending): void {
    pending.done = true;
    while (this.#pending.peek()?.done === true) this.#pending.shift();
  }

  /** What is to be committed, if it is more than the last time. */
  takeCommit(): number | undefined {
    const done = this.#done;
    if (done <= this.#committed) return undefined;
    return (this.#committed = done);
  }

  /** Also past what the log has no message for, such as the marks of transactions. */
  get #done(): number {
    return this.#pending.peek()?.offset ?? Math.min(this.position, this.end);
  }
}
