import { readFileSync } from "node:fs";
import { COMMON_SETTINGS } from "../src/kafka/config-common.ts";
import { CONSUMER_SETTINGS } from "../src/kafka/config-consumer.ts";
import { PRODUCER_SETTINGS } from "../src/kafka/config-producer.ts";
import type { Setting, SettingTable } from "../src/kafka/config-setting.ts";
import { UNSUPPORTED_SETTINGS } from "../src/kafka/config-unsupported.ts";
import { rangeOf } from "../src/kafka/config-value.ts";

const HEAD = `# Configuration of \`KafkaConsumer\` and \`KafkaProducer\`

<!-- Made from the table in src/kafka/config-*.ts by \`npm run docs\`: change it there. -->

The keys are librdkafka's, with its defaults, so that settings of existing services carry over; keys of this library's
own start with \`arroyo.\`. A misspelt key or a value of the wrong type fails to compile. At run time everything is
checked before any connection is made: a setting that is unknown, out of its range, of the wrong type, in
contradiction to another, or without effect is a \`ConfigurationError\` that names it and says what to do. Passwords and
private keys are never shown.

Numbers and booleans may also be given as strings (\`"45000"\`, \`"true"\`), and words in any case (\`"SASL_SSL"\`).
Times are in milliseconds.
`;

function typeOf(setting: Setting): string {
  switch (setting.type) {
    case "integer":
    case "number":
      return rangeOf(setting);
    case "boolean":
      return "true, false";
    case "string":
      return "string";
    case "enum":
      return Object.keys(setting.values).join(", ");
    case "list":
      return `some of ${setting.values.join(", ")}`;
    case "servers":
      return "host:port, ...";
    case "callback":
      return "function";
    case "fixed":
      return String(setting.value);
  }
}

function defaultOf(setting: Setting): string {
  if (setting.required === true) return "must be given";
  if (!("default" in setting) || setting.default === undefined || setting.default === "") return "";
  if (setting.type === "list") return setting.default.join(",");
  if (setting.type !== "enum") return String(setting.default);
  return Object.keys(setting.values).find((word) => setting.values[word] === setting.default)!;
}

/** The doc comment of each row of a table: there they serve editors, too. */
function commentsIn(file: string): Map<string, string> {
  const source = readFileSync(new URL(`../src/kafka/${file}`, import.meta.url), "utf8");
  const rows = source.matchAll(/^ {2}\/\*\*(.*?)\*\/\n {2}"?([\w.]+)"?: \{/gms);
  return new Map(
    [...rows].map(([, comment, key]) => [
      key!,
      comment!
        .replaceAll(/\n {3}\*/g, "")
        .replaceAll(/\s+/g, " ")
        .trim(),
    ]),
  );
}

function row(key: string, setting: Setting, meaning: string | undefined): string {
  if (meaning === undefined) throw new Error(`the setting ${key} has no comment`);
  const aliases = (setting.aliases ?? []).map((alias) => `\`${alias}\``).join(", ");
  const name = `\`${key}\`` + (aliases === "" ? "" : `<br>(also ${aliases})`);
  return `| ${name} | ${typeOf(setting)} | ${defaultOf(setting)} | ${meaning} |`;
}

function section(title: string, table: SettingTable, file: string): string {
  const comments = commentsIn(file);
  const rows = Object.entries(table).filter(([, setting]) => setting.type !== "fixed");
  return [
    `## ${title}\n`,
    "| Key | Values | Default | Meaning |",
    "| --- | --- | --- | --- |",
    ...rows.map(([key, setting]) => row(key, setting, comments.get(key))),
    "",
  ].join("\n");
}

function fixed(): string {
  const rows = Object.entries({ ...CONSUMER_SETTINGS, ...PRODUCER_SETTINGS }).flatMap(([key, setting]) =>
    setting.type === "fixed" ? [`- \`${key}\` can only be \`${setting.value}\`: ${setting.why}.`] : [],
  );
  return `## Accepted with one value only\n\n${rows.join("\n")}\n`;
}

function unsupported(): string {
  const rows = UNSUPPORTED_SETTINGS.map(
    ({ keys, why }) => `- ${keys.map((key) => `\`${key}\``).join(", ")}: ${why}`,
  );
  return (
    "## Refused\n\nKeys that are known from librdkafka or from Java and would do nothing here. They are refused, since a " +
    `setting that is silently ignored is worse than an error at start.\n\n${rows.join("\n")}\n`
  );
}

/** docs/configuration.md, before formatting. */
export function configurationPage(): string {
  return [
    HEAD,
    section("Consumers and producers", COMMON_SETTINGS, "config-common.ts"),
    section("Consumers", CONSUMER_SETTINGS, "config-consumer.ts"),
    section("Producers", PRODUCER_SETTINGS, "config-producer.ts"),
    fixed(),
    unsupported(),
  ].join("\n");
}
