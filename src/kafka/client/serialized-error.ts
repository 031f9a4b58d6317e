import { ConsumerError, ErrorCode, ProducerError } from "../../errors.ts";

/** An error as it crosses a thread boundary: structured clone would lose its class and its code. */
export interface SerializedError {
  readonly name: string;
  readonly code: string | undefined;
  readonly message: string;
  readonly stack: string | undefined;
  readonly cause: SerializedError | undefined;
}

const MAX_CAUSES = 8;

export function serializeError(error: unknown, depth: number = 0): SerializedError {
  if (!(error instanceof Error)) {
    return { name: "Error", code: undefined, message: String(error), stack: undefined, cause: undefined };
  }
  const code = (error as { code?: unknown }).code;
  return {
    name: error.name,
    code: typeof code === "string" ? code : undefined,
    message: error.message,
    stack: error.stack,
    cause:
      error.cause === undefined || depth >= MAX_CAUSES ? undefined : serializeError(error.cause, depth + 1),
  };
}

const ARROYO_CODES: ReadonlySet<string> = new Set(Object.values(ErrorCode));

/** The error again, with its code and causes. Errors of this library become ones that its users can recognise. */
export function deserializeError(serialized: SerializedError, side: "consumer" | "producer"): Error {
  const { code, message, name, stack } = serialized;
  const cause = serialized.cause === undefined ? undefined : deserializeError(serialized.cause, side);
  const options = cause === undefined ? {} : { cause };
  let error: Error;
  if (code !== undefined && ARROYO_CODES.has(code)) {
    const Side = side === "consumer" ? ConsumerError : ProducerError;
    error = new Side(message, { ...options, code: code as ErrorCode });
  } else {
    error = new Error(message, options);
    error.name = name;
    if (code !== undefined) Object.assign(error, { code });
  }
  if (stack !== undefined) error.stack = stack;
  return error;
}
