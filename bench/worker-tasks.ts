import { KafkaPayload } from "../src/message/payload.ts";
import type { Message } from "../src/message/message.ts";

/** What bench/workers.ts has done on the main thread and in workers. */

/** How often the loop below goes round in 50 us; set by {@link calibrate}. */
let rounds = 20_000;

/** A fixed amount of work, not a fixed time: otherwise a busy machine would look like a fast one. */
function churn(seed: number, times: number): number {
  let x = seed | 1;
  for (let i = 0; i < times; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
  }
  return x;
}

/** Finds out how much work takes so many microseconds on a core that does nothing else, and returns it. */
export function calibrate(microseconds: number): number {
  churn(1, 10_000_000);
  let best = Infinity;
  for (let i = 0; i < 20; i++) {
    const start = performance.now();
    churn(i, 1_000_000);
    best = Math.min(best, performance.now() - start);
  }
  return Math.round((microseconds * 1_000_000) / (best * 1_000));
}

export function setRounds(value: number): void {
  rounds = value;
}

/** Run in each worker first: workers take the main thread's calibration. */
export function takeRounds(): void {
  const value = Number(process.env["ARROYO_BENCH_ROUNDS"]);
  if (value > 0) rounds = value;
}

/** The task of about 50 us: the result is a payload of the same size. */
export function busy(message: Message<KafkaPayload>): KafkaPayload {
  const { key, value } = message.payload;
  const x = churn(value![0]!, rounds);
  return new KafkaPayload(key, x === 0 ? null : value);
}

/** No work at all: what is left is what the way to a worker and back costs. */
export function nothing(message: Message<KafkaPayload>): KafkaPayload {
  return message.payload;
}
