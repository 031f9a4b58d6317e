import { InvalidMessage, MessageRejected, WorkerError } from "../errors.ts";
import { Partition } from "../message/partition.ts";

/** An error as it crosses from a worker: structured clone would lose its class, its code and its cause's. */
export interface Thrown {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly code: string | number | undefined;
  readonly cause: Thrown | undefined;
  /** The others, of an AggregateError. */
  readonly errors: readonly Thrown[] | undefined;
  /** Set for an InvalidMessage. */
  readonly invalid: ThrownInvalid | undefined;
}

interface ThrownInvalid {
  readonly topic: string;
  readonly index: number;
  readonly offset: number;
  readonly reason: string | undefined;
  readonly needsCommit: boolean;
  readonly logged: boolean;
}

/** Longer chains of causes are cut here: an error that causes itself has no end. */
const MAX_DEPTH = 16;

/** Everything of a thrown value that its receiver could want to know. */
export function packThrown(error: unknown, depth: number = 0): Thrown {
  if (!(error instanceof Error)) {
    const message = typeof error === "string" ? error : `Thrown, but not an Error: ${String(error)}`;
    return {
      name: "Error",
      message,
      stack: undefined,
      code: undefined,
      cause: undefined,
      errors: undefined,
      invalid: undefined,
    };
  }
  const { code } = error as { code?: unknown };
  const deeper = depth < MAX_DEPTH;
  return {
    name: error.name,
    message: error.message,
    stack: error.stack,
    code: typeof code === "string" || typeof code === "number" ? code : undefined,
    cause: error.cause === undefined || !deeper ? undefined : packThrown(error.cause, depth + 1),
    errors:
      error instanceof AggregateError && deeper
        ? error.errors.map((one) => packThrown(one, depth + 1))
        : undefined,
    invalid: InvalidMessage.is(error)
      ? {
          topic: error.partition.topic.name,
          index: error.partition.index,
          offset: error.offset,
          reason: error.reason,
          needsCommit: error.needsCommit,
          logged: error.logged,
        }
      : undefined,
  };
}

const STANDARD: Readonly<Record<string, new (message: string, options?: ErrorOptions) => Error>> = {
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
};

/** The error again, with its name, message, stack, code and causes. An InvalidMessage is one again. */
export function unpackThrown(thrown: Thrown): Error {
  const options = thrown.cause === undefined ? undefined : { cause: unpackThrown(thrown.cause) };
  const error = rebuild(thrown, options);
  if (error.name !== thrown.name) error.name = thrown.name;
  if (thrown.stack !== undefined) error.stack = thrown.stack;
  if (thrown.code !== undefined) Object.assign(error, { code: thrown.code });
  if (!MessageRejected.is(error)) return error;
  // It would be taken for a rejection of the next step, and the message would be tried again for ever.
  return new WorkerError(
    "A task threw MessageRejected in a worker. A worker cannot hold the consumer: throw an InvalidMessage, or another " +
      "error.",
    { cause: new Error(thrown.message) },
  );
}

function rebuild(thrown: Thrown, options: ErrorOptions | undefined): Error {
  const { invalid } = thrown;
  if (invalid !== undefined) {
    const { topic, index, offset, reason, needsCommit, logged } = invalid;
    return new InvalidMessage(Partition.of(topic, index), offset, {
      reason,
      needsCommit,
      logged,
      cause: options?.cause,
    });
  }
  if (thrown.errors !== undefined) {
    return new AggregateError(thrown.errors.map(unpackThrown), thrown.message, options);
  }
  return new (STANDARD[thrown.name] ?? Error)(thrown.message, options);
}
