import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

type CollectGarbage = (options: { readonly type: "minor" }) => void;

/** So much lies in the caches of a processor, more or less, and is collected in half a millisecond. */
const DUE_BYTES = 12_582_912;
/** What lives on is copied, which takes a millisecond for so much: then it is asked for half as often, */
const MANY_SURVIVORS = 2_097_152;
/** until it is less than this. */
const FEW_SURVIVORS = 1_048_576;
/** So seldom, it makes no difference. */
const MOST_DUE_BYTES = DUE_BYTES * 64;

/**
 * Collects what messages leave behind while it is young.
 *
 * V8 does that when as many small objects were made as its young generation holds (32 MB and more, after a while), whatever
 * memory hangs on them. With messages of 1 kB that is hundreds of megabytes; before it comes to that, V8 collects the whole
 * heap instead, over and over, which took a third of the time of a consumer of compressed topics. Asked for it after every
 * 12 MB, it never has to, and a process that reads 5 M messages a second holds 100 MB less.
 *
 * Where messages are kept for longer, in large batches, say, that would only copy them sooner than need be (a batch of 100,000
 * took half as much CPU time again), so it is left to V8 by and by.
 */
export class YoungGarbage {
  readonly #collect: () => number;
  #bytes = 0;
  #dueBytes = DUE_BYTES;

  /** `collect` returns how much lives on of what is young. */
  constructor(collect: () => number = collectYoungGarbage) {
    this.#collect = collect;
  }

  /** So much memory was given to messages, which will not live for long. */
  made(bytes: number): void {
    this.#bytes += bytes;
  }

  /** To be called where as little as possible is in use. */
  collectIfDue(): void {
    if (this.#bytes < this.#dueBytes) return;
    this.#bytes = 0;
    const survivors = this.#collect();
    if (survivors > MANY_SURVIVORS) this.#dueBytes = Math.min(MOST_DUE_BYTES, this.#dueBytes * 2);
    else if (survivors < FEW_SURVIVORS) this.#dueBytes = Math.max(DUE_BYTES, this.#dueBytes / 2);
  }
}

let found: CollectGarbage | undefined;

/** Does nothing where V8 does not offer it. Returns the bytes that live on in the young generation. */
export function collectYoungGarbage(): number {
  found ??= findCollectGarbage();
  found({ type: "minor" });
  return getHeapSpaceStatistics().find(({ space_name: name }) => name === "new_space")?.space_used_size ?? 0;
}

/** It is not there by default, only in contexts that were made under a flag. */
function findCollectGarbage(): CollectGarbage {
  const exposed = (globalThis as { gc?: CollectGarbage }).gc;
  if (typeof exposed === "function") return exposed;
  setFlagsFromString("--expose-gc");
  try {
    const collect = runInNewContext("globalThis.gc") as CollectGarbage | undefined;
    return typeof collect === "function" ? collect : () => {};
  } finally {
    setFlagsFromString("--no-expose-gc");
  }
}
