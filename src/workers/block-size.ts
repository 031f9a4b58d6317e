import { ConfigurationError } from "../errors.ts";
import type { BlockBounds } from "./protocol.ts";

const FIRST_BYTES = 64 * 1_024;
const DEFAULT_MAX_BYTES = 16 * 1_024 * 1_024;

/**
 * How large blocks are made: fixed, or automatic, then the next block starts as large as the largest that was needed so
 * far.
 */
export class BlockSize implements BlockBounds {
  readonly fixed: boolean;
  readonly maxBytes: number;
  #bytes: number;

  /** @throws ConfigurationError naming the option. */
  constructor(which: "Input" | "Output", fixedBytes: number | undefined, maxBytes: number | undefined) {
    const fixedName = `${which.toLowerCase()}BlockBytes`;
    if (fixedBytes !== undefined && maxBytes !== undefined) {
      throw new ConfigurationError(
        `RunTaskInWorkers: max${which}BlockBytes bounds blocks that grow by themselves, so it cannot be given together ` +
          `with ${fixedName}: leave one of them out.`,
      );
    }
    this.fixed = fixedBytes !== undefined;
    this.maxBytes = fixedBytes ?? maxBytes ?? DEFAULT_MAX_BYTES;
    if (!Number.isInteger(this.maxBytes) || this.maxBytes < 1) {
      throw new ConfigurationError(
        `RunTaskInWorkers: ${this.fixed ? fixedName : `max${which}BlockBytes`} is ${this.maxBytes}, but must be a ` +
          "whole number of bytes from 1 up.",
      );
    }
    this.#bytes = Math.min(FIRST_BYTES, this.maxBytes);
  }

  /** How large a block starts. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Notes how much a block came to hold. Returns whether blocks start larger from now on. */
  saw(bytes: number): boolean {
    if (bytes <= this.#bytes || this.#bytes === this.maxBytes) return false;
    this.#bytes = Math.min(this.maxBytes, 2 ** Math.ceil(Math.log2(bytes)));
    return true;
  }
}
