// npm run lz4: assembles src/kafka/records/lz4-block.wat, whose test says whether that was forgotten.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import wabt from "wabt";

const RECORDS = join(import.meta.dirname, "../src/kafka/records");

/** The binary of the decoder, from its text. */
export async function assembleLz4(): Promise<Buffer> {
  const assembler = await wabt();
  const module = assembler.parseWat("lz4-block.wat", readFileSync(join(RECORDS, "lz4-block.wat"), "utf8"));
  try {
    return Buffer.from(module.toBinary({}).buffer);
  } finally {
    module.destroy();
  }
}

if (import.meta.main) {
  const lines = (await assembleLz4()).toString("base64").match(/.{1,100}/g) ?? [];
  const text = lines.map((line) => `  "${line}"`).join(" +\n");
  writeFileSync(
    join(RECORDS, "lz4-module.ts"),
    `/** lz4-block.wat as it is run, in base64. Made by scripts/lz4-module.ts. */\nexport const LZ4_MODULE: string =\n${text};\n`,
  );
}
