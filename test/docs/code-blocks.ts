import { globSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const ROOT: string = fileURLToPath(new URL("../../", import.meta.url));

export interface CodeBlock {
  /** The page, relative to the project. */
  readonly page: string;
  /** The line of its first line of code, from 1. */
  readonly line: number;
  /** What stands behind the fence, such as `ts` or `ts run`. */
  readonly info: string;
  /** The file that it is, if its first line is a comment with a name. */
  readonly file: string | undefined;
  readonly code: string;
}

/** Every fenced block of the pages that users read. */
export function codeBlocks(): CodeBlock[] {
  const pages = ["README.md", "ARCHITECTURE.md", ...globSync("docs/**/*.md", { cwd: ROOT }).toSorted()];
  return pages.flatMap((page) => {
    const blocks: CodeBlock[] = [];
    const lines = readFileSync(`${ROOT}${page}`, "utf8").split("\n");
    for (let at = 0; at < lines.length; at++) {
      const info = /^```(.*)$/.exec(lines[at]!)?.[1];
      if (info === undefined) continue;
      const end = lines.indexOf("```", at + 1);
      if (end < 0) throw new Error(`${page}:${at + 1}: the fence is not closed`);
      const file = /^\/\/ ([\w.-]+\.ts)$/.exec(lines[at + 1]!)?.[1];
      const code = lines.slice(at + 1, end).join("\n");
      blocks.push({ page, line: at + 2, info: info.trim(), file, code });
      at = end;
    }
    return blocks;
  });
}
