import type { Partition } from "./message/partition.ts";
import type { Message } from "./message/message.ts";

/**
 * The codes of every error that this library throws on purpose. They are stable: match on them, not on messages.
 */
export const ErrorCode = {
  MESSAGE_REJECTED: "ARROYO_MESSAGE_REJECTED",
  INVALID_MESSAGE: "ARROYO_INVALID_MESSAGE",
  CONSUMER: "ARROYO_CONSUMER",
  PRODUCER: "ARROYO_PRODUCER",
  PRODUCER_QUEUE_FULL: "ARROYO_PRODUCER_QUEUE_FULL",
  RECOVERABLE: "ARROYO_RECOVERABLE",
  END_OF_PARTITION: "ARROYO_END_OF_PARTITION",
  OFFSET_OUT_OF_RANGE: "ARROYO_OFFSET_OUT_OF_RANGE",
  CORRUPT_BATCH: "ARROYO_CORRUPT_BATCH",
  COMMIT_FAILED: "ARROYO_COMMIT_FAILED",
  COMMIT_LOG: "ARROYO_COMMIT_LOG",
  INVALID_STATE: "ARROYO_INVALID_STATE",
  CONFIGURATION: "ARROYO_CONFIGURATION",
  DEADLINE: "ARROYO_DEADLINE",
  DLQ: "ARROYO_DLQ",
  DLQ_LIMIT: "ARROYO_DLQ_LIMIT",
  STORAGE: "ARROYO_STORAGE",
  TRANSPORT: "ARROYO_TRANSPORT",
  AUTHENTICATION: "ARROYO_AUTHENTICATION",
  UNSUPPORTED_BROKER: "ARROYO_UNSUPPORTED_BROKER",
  CLOSED: "ARROYO_CLOSED",
  WORKER: "ARROYO_WORKER",
} as const;

/** One of {@link ErrorCode}'s values. */
export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode];

function hasCode(error: unknown, code: ErrorCode): boolean {
  return typeof error === "object" && error !== null && (error as { code?: unknown }).code === code;
}

/**
 * The base of every error of this library: a stable {@link ErrorCode} in `code`, and the error beneath it in `cause`.
 *
 * Recognise errors by `code` (or with the `is` of their class), never by `instanceof` alone: an error that crossed a
 * worker, or came from a second installed copy, has lost its class but not its code.
 */
export class ArroyoError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
    this.name = new.target.name;
  }
}

/**
 * Thrown by `submit` when a strategy cannot take a message now: the same message is submitted again later, and no
 * other before it. Not a failure. Strategies throw the one instance {@link MESSAGE_REJECTED}: it has no stack, so that
 * back-pressure costs little. (Arroyo's `MessageRejected`.)
 */
export class MessageRejected extends ArroyoError {
  constructor() {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(
      ErrorCode.MESSAGE_REJECTED,
      "The strategy cannot take a message now: submit the same one again later.",
    );
    Error.stackTraceLimit = limit;
  }

  /** Whether an error is a rejection, wherever it was made. */
  static is(error: unknown): error is MessageRejected {
    return hasCode(error, ErrorCode.MESSAGE_REJECTED);
  }
}

/** The rejection that strategies throw. */
export const MESSAGE_REJECTED: MessageRejected = new MessageRejected();

/** What an {@link InvalidMessage} may say beyond its position. */
export interface InvalidMessageOptions {
  /** Why it is invalid, in words for the dead letter. Never put a payload or a secret here. */
  readonly reason?: string | undefined;
  /** Whether the commit of this message is still to be made by whoever handles the error. Default true. */
  readonly needsCommit?: boolean | undefined;
  /** Whether it was logged already, so that nobody logs it again. Default false. */
  readonly logged?: boolean | undefined;
  readonly cause?: unknown;
}

/**
 * Thrown by a strategy (or by a user's function in one) for a message that can never be processed: it goes to the dead
 * letter queue, and the consumer goes on. (Arroyo's `InvalidMessage`.)
 */
export class InvalidMessage extends ArroyoError {
  readonly partition: Partition;
  readonly offset: number;
  readonly reason: string | undefined;
  readonly needsCommit: boolean;
  readonly logged: boolean;

  constructor(partition: Partition, offset: number, options: InvalidMessageOptions = {}) {
    super(
      ErrorCode.INVALID_MESSAGE,
      `Invalid message at ${partition.topic.name}[${partition.index}] offset ${offset}` +
        (options.reason === undefined ? "." : `: ${options.reason}`),
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.partition = partition;
    this.offset = offset;
    this.reason = options.reason;
    this.needsCommit = options.needsCommit ?? true;
    this.logged = options.logged ?? false;
  }

  /** Whether an error says that a message is invalid, wherever it was made. */
  static is(error: unknown): error is InvalidMessage {
    return hasCode(error, ErrorCode.INVALID_MESSAGE);
  }

  /**
   * The error for a message that is at hand.
   *
   * @throws InvalidStateError for a message that was derived from others: it has no position of its own, so dead-letter
   * the messages that it was made of.
   */
  static from(message: Message<unknown>, options?: InvalidMessageOptions): InvalidMessage {
    if (message.partition === undefined) {
      throw new InvalidStateError(
        "A derived message has no partition and offset of its own, so it cannot be an InvalidMessage: " +
          "throw one for each of the messages that it was made of.",
      );
    }
    return new InvalidMessage(message.partition, message.offset, options);
  }
}

/** The consumer failed in a way that it cannot recover from. */
export class ConsumerError extends ArroyoError {
  constructor(
    message: string,
    options?: { readonly cause?: unknown; readonly code?: ErrorCode | undefined },
  ) {
    super(options?.code ?? ErrorCode.CONSUMER, message, options);
  }
}

/** A message could not be produced, and never will be by trying this call again on its own. */
export class ProducerError extends ArroyoError {
  constructor(
    message: string,
    options?: { readonly cause?: unknown; readonly code?: ErrorCode | undefined },
  ) {
    super(options?.code ?? ErrorCode.PRODUCER, message, options);
  }

  /** Whether an error says that the producer's queue is full: try again when deliveries have come back. */
  static isQueueFull(error: unknown): boolean {
    return hasCode(error, ErrorCode.PRODUCER_QUEUE_FULL);
  }
}

/** Something that goes away by itself: poll again. (Arroyo's `RecoverableError`.) */
export class RecoverableError extends ArroyoError {
  constructor(
    message: string,
    options?: { readonly cause?: unknown; readonly code?: ErrorCode | undefined },
  ) {
    super(options?.code ?? ErrorCode.RECOVERABLE, message, options);
  }

  static is(error: unknown): error is RecoverableError {
    return hasCode(error, ErrorCode.RECOVERABLE) || hasCode(error, ErrorCode.END_OF_PARTITION);
  }
}

/** The end of a partition was reached (only with `enable.partition.eof`). (Arroyo's `EndOfPartition`.) */
export class EndOfPartition extends RecoverableError {
  readonly partition: Partition;
  readonly offset: number;

  constructor(partition: Partition, offset: number) {
    super(`End of ${partition.topic.name}[${partition.index}] reached at offset ${offset}.`, {
      code: ErrorCode.END_OF_PARTITION,
    });
    this.partition = partition;
    this.offset = offset;
  }
}

/**
 * The next offset to read is not in the log (any more): retention has passed it, or the log was cut.
 * (Arroyo's `OffsetOutOfRange`.)
 */
export class OffsetOutOfRange extends ConsumerError {
  readonly partition: Partition;
  readonly offset: number;

  /** @param options `reason` is why, where it is not just that the broker does not have it (any more) */
  constructor(
    partition: Partition,
    offset: number,
    options?: { readonly cause?: unknown; readonly reason?: string | undefined },
  ) {
    const reason = options?.reason ?? "the broker does not have it";
    super(
      `Offset ${offset} of ${partition.topic.name}[${partition.index}] is out of range: ${reason}. ` +
        `Reset the group's offset, or set "arroyo.strict.offset.reset" to false to follow "auto.offset.reset".`,
      { ...options, code: ErrorCode.OFFSET_OUT_OF_RANGE },
    );
    this.partition = partition;
    this.offset = offset;
  }
}

/** A call that does not fit the state that the object is in. The message says what to do. */
export class InvalidStateError extends ArroyoError {
  constructor(message: string, options?: { readonly cause?: unknown }) {
    super(ErrorCode.INVALID_STATE, message, options);
  }

  static is(error: unknown): error is InvalidStateError {
    return hasCode(error, ErrorCode.INVALID_STATE);
  }
}

/** A setting that is unknown, out of its range or contradicts another. Names the setting, the value and the fix. */
export class ConfigurationError extends ArroyoError {
  constructor(message: string, options?: { readonly cause?: unknown }) {
    super(ErrorCode.CONFIGURATION, message, options);
  }
}

/** A deadline of this library passed (a join, a flush, a close). Never confused with a timeout of the user's code. */
export class DeadlineError extends ArroyoError {
  constructor(message: string, options?: { readonly cause?: unknown }) {
    super(ErrorCode.DEADLINE, message, options);
  }

  static is(error: unknown): error is DeadlineError {
    return hasCode(error, ErrorCode.DEADLINE);
  }
}

/** A dead letter could not be delivered, or there were more of them than the limit allows. Nothing was dropped. */
export class DlqError extends ArroyoError {
  readonly partition: Partition;
  readonly offset: number;

  constructor(
    partition: Partition,
    offset: number,
    problem: string,
    options?: { readonly cause?: unknown; readonly code?: ErrorCode | undefined },
  ) {
    super(
      options?.code ?? ErrorCode.DLQ,
      `Dead letter of ${partition.topic.name}[${partition.index}] offset ${offset}: ${problem}`,
      options,
    );
    this.partition = partition;
    this.offset = offset;
  }

  /** Whether an error says that there were more invalid messages than the `DlqLimit` allows. */
  static isLimit(error: unknown): boolean {
    return hasCode(error, ErrorCode.DLQ_LIMIT);
  }
}

/** The embedded broker's folder cannot be used: locked by another process, damaged, or not writable. */
export class StorageError extends ArroyoError {
  constructor(message: string, options?: { readonly cause?: unknown }) {
    super(ErrorCode.STORAGE, message, options);
  }
}

/**
 * A worker of a pool failed, and doing the batch again would not help: it died again and again, stalled, could not be
 * started, or a message or a result could not cross to it. The message says which message was in work.
 */
export class WorkerError extends ArroyoError {
  constructor(message: string, options?: { readonly cause?: unknown }) {
    super(ErrorCode.WORKER, message, options);
  }

  static is(error: unknown): error is WorkerError {
    return hasCode(error, ErrorCode.WORKER);
  }
}
