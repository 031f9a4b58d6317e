import { join } from "node:path";
import { LISTENERS, NO_KAFKA, SHARED_KAFKA, startKafka, type Kafka } from "./broker.ts";
import { missingTools } from "./kafka-jars.ts";

/** Run by `node --test` once, around all test files: one Kafka for all of them. */

/** Hundreds of processes load the same sources: compiled once, they start in a third of the time. */
const COMPILED = join(import.meta.dirname, "../../node_modules/.cache/compiled");

let kafka: Kafka | undefined;

export async function globalSetup(): Promise<void> {
  process.env["NODE_COMPILE_CACHE"] ??= COMPILED;
  if (process.env["KAFKA_BOOTSTRAP_SERVERS"] !== undefined) return;
  const why = await missingTools();
  if (why !== undefined) {
    process.env[NO_KAFKA] = why;
    return;
  }
  kafka = await startKafka();
  const running = kafka;
  process.env[SHARED_KAFKA] = JSON.stringify(
    Object.fromEntries(LISTENERS.map((listener) => [listener, running.servers(listener)])),
  );
}

export async function globalTeardown(): Promise<void> {
  const why = process.env[NO_KAFKA];
  if (why !== undefined) {
    const line = "*".repeat(78);
    process.stderr.write(
      `\n${line}\n*** The tests on a real Kafka were NOT RUN: ${why}.\n` +
        `*** Install a JDK (Java 17) and Maven, or set KAFKA_BOOTSTRAP_SERVERS.\n${line}\n`,
    );
  }
  await kafka?.stop();
}
