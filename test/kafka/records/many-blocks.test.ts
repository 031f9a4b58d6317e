import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { Codec } from "../../../src/kafka/records/compression.ts";

const BLOCKS = 1_500_000;

/** Decompresses in a thread that has little memory for its objects. Returns how many bytes came out. */
async function decompressedInLittleMemory(codec: Codec, bytes: Buffer): Promise<unknown> {
  const source = new URL("../../../src/kafka/records/compression.ts", import.meta.url).href;
  const worker = new Worker(
    `import { parentPort, workerData } from "node:worker_threads";
     const { decompress } = await import(${JSON.stringify(source)});
     parentPort.postMessage(decompress(${codec}, Buffer.from(workerData), 1_000_000).length);`,
    { eval: true, workerData: bytes, resourceLimits: { maxOldGenerationSizeMb: 40 } },
  );
  const [length] = (await once(worker, "message")) as [unknown];
  await worker.terminate();
  return length;
}

/** So many times the same, with something around it. */
const many = (head: string, block: string, end: string): Buffer =>
  Buffer.concat([
    Buffer.from(head, "hex"),
    Buffer.alloc(BLOCKS * (block.length / 2), Buffer.from(block, "hex")),
    Buffer.from(end, "hex"),
  ]);

test("lz4 in very many empty blocks takes no memory for each", async () => {
  const frame = many("04224d18604000", "00000080", "00000000");
  assert.equal(await decompressedInLittleMemory(Codec.LZ4, frame), 0);
});

test("snappy in very many empty blocks takes no memory for each", async () => {
  const framed = many("82534e41505059000000000100000001", "0000000100", "");
  assert.equal(await decompressedInLittleMemory(Codec.SNAPPY, framed), 0);
});
