import assert from "node:assert/strict";
import { SeededRandom } from "../seeded-random.ts";

/** What the thread may take for one input, by its own clock: thousands of times what nearly all take. */
const MAX_CPU_MS = 2_000;
const MAX_GROWTH_BYTES = 400 * 1024 * 1024;

/** Another one in every run, unless `ARROYO_FUZZ_SEED` sets it. */
export function fuzzSeed(): number {
  return Number(process.env["ARROYO_FUZZ_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
}

const BYTES = [0, 1, 0x7f, 0x80, 0xfe, 0xff];
/** What lengths and counts are made of, as numbers of 32 bits. */
const EXTREMES = [0, 1, -1, -2, 0x7fff, 0x7fff_ffff, -0x8000_0000, 0x00ff_ffff, 0x0001_0000];
/** The same as varints: huge ones, negative ones, ones that never end. */
const VARINTS = [
  "ffffffff07",
  "ffffffff0f",
  "f9ffffff0f",
  "8080808008",
  "ffffffffffffffffff7f",
  "8000",
  "fe01",
];

type Mutation = (bytes: Buffer, at: number, random: SeededRandom, others: readonly Buffer[]) => Buffer;

const overwrite = (bytes: Buffer, at: number, with_: Buffer): Buffer => {
  with_.copy(bytes, at);
  return bytes;
};
const stretch = (bytes: Buffer, random: SeededRandom): readonly [number, number] => {
  const start = random.below(bytes.length);
  return [start, Math.min(bytes.length, start + 1 + random.below(64))];
};

const MUTATIONS: readonly Mutation[] = [
  (bytes, at, random) => {
    bytes[at]! ^= 1 << random.below(8);
    return bytes;
  },
  (bytes, at, random) => {
    bytes[at] = random.below(2) === 0 ? random.pick(BYTES) : random.below(256);
    return bytes;
  },
  // One more or less, which is where checks are wrong.
  (bytes, at, random) => {
    bytes[at] = bytes[at]! + random.pick([1, -1, 2, -2]);
    return bytes;
  },
  (bytes, at, random) => {
    const number = Buffer.alloc(4);
    number.writeInt32BE(random.pick(EXTREMES));
    return overwrite(bytes, at, random.below(2) === 0 ? number : number.reverse());
  },
  (bytes, at, random) => overwrite(bytes, at, Buffer.from(random.pick(VARINTS), "hex")),
  (bytes, at) => bytes.subarray(0, at),
  (bytes, at, random) => Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random.below(16))]),
  (bytes, at, random) =>
    Buffer.concat([bytes.subarray(0, at), Buffer.from(random.pick(VARINTS), "hex"), bytes.subarray(at)]),
  (bytes, at, random) =>
    Buffer.concat([bytes.subarray(0, at), bytes.subarray(...stretch(bytes, random)), bytes.subarray(at)]),
  (bytes, at, random) => overwrite(bytes, at, Buffer.from(bytes.subarray(...stretch(bytes, random)))),
  (bytes, at, random, others) => {
    const other = random.pick(others);
    return Buffer.concat([bytes.subarray(0, at), other.subarray(random.below(other.length))]);
  },
];

/** Damages bytes in one to four places. */
export function mutated(input: Buffer, random: SeededRandom, others: readonly Buffer[]): Buffer {
  let bytes: Buffer = Buffer.from(input);
  for (let left = 1 + random.below(4); left > 0 && bytes.length > 0; left--) {
    bytes = random.pick(MUTATIONS)(bytes, random.below(bytes.length), random, others);
  }
  return bytes;
}

export interface FuzzOptions {
  /** Sound inputs, which are damaged. */
  readonly inputs: readonly Buffer[];
  readonly runs: number;
  /** The most that may be set aside for one input, in all. */
  readonly maxAllocatedBytes: number;
}

/**
 * Hands damaged inputs to `check`, which says whether that gave a value or an error of the kind that is promised, and
 * throws at anything else. Holds each input to a time and to memory, and all of them to giving both results.
 *
 * The seed is another one in every run, and stands in the error; `ARROYO_FUZZ_SEED` sets it.
 */
export function fuzz(
  { inputs, runs, maxAllocatedBytes }: FuzzOptions,
  check: (bytes: Buffer, random: SeededRandom, input: number) => "value" | "error",
): void {
  const seed = fuzzSeed();
  const results = { value: 0, error: 0 };
  const peakBefore = process.resourceUsage().maxRSS;
  using allocations = new Allocations();
  for (let run = 0; run < runs; run++) {
    const random = new SeededRandom(Math.imul(seed, 0x9e37_79b1) ^ Math.imul(run + 1, 0x85eb_ca6b));
    const input = random.below(inputs.length);
    const bytes = mutated(inputs[input]!, random, inputs);
    allocations.bytes = 0;
    const before = process.threadCpuUsage();
    try {
      results[check(bytes, random, input)]++;
      const { user, system } = process.threadCpuUsage(before);
      assert.ok(user + system < MAX_CPU_MS * 1_000, `it took ${(user + system) / 1_000} ms`);
      assert.ok(allocations.bytes <= maxAllocatedBytes, `it set ${allocations.bytes} bytes aside`);
    } catch (cause) {
      const hex = bytes.toString("hex", 0, 2_000);
      throw new Error(`Run ${run} with ARROYO_FUZZ_SEED=${seed} failed: ${String(cause)}; ${hex}`, { cause });
    }
  }
  const growth = (process.resourceUsage().maxRSS - peakBefore) * 1_024;
  assert.ok(growth < MAX_GROWTH_BYTES, `the process grew by ${growth} bytes (seed ${seed})`);
  // Neither is a rarity: the damage reaches what lies behind the first checks.
  const least = runs / 100;
  assert.ok(results.value > least && results.error > least, `${JSON.stringify(results)} (seed ${seed})`);
}

const ALLOCATORS = ["alloc", "allocUnsafe", "allocUnsafeSlow"] as const;

interface WasmMemory {
  grow(pages: number): number;
}
const { Memory } = (globalThis as unknown as { WebAssembly: { Memory: { prototype: WasmMemory } } })
  .WebAssembly;

/** Counts the bytes that are set aside for buffers and for WebAssembly, while it is in use. */
class Allocations implements Disposable {
  bytes = 0;
  readonly #undo: (() => void)[] = [];

  constructor() {
    for (const name of ALLOCATORS) {
      const original = Buffer[name];
      Buffer[name] = (size: number, ...rest: []) => {
        this.bytes += size;
        return original.call(Buffer, size, ...rest);
      };
      this.#undo.push(() => (Buffer[name] = original));
    }
    const { grow } = Memory.prototype;
    const count = (pages: number): void => void (this.bytes += pages * 65_536);
    Memory.prototype.grow = function (pages) {
      count(pages);
      return grow.call(this, pages);
    };
    this.#undo.push(() => (Memory.prototype.grow = grow));
  }

  [Symbol.dispose](): void {
    for (const undo of this.#undo) undo();
  }
}
