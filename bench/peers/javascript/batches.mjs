import { hit, start } from "./meter.mjs";

/** As bench/programs/produce.ts has them. */
export const values = Array.from({ length: 1_000 }, (_, i) =>
  Buffer.from(JSON.stringify({ id: i, project: i % 97, type: "event", tag: "abc"[i % 3] }).padEnd(100)),
);

/** Produces without end: so many batches are under way, and each message counts when its batch is acknowledged. */
export async function produceBatches(send, { size, inFlight }) {
  start();
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      for (;;) {
        await send(Array.from({ length: size }, (_, i) => values[i % values.length]));
        hit(size);
      }
    }),
  );
}
