import { InvalidMessage, InvalidStateError } from "../errors.ts";
import type { Message } from "../message/message.ts";
import type { KafkaPayload } from "../message/payload.ts";

/** One step of the way to a value that does not fit: a key or an index, or an object that holds it. */
type PathSegment = PropertyKey | { readonly key: PropertyKey };

/** What a schema says of a value. */
type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly { readonly path?: readonly PathSegment[] | undefined }[] };

/**
 * A schema of zod, valibot, arktype or any other library that follows Standard Schema (standardschema.dev), version 1.
 * Only what is needed of it.
 */
export interface StandardSchema<out Output> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined;
  };
}

/** So many places are named at most: a payload of another kind may not fit anywhere. */
const MAX_PLACES = 5;

/**
 * A function for `RunTask` that parses the value of a Kafka message as JSON and checks it with a schema. What fits goes
 * on as the schema gives it back. What does not is an {@link InvalidMessage}, whose reason says
 * - `decode error`: the value is no JSON;
 * - `schema error`: it is, but not of the kind that the schema wants, with the places that are wrong.
 *
 * A reason never holds a value of the payload. A tombstone is `null`, for the schema to judge.
 *
 * ```ts
 * new RunTask(decodeJson(Order), next)      // or pipeline().decodeJson(Order)
 * ```
 *
 * A schema that checks asynchronously is refused (InvalidStateError): look things up in `mapConcurrently` instead.
 */
export function decodeJson<Output>(
  schema: StandardSchema<Output>,
): (message: Message<KafkaPayload>) => Output {
  const { validate } = schema["~standard"];
  return (message) => {
    const result = validate(parsed(message));
    if (result instanceof Promise) {
      result.catch(() => {});
      throw new InvalidStateError(
        `decodeJson: the schema (of ${schema["~standard"].vendor}) checks asynchronously. Leave that out of the schema, ` +
          "and do it in mapConcurrently.",
      );
    }
    if (result.issues === undefined) return result.value;
    throw InvalidMessage.from(message, { reason: `schema error: ${described(result.issues)}` });
  };
}

function parsed(message: Message<KafkaPayload>): unknown {
  try {
    return message.payload.json();
  } catch (error) {
    // No cause: the words of the parser quote the payload. Where it gave up is of use, and gives nothing away.
    const position = /position (\d+)/.exec((error as Error).message)?.[1];
    throw InvalidMessage.from(message, {
      reason: `decode error: the value is no JSON${position === undefined ? "" : ` from position ${position} on`}`,
    });
  }
}

function described(issues: readonly { readonly path?: readonly PathSegment[] | undefined }[]): string {
  const places = new Set(
    issues.map(({ path = [] }) => (path.length === 0 ? "the whole value" : placeOf(path))),
  );
  const named = [...places].slice(0, MAX_PLACES).join(", ");
  return places.size > MAX_PLACES ? `${named} and ${places.size - MAX_PLACES} more` : named;
}

/** `items[0].id`. */
function placeOf(path: readonly PathSegment[]): string {
  return path
    .map((segment) => (typeof segment === "object" ? segment.key : segment))
    .map((key, at) => (typeof key === "number" ? `[${key}]` : `${at === 0 ? "" : "."}${String(key)}`))
    .join("");
}
