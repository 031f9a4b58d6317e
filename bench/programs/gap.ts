/** The longest time between two looks at something that moves on. */
export class Gap {
  #lookedMs: number | undefined;
  longestMs = 0;

  look(nowMs: number): void {
    if (this.#lookedMs !== undefined) this.longestMs = Math.max(this.longestMs, nowMs - this.#lookedMs);
    this.#lookedMs = nowMs;
  }
}
