import { UsageError } from "./arguments.ts";

/** Settings of the clients from the command line. */
export type SetSettings = Readonly<Record<string, string | number | boolean>>;

/** What `--set KEY=VALUE` says, each time that it is given. @throws UsageError for what is none, and for a key given twice. */
export function readSet(list: readonly string[] = []): SetSettings {
  const settings: Record<string, string | number | boolean> = {};
  for (const text of list) {
    const at = text.indexOf("=");
    // The value may be a secret.
    if (at <= 0) throw new UsageError("--set needs KEY=VALUE");
    const [key, value] = [text.slice(0, at), text.slice(at + 1)];
    if (Object.hasOwn(settings, key)) throw new UsageError(`--set ${key} is given twice`);
    settings[key] = /^(true|false|-?\d+(\.\d+)?)$/.test(value)
      ? (JSON.parse(value) as number | boolean)
      : value;
  }
  return settings;
}
