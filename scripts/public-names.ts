import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parsers } from "prettier/plugins/typescript";

/** A member of a class or an interface that users see. */
export interface PublicMember {
  /** As it stands in the source, without its body. */
  readonly signature: string;
  readonly doc: string;
}

/** Something that an entry point exports. */
export interface PublicName {
  readonly name: string;
  readonly kind: string;
  /** Its declaration in one line, without its body. */
  readonly signature: string;
  /** Where it is declared. */
  readonly file: string;
  /** Its doc comment, without the stars; empty when there is none. */
  readonly doc: string;
  readonly members: readonly PublicMember[];
}

/** A node of the syntax tree; only what is looked at here. */
interface Node {
  readonly type: string;
  readonly range: readonly [number, number];
  readonly [part: string]: unknown;
}

interface Source {
  readonly text: string;
  readonly body: readonly Node[];
  /** Doc comments, by where they end. */
  readonly docs: readonly { readonly end: number; readonly doc: string }[];
}

const KINDS: Readonly<Record<string, string>> = {
  ClassDeclaration: "Class",
  FunctionDeclaration: "Function",
  TSDeclareFunction: "Function",
  TSInterfaceDeclaration: "Interface",
  TSTypeAliasDeclaration: "Type",
  VariableDeclaration: "Constant",
};

/** Finds what entry points export, and where it is declared. */
export class PublicNames {
  readonly #sources = new Map<string, Promise<Source>>();

  /** What a file exports, also what it passes on from others. */
  async of(file: string): Promise<PublicName[]> {
    const { body } = await this.#source(file);
    const names: PublicName[] = [];
    for (const node of body) {
      if (node.type !== "ExportNamedDeclaration") continue;
      const from = (node["source"] as Node | null)?.["value"];
      if (typeof from === "string") {
        for (const specifier of node["specifiers"] as readonly Node[]) {
          const [local, exported] = [nameOf(specifier["local"]), nameOf(specifier["exported"])];
          const found = await this.#declared(join(dirname(file), from), local);
          names.push({ ...found, name: exported });
        }
      } else if (node["declaration"] !== null) {
        const name = declaredBy(node["declaration"] as Node);
        if (!names.some((one) => one.name === name)) names.push(await this.#declared(file, name));
      }
    }
    return names;
  }

  async #declared(file: string, name: string): Promise<PublicName> {
    const source = await this.#source(file);
    for (const node of source.body) {
      if (node.type !== "ExportNamedDeclaration" || node["declaration"] === null) continue;
      const declaration = node["declaration"] as Node;
      if (declaredBy(declaration) !== name) continue;
      const kind = KINDS[declaration.type] ?? declaration.type;
      return {
        name,
        kind,
        file,
        signature: declarationOf(source.text, declaration),
        doc: docBefore(source, node),
        members: membersOf(source, declaration),
      };
    }
    const passedOn = (await this.of(file)).find((one) => one.name === name);
    if (passedOn === undefined) throw new Error(`${file} does not export ${name}`);
    return passedOn;
  }

  #source(file: string): Promise<Source> {
    let source = this.#sources.get(file);
    if (source === undefined) this.#sources.set(file, (source = parsed(readFileSync(file, "utf8"))));
    return source;
  }
}

async function parsed(text: string): Promise<Source> {
  // The parser wants the options of a whole format, and reads none of them.
  const tree = (await parsers.typescript.parse(text, {} as never)) as {
    readonly body: readonly Node[];
    readonly comments: readonly { readonly value: string; readonly range: readonly [number, number] }[];
  };
  const docs = tree.comments
    .filter(({ value }) => value.startsWith("*"))
    .map(({ value, range }) => ({ end: range[1], doc: withoutStars(value.slice(1)) }));
  return { text, body: tree.body, docs };
}

function withoutStars(comment: string): string {
  return comment
    .split("\n")
    .map((line) => line.replace(/^\s*\* ?/, ""))
    .join("\n")
    .trim();
}

/** The doc comment that stands right before a node. */
function docBefore({ text, docs }: Source, node: Node): string {
  const [start] = node.range;
  return docs.findLast(({ end }) => end <= start && text.slice(end, start).trim() === "")?.doc ?? "";
}

function nameOf(node: unknown): string {
  const { name, value } = node as { readonly name?: string; readonly value?: string };
  return name ?? value ?? "";
}

function declaredBy(declaration: Node): string {
  const [variable] = (declaration["declarations"] ?? []) as readonly Node[];
  return nameOf((variable ?? declaration)["id"]);
}

function membersOf(source: Source, declaration: Node): PublicMember[] {
  const inside = declaration["body"] as Node | undefined;
  if (!Array.isArray(inside?.["body"]) || declaration.type === "FunctionDeclaration") return [];
  return (inside["body"] as readonly Node[])
    .filter((member) => isPublic(member))
    .map((member) => ({ signature: signatureOf(source.text, member), doc: docBefore(source, member) }));
}

function isPublic(member: Node): boolean {
  if (member.type === "StaticBlock" || member["accessibility"] === "private") return false;
  if (member["computed"] === true || member["kind"] === "set" || member["override"] === true) return false;
  return (member["key"] as Node | undefined)?.type !== "PrivateIdentifier";
}

/** A type as it is, a constant without its value, anything else up to its body. */
function declarationOf(text: string, declaration: Node): string {
  const [start, end] = declaration.range;
  const [variable] = (declaration["declarations"] ?? []) as readonly Node[];
  const value = (variable?.["init"] ?? declaration["body"]) as Node | null | undefined;
  const isValue = declaration.type !== "TSTypeAliasDeclaration" && value !== null && value !== undefined;
  return inOneLine(text.slice(start, isValue ? value.range[0] : end));
}

function inOneLine(code: string): string {
  return code
    .replaceAll(/\s*\/\*\*.*?\*\//gs, "")
    .replaceAll(/\s+/g, " ")
    .replace(/[\s;={]+$/, "")
    .trim();
}

/** A member up to its body, or to its value, in one line. */
function signatureOf(text: string, member: Node): string {
  const [start, end] = member.range;
  const value = member["value"] as Node | null | undefined;
  const body = (value?.["body"] ?? value) as Node | null | undefined;
  const until = value === null || value === undefined || body === null ? end : body!.range[0];
  return inOneLine(text.slice(start, until));
}
