import { ArroyoError, ErrorCode } from "../errors.ts";
import { Partition } from "../message/partition.ts";
import { KafkaPayload } from "../message/payload.ts";

/** One line of a commit log: a group has committed an offset. (Arroyo's `Commit` of `arroyo.commit`.) */
export interface CommitLogEntry {
  readonly group: string;
  readonly partition: Partition;
  /** The next offset that the group reads. */
  readonly offset: number;
  /** The timestamp of the message that was committed last, in milliseconds since the epoch. */
  readonly originalMessageTimestampMs: number;
  /** The 99th percentile of when the messages of this commit were received, in milliseconds since the epoch. */
  readonly receivedP99Ms: number | undefined;
}

/** A message is no line of a commit log. Says what is wrong with it, never what it carries. */
export class CommitLogError extends ArroyoError {
  constructor(message: string, options?: { readonly cause?: unknown }) {
    super(ErrorCode.COMMIT_LOG, message, options);
  }
}

/**
 * Writes an entry as Arroyo does: the key is `topic:partition:group`, the value JSON with `offset`, `orig_message_ts`
 * and `received_p99`, in seconds. Times keep their microseconds. (Arroyo's `CommitCodec.encode`.)
 */
export function encodeCommit(entry: CommitLogEntry): KafkaPayload {
  const { group, partition, offset, originalMessageTimestampMs, receivedP99Ms } = entry;
  return new KafkaPayload(
    `${partition}:${group}`,
    JSON.stringify({
      offset,
      orig_message_ts: toSeconds(originalMessageTimestampMs),
      received_p99: receivedP99Ms === undefined ? null : toSeconds(receivedP99Ms),
    }),
  );
}

/**
 * Reads what {@link encodeCommit} or Arroyo wrote, also the older plain form (the value is the offset alone, the
 * timestamp is in the header `orig_message_ts`, in UTC). (Arroyo's `CommitCodec.decode`.)
 *
 * @throws CommitLogError when it is neither.
 */
export function decodeCommit(payload: KafkaPayload): CommitLogEntry {
  const { group, partition } = decodeKey(payload.key);
  if (payload.value === null) throw new CommitLogError("The commit log message has no value.");
  const text = payload.text();
  if (/^\d+$/.test(text)) {
    return {
      group,
      partition,
      offset: checkedOffset(Number(text)),
      originalMessageTimestampMs: decodeHeader(payload.header("orig_message_ts")),
      receivedP99Ms: undefined,
    };
  }
  const fields = decodeFields(text);
  return {
    group,
    partition,
    offset: checkedOffset(fields["offset"]),
    originalMessageTimestampMs: fromSeconds("orig_message_ts", fields["orig_message_ts"]),
    // Arroyo takes a 0 for none, too.
    receivedP99Ms: fields["received_p99"] ? fromSeconds("received_p99", fields["received_p99"]) : undefined,
  };
}

function decodeKey(key: Buffer | null): { group: string; partition: Partition } {
  // A topic has no colon in its name, a group may have.
  const match = key === null ? null : /^([^:]+):(\d+):(.*)$/s.exec(key.toString("utf8"));
  if (match === null)
    throw new CommitLogError(`The commit log message's key is not "topic:partition:group".`);
  try {
    return { group: match[3]!, partition: Partition.of(match[1]!, Number(match[2])) };
  } catch (cause) {
    throw new CommitLogError("The commit log message's key names no partition.", { cause });
  }
}

function decodeFields(text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new CommitLogError("The commit log message's value is neither JSON nor an offset.", { cause });
  }
  if (typeof value !== "object" || value === null) {
    throw new CommitLogError("The commit log message's value is JSON, but no object.");
  }
  return value as Record<string, unknown>;
}

function checkedOffset(offset: unknown): number {
  if (Number.isSafeInteger(offset) && (offset as number) >= 0) return offset as number;
  throw new CommitLogError("The commit log message's offset is not a whole number from 0 to 2^53 - 1.");
}

/** `2023-09-26T21:58:14.191325Z`; Date knows milliseconds only. */
function decodeHeader(header: Buffer | null | undefined): number {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{1,6})Z$/.exec(header?.toString("utf8") ?? "");
  const wholeMs = match === null ? NaN : Date.parse(`${match[1]}Z`);
  if (Number.isNaN(wholeMs)) {
    throw new CommitLogError(
      `The commit log message is of the older form, but its header "orig_message_ts" is not like 2023-09-26T21:58:14.191325Z.`,
    );
  }
  return wholeMs + Number(match![2]!.padEnd(6, "0")) / 1_000;
}

// Through whole microseconds, so that a time comes back as it was.

function toSeconds(ms: number): number {
  return Math.round(ms * 1_000) / 1_000_000;
}

function fromSeconds(name: string, seconds: unknown): number {
  if (typeof seconds === "number") return Math.round(seconds * 1_000_000) / 1_000;
  throw new CommitLogError(`The commit log message's ${name} is not a number of seconds.`);
}
