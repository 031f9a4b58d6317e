import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, before, test } from "node:test";
import { pack } from "../../scripts/pack.ts";
import { kafkaTest } from "../kafka/kafka-test.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

interface Manifest {
  readonly version: string;
  readonly exports: Readonly<Record<string, unknown>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}
const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as Manifest;

const ENTRY_POINTS: Readonly<Record<string, readonly string[]>> = {
  arroyo: ["StreamProcessor", "pipeline", "RunTask", "CommitOffsets", "Healthcheck", "KafkaPayload", "Topic"],
  "arroyo/kafka": ["KafkaConsumer", "KafkaProducer", "KafkaPayload"],
  "arroyo/local": ["LocalBroker"],
  "arroyo/testing": ["MockClock", "RecordingMetrics"],
  "arroyo/metrics/prometheus": ["PrometheusMetrics"],
  "arroyo/metrics/opentelemetry": ["OpenTelemetryMetrics", "traced", "carryTrace"],
  "arroyo/dashboard": ["Dashboard"],
};
/** What the last ones need, which is not installed with the package. */
const PEERS = ["prom-client", "@opentelemetry/api"] as const;

// The package, as npm installs it into an empty project.
const project = mkdtempSync(join(tmpdir(), "arroyo-user-"));
const run = (command: string, ...args: string[]): string =>
  execFileSync(command, args, { cwd: project, encoding: "utf8", timeout: 240_000 });

function install(...packages: readonly string[]): void {
  run("npm", "install", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error", ...packages);
}

before(async () => {
  const tarball = await pack(project);
  writeFileSync(join(project, "package.json"), JSON.stringify({ private: true, type: "module" }));
  install(tarball);
});
after(() => rmSync(project, { recursive: true }));

test("every entry point can be imported, and has its names; exporters need their peers, the others do not", () => {
  const documented = Object.keys(manifest.exports).filter((path) => path !== "./package.json");
  assert.deepEqual(
    Object.keys(ENTRY_POINTS),
    documented.map((path) => `arroyo${path.slice(1)}`),
  );
  const entries = Object.entries(ENTRY_POINTS);
  const needsPeer = ([entry]: readonly [string, unknown]): boolean => entry.startsWith("arroyo/metrics/");
  importAll(entries.filter((entry) => !needsPeer(entry)));
  install(...PEERS.map((peer) => `${peer}@${manifest.devDependencies[peer]}`));
  importAll(entries.filter(needsPeer));
});

function importAll(entries: readonly (readonly [string, readonly string[]])[]): void {
  const script = entries.map(
    ([entry, names]) => `
      const entry = await import(${JSON.stringify(entry)});
      for (const name of ${JSON.stringify(names)}) {
        if (entry[name] === undefined) throw new Error(${JSON.stringify(entry)} + " has no " + name);
      }`,
  );
  const blocks = script.map((lines) => `{${lines}\n}`).join("\n");
  run(process.execPath, "--input-type=module", "--eval", `${blocks}\nconsole.log("all there");`);
}

test("it is one package: what two entry points share is the same thing", () => {
  const script = `
    import { KafkaPayload as one } from "arroyo";
    import { KafkaPayload as other } from "arroyo/kafka";
    if (one !== other) throw new Error("two copies of KafkaPayload");`;
  run(process.execPath, "--input-type=module", "--eval", script);
});

test("its types are found, under both ways of resolving modules", () => {
  const source = `
    import { pipeline, KafkaPayload, type Producer } from "arroyo";
    import { KafkaConsumer } from "arroyo/kafka";
    import { LocalBroker } from "arroyo/local";
    import { MockClock } from "arroyo/testing";
    declare const producer: Producer<KafkaPayload>;
    pipeline().map((payload) => payload.text()).map((text) => new KafkaPayload(null, text)).produce(producer, "out").commit();
    // @ts-expect-error a misspelt key
    new KafkaConsumer({ "bootstrap.servers": "a", "group.id": "g", "sesion.timeout.ms": 1 });
    export const things = [LocalBroker, MockClock];`;
  mkdirSync(join(project, "src"));
  writeFileSync(join(project, "src", "user.ts"), source);
  const types = join(ROOT, "node_modules", "@types");
  for (const [module, moduleResolution] of [
    ["nodenext", "nodenext"],
    ["esnext", "bundler"],
  ]) {
    const compilerOptions = {
      module,
      moduleResolution,
      target: "es2024",
      lib: ["es2024", "esnext.disposable"],
      strict: true,
      noEmit: true,
      typeRoots: [types],
      types: ["node"],
    };
    writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["src"] }));
    try {
      run(join(ROOT, "node_modules", ".bin", "tsc"), "-p", project);
    } catch (error) {
      assert.fail((error as { stdout: string }).stdout);
    }
  }
});

test("the command is there", () => {
  assert.equal(run("npx", "--no-install", "arroyo", "--version"), `${manifest.version}\n`);
  const health = join(project, "health.txt");
  writeFileSync(health, "");
  run(join(project, "node_modules", ".bin", "arroyo"), "healthcheck", health, "--max-age", "1h");
});

kafkaTest("what it sends to its threads is found, too: a message goes to Kafka and back", async (kafka) => {
  const topic = await kafka.createTopic();
  const script = `
    import { KafkaPayload, StreamProcessor, pipeline } from "arroyo";
    import { KafkaConsumer, KafkaProducer } from "arroyo/kafka";
    const kafka = { "bootstrap.servers": ${JSON.stringify(kafka.bootstrapServers)} };
    const producer = new KafkaProducer({ ...kafka, "compression.type": "zstd" });
    await producer.produce(${JSON.stringify(topic)}, new KafkaPayload("key", "hello"));
    await producer.close();
    const consumer = new KafkaConsumer({ ...kafka, "group.id": ${JSON.stringify(kafka.name("group"))}, "auto.offset.reset": "earliest" });
    const factory = pipeline().map((payload) => { console.log(payload.text()); processor.signalShutdown(); }).commit();
    const processor = new StreamProcessor({ consumer, topic: ${JSON.stringify(topic)}, factory });
    await processor.run();`;
  assert.equal(run(process.execPath, "--input-type=module", "--eval", script), "hello\n");
});
