const CLEAR_LINE = "\r\u001B[K";

/** A terminal's last line, which is written over again and again, below lines that stay. */
export class ProgressLine {
  readonly #stream: NodeJS.WriteStream;
  #shown = false;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  get terminal(): boolean {
    return this.#stream.isTTY;
  }

  /** A line that stays. */
  say(text: string): void {
    this.clear();
    this.#stream.write(`${text}\n`);
  }

  /** Writes the line anew. */
  show(text: string): void {
    this.clear();
    this.#stream.write(text);
    this.#shown = true;
  }

  clear(): void {
    if (this.#shown) this.#stream.write(CLEAR_LINE);
    this.#shown = false;
  }
}

export function count(value: number): string {
  return value.toLocaleString("en-US");
}

export function perSecond(rate: number): string {
  return `${count(rate < 10 ? Number(rate.toFixed(1)) : Math.round(rate))}/s`;
}
