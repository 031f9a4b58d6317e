import { BATCH_FIELDS, BatchField } from "./fetched-batches.ts";

/** Offsets from `from` up to (not including) `to`, whose records were written under one leader epoch. */
interface Stretch {
  readonly from: number;
  to: number;
  readonly epoch: number;
}

/** Leaders change seldom: what is older than so many changes is not asked for any more. */
const MAX_STRETCHES = 64;

/**
 * Under which leader epochs the records of a partition were written, as far as they have been read. An epoch must be exactly
 * that of the record (too low a one would make the leader say that its log was cut), so what is not known stays unknown.
 */
export class LeaderEpochs {
  /** Ascending, both in offsets and in epochs. */
  readonly #stretches: Stretch[] = [];

  /** @param epoch of the record before `position`; -1 when it is not known. */
  constructor(position: number, epoch: number) {
    this.note(position - 1, position, epoch);
  }

  /** Records from `from` up to `to` are of this epoch. What was noted behind them is of a log that was cut. */
  note(from: number, to: number, epoch: number): void {
    if (epoch < 0) return;
    let last = this.#stretches.at(-1);
    while (last !== undefined && (last.epoch > epoch || last.from > from)) {
      this.#stretches.pop();
      last = this.#stretches.at(-1);
    }
    if (last?.epoch === epoch) {
      last.to = to;
      return;
    }
    if (last !== undefined) last.to = Math.min(last.to, from);
    this.#stretches.push({ from, to, epoch });
    if (this.#stretches.length > MAX_STRETCHES) this.#stretches.shift();
  }

  /** Of the record before an offset; -1 when it is not known. */
  before(offset: number): number {
    const stretch = this.#stretches.findLast(({ from }) => from < offset);
    return stretch !== undefined && offset <= stretch.to ? stretch.epoch : -1;
  }

  /** Where the records of later epochs than this one begin; undefined when there are none. */
  endOf(epoch: number): number | undefined {
    return this.#stretches.find((stretch) => stretch.epoch > epoch)?.from;
  }
}

/** Notes the epochs of fetched batches. */
export function noteEpochs(epochs: LeaderEpochs, batches: Float64Array): void {
  for (let row = 0; row < batches.length; row += BATCH_FIELDS) {
    const from = batches[row + BatchField.BASE_OFFSET]!;
    const to = batches[row + BatchField.LAST_OFFSET]! + 1;
    epochs.note(from, to, batches[row + BatchField.LEADER_EPOCH]!);
  }
}
