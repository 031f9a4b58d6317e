import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const here = import.meta.dirname;
const cache = join(here, "..", "..", ".kafka");

/** The version that tests run against unless they say otherwise. */
export const DEFAULT_KAFKA_VERSION: string = process.env["KAFKA_VERSION"] ?? "4.1.0";

/** Why this machine cannot start a Kafka of its own, and members by Java's client; undefined when it can. */
export async function missingTools(version: string = DEFAULT_KAFKA_VERSION): Promise<string | undefined> {
  const needed = existsSync(jarFolder(version)) ? ["java"] : ["java", "mvn"];
  for (const tool of needed) {
    try {
      await run(tool, ["-version"]);
    } catch (error) {
      return `${tool} does not run (${(error as Error).message.split("\n", 1)[0]})`;
    }
  }
  // The program with Java's members is compiled when it is started: a runtime alone (JRE) cannot do that.
  const { stdout: modules } = await run("java", ["--list-modules"]);
  return /^jdk\.compiler@/m.test(modules)
    ? undefined
    : "java is a runtime without a compiler (a JRE: it has no module jdk.compiler), where a JDK is needed";
}

function jarFolder(version: string): string {
  return join(cache, version);
}

/**
 * The folder with the jars of a Kafka broker, fetched from Maven Central the first time. Two processes may do so at the
 * same time: each fetches into a folder of its own, and the first to be ready gives it its name.
 */
export async function kafkaJars(version: string = DEFAULT_KAFKA_VERSION): Promise<string> {
  const folder = jarFolder(version);
  if (existsSync(folder)) return folder;
  await mkdir(cache, { recursive: true });
  const fetched = await mkdtemp(join(cache, `fetching-${version}-`));
  try {
    await run("mvn", [
      "-q",
      "-B",
      "-f",
      join(here, "pom.xml"),
      "dependency:copy-dependencies",
      `-Dkafka.version=${version}`,
      `-DoutputDirectory=${fetched}`,
    ]);
    await rename(fetched, folder).catch((error: unknown) => {
      if (!existsSync(folder)) throw error;
    });
  } finally {
    await rm(fetched, { recursive: true, force: true });
  }
  return folder;
}
