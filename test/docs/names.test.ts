import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { COMMON_SETTINGS } from "../../src/kafka/config-common.ts";
import { CONSUMER_SETTINGS } from "../../src/kafka/config-consumer.ts";
import { PRODUCER_SETTINGS } from "../../src/kafka/config-producer.ts";
import { METRICS } from "../../src/metrics/names.ts";
import { prometheusShape } from "../../src/metrics/prometheus-names.ts";
import { codeBlocks, ROOT } from "./code-blocks.ts";

const pages = ["README.md", "CHANGELOG.md", ...globSync("docs/**/*.md", { cwd: ROOT })];
const textOf = (page: string): string => readFileSync(`${ROOT}${page}`, "utf8");

/** What only Arroyo for Python has: metrics of librdkafka, and modules. */
const ELSEWHERE = /^arroyo\.(consumer\.librdkafka|commit$)/;

/** What stands there and is not known, with its page. */
function unknown(pattern: RegExp, isKnown: (name: string) => boolean): string[] {
  return pages.flatMap((page) =>
    [...textOf(page).matchAll(pattern)]
      .map(([name]) => name)
      .filter((name) => !isKnown(name))
      .map((name) => `${page}: ${name}`),
  );
}

describe("the docs name only what there is", () => {
  it("flags of the command, in every command line that they show", () => {
    const helps = new Map(
      (["run", "healthcheck", "dlq-replay"] as const).map((name) => [
        name.replace("-", " "),
        textOf(`src/cli/${name}.ts`),
      ]),
    );
    const lines = codeBlocks().flatMap(({ page, code }) =>
      code.split("\n").flatMap((line) => {
        const [, command] = /\barroyo (run|healthcheck|dlq replay) /.exec(line) ?? [];
        return command === undefined ? [] : [{ page, line, command }];
      }),
    );
    assert.ok(lines.length > 5);
    for (const { page, line, command } of lines) {
      for (const [flag] of line.matchAll(/(?<=\s)--[a-z][a-z-]*/g)) {
        assert.ok(helps.get(command)!.includes(`  ${flag} `), `${page}: arroyo ${command} has no ${flag}`);
      }
    }
  });

  it("metrics, under their own names and under those that they have in Prometheus", () => {
    const names = new Set<string>(METRICS.keys());
    const settings = new Set(
      [COMMON_SETTINGS, CONSUMER_SETTINGS, PRODUCER_SETTINGS].flatMap((table) => Object.keys(table)),
    );
    // A name may stand for all that begin with it.
    const isName = (name: string): boolean =>
      names.has(name) || settings.has(name) || [...names].some((one) => one.startsWith(`${name}.`));
    assert.deepEqual(
      unknown(/(?<=`)arroyo\.[a-z_.]+[a-z](?=`)/g, (name) => isName(name) || ELSEWHERE.test(name)),
      [],
    );
    const inPrometheus = new Set(
      [...METRICS].map(([name, definition]) => prometheusShape(name, definition).name),
    );
    assert.deepEqual(
      unknown(/\barroyo_[a-z_]+[a-z]\b/g, (name) =>
        [name, name.replace(/_(bucket|count|sum)$/, "")].some((one) => inPrometheus.has(one)),
      ),
      [],
    );
  });
});
