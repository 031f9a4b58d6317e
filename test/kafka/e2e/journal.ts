import { closeSync, fstatSync, openSync, readFileSync, readSync, writeSync } from "node:fs";

/** A message that was handled, as its line says. */
export interface HandledMessage {
  readonly partition: number;
  readonly offset: number;
  readonly value: string;
}

/** What a member writes down, in the order in which it happens. Times are in ms since the epoch. */
export type JournalEntry =
  | ({ readonly kind: "handled" } & HandledMessage)
  /** Partitions have come, with the offsets that are read first. */
  | { readonly kind: "assigned"; readonly atMs: number; readonly offsets: ReadonlyMap<number, number> }
  /** Partitions were handed over in good order, but see "late". */
  | { readonly kind: "revoked"; readonly atMs: number; readonly partitions: readonly number[] }
  /** Partitions were somebody else's already. */
  | { readonly kind: "lost"; readonly atMs: number; readonly partitions: readonly number[] }
  /** The broker has acknowledged a commit. */
  | { readonly kind: "committed"; readonly atMs: number; readonly offsets: ReadonlyMap<number, number> }
  /** A drain, or the commit at its end, ran out of time: what is not done will be handled again. */
  | { readonly kind: "late"; readonly atMs: number };

type Written<Kind extends JournalEntry["kind"]> = Omit<
  Extract<JournalEntry, { readonly kind: Kind }>,
  "kind" | "atMs"
>;

/** The journal of a member. Each entry is in the file when the call returns: a kill -9 cannot take it back. */
export class Journal implements Disposable {
  readonly #file: number;

  constructor(path: string) {
    this.#file = openSync(path, "a");
  }

  handled({ partition, offset, value }: HandledMessage): void {
    writeSync(this.#file, `${partition} ${offset} ${value}\n`);
  }

  assigned({ offsets }: Written<"assigned">): void {
    this.#note("assigned", inWords(offsets));
  }

  revoked({ partitions }: Written<"revoked">): void {
    this.#note("revoked", partitions.join(","));
  }

  lost({ partitions }: Written<"lost">): void {
    this.#note("lost", partitions.join(","));
  }

  committed({ offsets }: Written<"committed">): void {
    this.#note("committed", inWords(offsets));
  }

  late(): void {
    this.#note("late", "");
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }

  #note(kind: JournalEntry["kind"], what: string): void {
    writeSync(this.#file, `${kind} ${Date.now()} ${what}\n`);
  }
}

/** Reads a journal while it is written: each time what has come since. */
export class JournalReader {
  readonly #path: string;
  #position = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** What has been written since the last call. The last line of a process that was killed may be cut short: it is left. */
  read(): JournalEntry[] {
    let file;
    try {
      file = openSync(this.#path, "r");
    } catch {
      return [];
    }
    try {
      const bytes = Buffer.alloc(fstatSync(file).size - this.#position);
      const length = readSync(file, bytes, 0, bytes.length, this.#position);
      const end = bytes.lastIndexOf("\n", length - 1) + 1;
      this.#position += end;
      return entriesIn(bytes.toString("utf8", 0, end));
    } finally {
      closeSync(file);
    }
  }
}

/** What was handled, in the order in which it was. */
export function handledIn(path: string): HandledMessage[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return [];
  }
  return entriesIn(text.slice(0, text.lastIndexOf("\n") + 1)).filter((entry) => entry.kind === "handled");
}

function entriesIn(text: string): JournalEntry[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map(entryOf);
}

function entryOf(line: string): JournalEntry {
  const [first = "", second = "", third = ""] = line.split(" ", 3);
  const atMs = Number(second);
  switch (first) {
    case "assigned":
    case "committed":
      return { kind: first, atMs, offsets: new Map(listIn(third).map((pair) => offsetIn(pair))) };
    case "revoked":
    case "lost":
      return { kind: first, atMs, partitions: listIn(third).map(Number) };
    case "late":
      return { kind: first, atMs };
    default:
      return { kind: "handled", partition: Number(first), offset: Number(second), value: third };
  }
}

function inWords(offsets: ReadonlyMap<number, number>): string {
  return [...offsets].map(([partition, offset]) => `${partition}:${offset}`).join(",");
}

function listIn(words: string): string[] {
  return words === "" ? [] : words.split(",");
}

function offsetIn(pair: string): [number, number] {
  const [partition, offset] = pair.split(":");
  return [Number(partition), Number(offset)];
}
