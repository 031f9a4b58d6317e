import { globSync, readFileSync } from "node:fs";
import { parsers } from "prettier/plugins/typescript";
import { ROOT } from "./code-blocks.ts";

/** A node of the syntax tree; only what is looked at here. */
interface Node {
  readonly type: string;
  readonly [part: string]: unknown;
}

/** A place in the sources where a line is logged. */
export interface LogCall {
  readonly file: string;
  readonly level: string;
  /** What it may say; what is put in at run time is an ellipsis. Empty when it is not written there. */
  readonly messages: readonly string[];
  readonly fields: ReadonlySet<string>;
  /** Whether more fields come from elsewhere. */
  readonly isOpen: boolean;
}

const LEVELS = new Set(["debug", "info", "warn", "error"]);

/** Every call of a logger in src/. */
export async function logCalls(): Promise<LogCall[]> {
  const calls: LogCall[] = [];
  for (const file of globSync("src/**/*.ts", { cwd: ROOT }).toSorted()) {
    const text = readFileSync(`${ROOT}${file}`, "utf8");
    if (!/logger/i.test(text)) continue;
    // The parser wants the options of a whole format, and reads none of them.
    const tree: unknown = await parsers.typescript.parse(text, {} as never);
    const constants = new Map<string, Node>();
    visit(tree, (node) => {
      if (node.type === "VariableDeclarator") constants.set(nameOf(node["id"]), node["init"] as Node);
    });
    visit(tree, (node) => {
      const call = callOf(node, constants);
      if (call !== undefined) calls.push({ file, ...call });
    });
  }
  return calls;
}

function callOf(node: Node, constants: ReadonlyMap<string, Node>): Omit<LogCall, "file"> | undefined {
  if (node.type !== "CallExpression") return undefined;
  const callee = node["callee"] as Node;
  if (callee.type !== "MemberExpression") return undefined;
  const level = nameOf(callee["property"]);
  if (!LEVELS.has(level) || !/logger$/i.test(nameOf(callee["object"]))) return undefined;
  const [fields, message] = node["arguments"] as readonly Node[];
  return {
    level,
    messages: textsOf(message?.type === "Identifier" ? constants.get(nameOf(message)) : message),
    ...fieldsOf(fields),
  };
}

/** `logger`, `this.#logger` and `this.#options.logger` are all `logger`. */
function nameOf(node: unknown): string {
  const { type, name, property } = node as Node;
  return type === "MemberExpression" ? nameOf(property) : typeof name === "string" ? name : "";
}

function fieldsOf(node: Node | undefined): Pick<LogCall, "fields" | "isOpen"> {
  const fields = new Set<string>();
  if (node?.type !== "ObjectExpression") return { fields, isOpen: true };
  let isOpen = false;
  for (const property of node["properties"] as readonly Node[]) {
    if (property.type === "Property") fields.add(nameOf(property["key"]));
    else isOpen = true;
  }
  return { fields, isOpen };
}

function textsOf(node: Node | undefined): readonly string[] {
  switch (node?.type) {
    case "Literal":
      return [String(node["value"])];
    case "TemplateLiteral": {
      const quasis = node["quasis"] as readonly { readonly value: { readonly cooked: string } }[];
      return [quasis.map(({ value }) => value.cooked).join("…")];
    }
    case "BinaryExpression":
      return textsOf(node["left"] as Node).flatMap((left) =>
        textsOf(node["right"] as Node).map((right) => left + right),
      );
    case "ConditionalExpression":
      return [...textsOf(node["consequent"] as Node), ...textsOf(node["alternate"] as Node)];
    default:
      return [];
  }
}

function visit(value: unknown, see: (node: Node) => void): void {
  if (Array.isArray(value)) {
    for (const each of value) visit(each, see);
  } else if (typeof value === "object" && value !== null && "type" in value) {
    see(value as Node);
    for (const part of Object.values(value)) visit(part, see);
  }
}
