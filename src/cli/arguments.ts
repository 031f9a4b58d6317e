import { parseArgs } from "node:util";
import { nearest } from "../nearest.ts";

/** The command line cannot be understood. Shown as it is, with exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** What a command line may hold. Flags that take a value are `string`, or `list` if they may be repeated. */
export interface ArgumentRules {
  readonly flags: Readonly<Record<string, "string" | "list" | "boolean">>;
  /** The names of what must stand there without a flag, in order. */
  readonly positionals: readonly string[];
}

/** What it holds. */
export interface Arguments {
  readonly strings: Readonly<Record<string, string | undefined>>;
  /** The values of the flags that may be repeated, in their order. */
  readonly lists: Readonly<Record<string, readonly string[] | undefined>>;
  readonly booleans: ReadonlySet<string>;
  readonly positionals: readonly string[];
}

/**
 * Reads a command line. On node's own `parseArgs`, which loads in no time (a liveness probe runs this every few
 * seconds); only its errors are our own, since they should name the nearest flag.
 *
 * @throws UsageError for an unknown flag, one without its value or with one that it does not take, one that is given
 * twice, and for too few or too many arguments.
 */
export function readArguments(args: readonly string[], rules: ArgumentRules): Arguments {
  const options = Object.fromEntries(
    Object.entries(rules.flags).map(([name, type]) => [
      name,
      { type: type === "boolean" ? type : ("string" as const) },
    ]),
  );
  const { tokens, positionals } = parseArgs({
    args: [...args],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const strings: Record<string, string> = {};
  const lists: Record<string, string[]> = {};
  const booleans = new Set<string>();
  for (const token of tokens) {
    if (token.kind !== "option") continue;
    const { name, rawName, value } = token;
    const type = Object.hasOwn(rules.flags, name) ? rules.flags[name] : undefined;
    if (type === undefined || rawName !== `--${name}`) {
      const near = nearest(name, Object.keys(rules.flags));
      throw new UsageError(
        `unknown flag ${rawName}` + (near === undefined ? "" : ` (the nearest is --${near})`),
      );
    }
    if (Object.hasOwn(strings, name) || booleans.has(name)) {
      throw new UsageError(`${rawName} is given twice`);
    }
    if (type === "boolean") {
      if (value !== undefined) throw new UsageError(`${rawName} takes no value`);
      booleans.add(name);
    } else {
      if (value === undefined || (!token.inlineValue && value.startsWith("-"))) {
        throw new UsageError(`${rawName} needs a value`);
      }
      if (type === "list") (lists[name] ??= []).push(value);
      else strings[name] = value;
    }
  }
  const missing = rules.positionals[positionals.length];
  if (missing !== undefined && !booleans.has("help")) throw new UsageError(`${missing} is missing`);
  const extra = positionals[rules.positionals.length];
  if (extra !== undefined) throw new UsageError(`unexpected argument ${JSON.stringify(extra)}`);
  return { strings, lists, booleans, positionals };
}
