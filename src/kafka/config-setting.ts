import type { OAuthBearerTokenRefresh } from "./oauthbearer.ts";

interface Named {
  /** Other names that librdkafka has for the same key. */
  readonly aliases?: readonly string[];
  /** Whether its value must never be printed. */
  readonly secret?: true;
  /** Whether it must be given. */
  readonly required?: true;
}

/** A whole number (`integer`) or any number, in a range. */
export interface NumberSetting extends Named {
  readonly type: "integer" | "number";
  readonly min: number;
  readonly max: number;
  readonly default: number;
}

export interface BooleanSetting extends Named {
  readonly type: "boolean";
  readonly default: boolean;
}

export interface StringSetting extends Named {
  readonly type: "string";
  readonly default?: string;
}

/** One of some words; each with the value that it stands for, so that synonyms share one. */
export interface EnumSetting extends Named {
  readonly type: "enum";
  readonly values: Readonly<Record<string, string | number>>;
  readonly default?: string | number;
}

/** Some of some words, separated by commas or as an array. */
export interface ListSetting extends Named {
  readonly type: "list";
  readonly values: readonly string[];
  readonly default: readonly string[];
}

/** Brokers as `host:port`, separated by commas or as an array. */
export interface ServersSetting extends Named {
  readonly type: "servers";
}

/** A function of the user's. It stays on the main thread, since functions cannot cross to another. */
export interface CallbackSetting extends Named {
  readonly type: "callback";
}

/** A key of librdkafka's that can have one value only here: any other is refused, with the reason. */
export interface FixedSetting extends Named {
  readonly type: "fixed";
  readonly value: boolean | string;
  /** Why, as the end of a sentence. */
  readonly why: string;
}

/** A row of the configuration table. */
export type Setting =
  | NumberSetting
  | BooleanSetting
  | StringSetting
  | EnumSetting
  | ListSetting
  | ServersSetting
  | CallbackSetting
  | FixedSetting;

export type SettingTable = Readonly<Record<string, Setting>>;

/** A broker to ask first. */
export interface BootstrapServer {
  readonly host: string;
  readonly port: number;
}

// `as const` makes the table's rows literal types; what follows turns them into the types of the values.
type AnyCase<Word extends string> = Word | Uppercase<Word> | Lowercase<Word>;
type AsNumber<Word> = Word extends `${infer Number extends number}` ? Number : never;

/** What may be given for a setting. Numbers and booleans may be spelt as strings, as in librdkafka. */
type Given<S> = S extends { type: "integer" | "number" }
  ? number | `${number}`
  : S extends { type: "boolean" }
    ? boolean | "true" | "false"
    : S extends { type: "string" }
      ? string
      : S extends { type: "enum"; values: infer Values }
        ? AnyCase<keyof Values & string> | AsNumber<keyof Values>
        : S extends { type: "list"; values: readonly (infer Word)[] }
          ? string | readonly Word[]
          : S extends { type: "servers" }
            ? string | readonly string[]
            : S extends { type: "callback" }
              ? OAuthBearerTokenRefresh
              : S extends { type: "fixed"; value: infer Value extends string | boolean }
                ? Value | `${Value}`
                : never;

/** What a setting becomes once it is validated. */
type Resolved<S> = S extends { type: "integer" | "number" }
  ? number
  : S extends { type: "boolean" }
    ? boolean
    : S extends { type: "string"; default: string } | { type: "string"; required: true }
      ? string
      : S extends { type: "string" }
        ? string | undefined
        : S extends { type: "enum"; values: infer Values; default: unknown }
          ? Values[keyof Values]
          : S extends { type: "enum"; values: infer Values }
            ? Values[keyof Values] | undefined
            : S extends { type: "list"; values: readonly (infer Word)[] }
              ? readonly Word[]
              : S extends { type: "servers" }
                ? readonly BootstrapServer[]
                : S extends { type: "callback" }
                  ? OAuthBearerTokenRefresh | undefined
                  : never;

type Keys<Table> = { [Key in keyof Table]: Table[Key] extends { type: "fixed" } ? never : Key }[keyof Table];
type AliasOf<S> = S extends { aliases: readonly (infer Alias extends string)[] } ? Alias : never;
type AliasesOf<Table> = { [Key in keyof Table as AliasOf<Table[Key]>]: Table[Key] };

/** What a user may give for a table: every key and every alias, all optional. */
export type GivenConfig<Table> = {
  readonly [Key in keyof Table]?: Given<Table[Key]> | undefined;
} & {
  readonly [Alias in keyof AliasesOf<Table>]?: Given<AliasesOf<Table>[Alias]> | undefined;
};

/** What a table resolves to: every key but the fixed ones, under its first name, with its default filled in. */
export type ResolvedConfig<Table> = { readonly [Key in Keys<Table>]: Resolved<Table[Key]> };
