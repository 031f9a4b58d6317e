import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { COMMON_SETTINGS } from "../../src/kafka/config-common.ts";
import { CONSUMER_SETTINGS } from "../../src/kafka/config-consumer.ts";
import { PRODUCER_SETTINGS } from "../../src/kafka/config-producer.ts";
import type { SettingTable } from "../../src/kafka/config-setting.ts";

const KAFKA = fileURLToPath(new URL("../../src/kafka", import.meta.url));

test("every setting that is accepted is read by the client: none is without effect", () => {
  const files = readdirSync(KAFKA, { recursive: true, encoding: "utf8" }).filter(
    // client-config.ts only names the types; ssl.*.location is read by config-pem.ts.
    (path) => path.endsWith(".ts") && !/(^config-(?!pem)|client-config\.ts$)/.test(path),
  );
  const client = files.map((path) => readFileSync(join(KAFKA, path), "utf8")).join("\n");
  const table: SettingTable = { ...COMMON_SETTINGS, ...CONSUMER_SETTINGS, ...PRODUCER_SETTINGS };
  const unread = Object.entries(table)
    .filter(([, setting]) => setting.type !== "fixed")
    .map(([key]) => key)
    .filter((key) => !client.includes(`"${key}"`) && !new RegExp(`\\bconfig\\.${key}\\b`).test(client));
  assert.deepEqual(unread, []);
});
