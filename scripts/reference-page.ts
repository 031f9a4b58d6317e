import { readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { PublicNames, type PublicMember, type PublicName } from "./public-names.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

const HEAD = `# Reference

<!-- Made from the doc comments in src/ by \`npm run docs\`: change them there. -->

Every public name with what its doc comment promises, by entry point. Settings, metrics and error codes have pages of their own:
[configuration](configuration.md), [metrics](metrics.md), [errors](errors.md).
`;

/** docs/reference.md, before formatting. @throws Error for a public name without a doc comment. */
export async function referencePage(): Promise<string> {
  const { exports } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
    readonly exports: Readonly<Record<string, string | { readonly default: string }>>;
  };
  const names = new PublicNames();
  const parts = [HEAD];
  const seen = new Set<string>();
  for (const [entry, target] of Object.entries(exports)) {
    if (typeof target === "string") continue;
    const index = join(ROOT, target.default.replace("./dist/", "src/").replace(/\.js$/, ".ts"));
    parts.push(`## \`${join("arroyo", entry)}\``);
    const found = await names.of(index);
    for (const one of found.toSorted((a, b) => a.name.localeCompare(b.name, "en"))) {
      if (one.doc === "") throw new Error(`${one.name} (${relative(ROOT, one.file)}) has no doc comment`);
      const key = `${one.file} ${one.name}`;
      if (seen.has(key)) parts.push(`### ${one.name}\n\nThe same as above.`);
      else parts.push(section(one));
      seen.add(key);
    }
  }
  return parts.join("\n\n");
}

/** What is longer is better read in the source. */
const MAX_SIGNATURE = 400;

function section({ name, kind, file, signature, doc, members }: PublicName): string {
  const source = relative(join(ROOT, "docs"), file);
  const isShown = signature.length <= MAX_SIGNATURE;
  return [
    `### ${name}`,
    `${kind}, in [${relative(ROOT, file)}](${source})`,
    isShown ? `\`\`\`text\n${signature}\n\`\`\`` : "",
    text(doc),
    members.map(item).join("\n"),
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

function item({ signature, doc }: PublicMember): string {
  const [first = ""] = text(doc).split("\n\n");
  const code = signature.includes("`") ? `\`\` ${signature} \`\`` : `\`${signature}\``;
  return first === "" ? `- ${code}` : `- ${code}: ${first.replaceAll("\n", " ")}`;
}

/** A doc comment as Markdown: links become code, and tags sentences. */
function text(doc: string): string {
  return (
    doc
      .replaceAll(
        /\{@link\s+([^}|]+?)(?:\s*\|\s*([^}]+))?\}/g,
        (_all, name: string, shown?: string) => `\`${shown ?? name}\``,
      )
      // Parts of programs, which do not compile by themselves.
      .replaceAll(/^```ts$/gm, "```typescript")
      .replaceAll(/@throws\s+/g, "Throws ")
      .replaceAll(/^@param\s+(\w+)\s+/gm, "- `$1`: ")
      .replaceAll(/^@returns\s+/gm, "Returns ")
      .trim()
  );
}
