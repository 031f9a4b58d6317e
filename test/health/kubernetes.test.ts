import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { ScaledObject } from "@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject";
import { Deployment } from "kubernetes-models/apps/v1/Deployment";
import { Pod } from "kubernetes-models/v1/Pod";
import { parse } from "yaml";
import { arroyo } from "../cli/command.ts";
import { codeBlocks, ROOT } from "../docs/code-blocks.ts";

const MODELS = {
  Deployment: { make: Deployment, module: "kubernetes-models/apps/v1/Deployment" },
  Pod: { make: Pod, module: "kubernetes-models/v1/Pod" },
  ScaledObject: { make: ScaledObject, module: "@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject" },
} as const;

interface Manifest {
  readonly kind: keyof typeof MODELS;
}

const FOLDER = join(ROOT, "deploy", "kubernetes");
const GUIDE = "docs/guides/healthchecks.md";

function manifest(file: string): Manifest {
  return parse(readFileSync(join(FOLDER, file), "utf8")) as Manifest;
}

const DEPLOYMENTS = ["deployment-http.yaml", "deployment-file.yaml", "deployment-file-rm.yaml"] as const;

/** Everything that a reader may copy, by where it stands. */
function manifests(): Map<string, Manifest> {
  const all = new Map<string, Manifest>();
  for (const file of [...DEPLOYMENTS, "keda-scaled-object.yaml"]) all.set(file, manifest(file));
  for (const { page, line, info, code } of codeBlocks()) {
    if (page === GUIDE && info === "yaml") all.set(`${page}:${line}`, parse(code) as Manifest);
  }
  return all;
}

interface Probe {
  readonly exec?: { readonly command: readonly string[] };
  readonly httpGet?: { readonly path: string; readonly port: string };
  readonly periodSeconds: number;
}

function podOf(file: string): {
  readonly terminationGracePeriodSeconds: number;
  readonly containers: readonly {
    readonly livenessProbe: Probe;
    readonly readinessProbe?: Probe;
    readonly startupProbe: Probe;
  }[];
} {
  const deployment = manifest(file) as unknown as { spec: { template: { spec: ReturnType<typeof podOf> } } };
  return deployment.spec.template.spec;
}

describe("the manifests for Kubernetes", () => {
  it("are what its schemas ask for", () => {
    for (const [where, one] of manifests()) {
      // It throws with what is wrong.
      assert.doesNotThrow(() => new MODELS[one.kind].make(one as never).validate(), where);
    }
    const wrong = manifest("deployment-http.yaml") as unknown as { spec: { replicas: unknown } };
    wrong.spec.replicas = "three";
    assert.throws(() => new Deployment(wrong as never).validate());
  });

  it("have no field that its API does not know", () => {
    // The schemas let unknown fields pass; the types made of the same definitions do not.
    mkdirSync(join(ROOT, ".data"), { recursive: true });
    const folder = mkdtempSync(join(ROOT, ".data", "manifests-"));
    after(() => rmSync(folder, { recursive: true }));
    writeFileSync(
      join(folder, "tsconfig.json"),
      JSON.stringify({ extends: "../../tsconfig.json", include: ["*.ts"] }),
    );
    const compile = (
      all: readonly Manifest[],
    ): { readonly status: number | null; readonly stdout: string } => {
      for (const [at, one] of all.entries()) {
        const { module } = MODELS[one.kind];
        const text = `import type { I${one.kind} } from "${module}";\nexport const it: I${one.kind} = `;
        writeFileSync(join(folder, `manifest-${at}.ts`), `${text}${JSON.stringify(one, null, 2)};\n`);
      }
      const tsc = join(ROOT, "node_modules", ".bin", "tsc");
      return spawnSync(tsc, ["--noEmit", "-p", folder], { encoding: "utf8" });
    };
    const right = compile([...manifests().values()]);
    assert.equal(right.status, 0, right.stdout);
    const wrong = readFileSync(join(FOLDER, DEPLOYMENTS[0]), "utf8").replace(
      "failureThreshold",
      "failureTreshold",
    );
    assert.match(compile([parse(wrong) as Manifest]).stdout, /failureTreshold/);
  });

  it("leave time for the whole shutdown, and 5 s more", () => {
    const [joinSeconds, commitSeconds, leaveSeconds] = [25, 3, 1];
    for (const file of DEPLOYMENTS) {
      const seconds = podOf(file).terminationGracePeriodSeconds;
      assert.ok(seconds >= joinSeconds + commitSeconds + leaveSeconds + 5, `${file}: ${seconds} s`);
    }
  });

  it("ask the paths that a HealthServer has", () => {
    const { livenessProbe, readinessProbe, startupProbe } = podOf("deployment-http.yaml").containers[0]!;
    assert.equal(startupProbe.httpGet?.path, "/livez");
    assert.equal(livenessProbe.httpGet?.path, "/livez");
    assert.equal(readinessProbe?.httpGet?.path, "/readyz");
  });

  it("wait for longer than max.poll.interval.ms where they look at the file", () => {
    const { exec, periodSeconds } = podOf("deployment-file-rm.yaml").containers[0]!.livenessProbe;
    assert.deepEqual(exec?.command, ["rm", "/tmp/health.txt"]);
    assert.ok(periodSeconds > 300);
  });

  it("have a command that tells a fresh file from a stale one, also of the container before a restart", () => {
    const { livenessProbe, startupProbe } = podOf("deployment-file.yaml").containers[0]!;
    const { command } = livenessProbe.exec!;
    // Else the liveness probe would come before the first touch, and end the container again.
    assert.deepEqual(startupProbe.exec?.command, command);
    const [name, ...args] = command;
    assert.equal(name, "node_modules/.bin/arroyo");
    const folder = mkdtempSync(join(tmpdir(), "arroyo-probe-"));
    after(() => rmSync(folder, { recursive: true }));
    const file = join(folder, "health.txt");
    const probe = args.map((arg) => (arg === "/tmp/health.txt" ? file : arg));
    writeFileSync(file, "");
    for (const [ageSeconds, code] of [
      [300, 0],
      [330, 1],
    ] as const) {
      const at = Date.now() / 1_000 - ageSeconds;
      utimesSync(file, at, at);
      assert.equal(arroyo(probe).code, code, `${ageSeconds} s old`);
    }
  });
});
