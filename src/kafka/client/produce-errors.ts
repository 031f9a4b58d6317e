import { ProducerError } from "../../errors.ts";
import { ErrorCodes, errorName } from "./error-codes.ts";
import type { ProduceAnswer } from "./produce-request.ts";

/** The broker lacks a batch that comes before the one that it answers, or all of this producer's. */
export const OUT_OF_ORDER: ReadonlySet<number> = new Set([
  ErrorCodes.OUT_OF_ORDER_SEQUENCE_NUMBER,
  ErrorCodes.UNKNOWN_PRODUCER_ID,
]);
/** Somebody else has this producer's id. */
export const FENCED: ReadonlySet<number> = new Set([
  ErrorCodes.INVALID_PRODUCER_EPOCH,
  ErrorCodes.PRODUCER_FENCED,
  ErrorCodes.INVALID_PRODUCER_ID_MAPPING,
]);

/** What to do about errors that no retry helps against. */
const ADVICE: ReadonlyMap<number, string> = new Map([
  [
    ErrorCodes.MESSAGE_TOO_LARGE,
    'the topic\'s "max.message.bytes" is smaller than the batch: raise it, or lower "message.max.bytes" and "batch.size"',
  ],
  [ErrorCodes.RECORD_LIST_TOO_LARGE, 'the batch is larger than a log segment: lower "batch.size"'],
  [ErrorCodes.TOPIC_AUTHORIZATION_FAILED, "the principal needs the right to WRITE to the topic"],
  [ErrorCodes.CLUSTER_AUTHORIZATION_FAILED, "the principal may not write to this cluster"],
  [ErrorCodes.INVALID_TOPIC_EXCEPTION, "the brokers do not allow that name, or to write to it"],
  [ErrorCodes.INVALID_TIMESTAMP, "its timestamps are further from the broker's clock than the topic allows"],
  [ErrorCodes.UNSUPPORTED_COMPRESSION_TYPE, 'the broker does not know this "compression.type"'],
  [
    ErrorCodes.INVALID_RECORD,
    "the broker does not accept a message of the batch, as one without a key for a compacted topic",
  ],
  [ErrorCodes.POLICY_VIOLATION, "a policy of the broker forbids it"],
]);

/** Why a partition's batch was refused for good. */
export function refusedBatch(topic: string, index: number, answer: ProduceAnswer): ProducerError {
  const advice = ADVICE.get(answer.errorCode);
  const said = answer.recordErrors.find(({ message }) => message !== null)?.message ?? answer.errorMessage;
  return new ProducerError(
    `The broker refused a batch for ${topic}:${index} with ${errorName(answer.errorCode)}` +
      (advice === undefined ? "" : `: ${advice}`) +
      (said === null ? "." : ` (${said}).`),
  );
}

/** Why nothing can be sent to a topic. */
export function refusedTopic(topic: string, errorCode: number): ProducerError {
  const advice = ADVICE.get(errorCode);
  return new ProducerError(
    `Topic ${topic} cannot be written to: ${errorName(errorCode)}` +
      (advice === undefined ? "." : `, ${advice}.`),
  );
}

export function unknownTopic(topic: string, graceMs: number): ProducerError {
  return new ProducerError(
    `Topic ${topic} does not exist: the brokers have not known it for ${graceMs} ms. Create it, or let them create it ` +
      'with "allow.auto.create.topics" and their own auto.create.topics.enable.',
  );
}

/** Why an idempotent producer gets no id, and so cannot work at all. */
export function refusedProducerId(errorCode: number): ProducerError {
  const advice =
    errorCode === ErrorCodes.CLUSTER_AUTHORIZATION_FAILED
      ? "the principal needs the right to IDEMPOTENT_WRITE to the cluster, or (for brokers from 2.8 on) to WRITE to some topic"
      : "the brokers do not let it have an id";
  return new ProducerError(
    `The producer cannot be idempotent: InitProducerId was answered with ${errorName(errorCode)}, ${advice}. ` +
      'Or do without: set "enable.idempotence" to false.',
  );
}

/** Why a batch must not be sent again under another id: it may be there already under the one that is refused now. */
export function fencedBatch(topic: string, index: number, errorCode: number): ProducerError {
  return new ProducerError(
    `The broker refused a batch for ${topic}:${index} with ${errorName(errorCode)}: another producer writes with this ` +
      "producer's id, which the brokers must have given out twice. What is sent from now on has another id.",
  );
}

export function timedOutBatch(
  topic: string,
  index: number,
  timeoutMs: number,
  problem: string,
): ProducerError {
  return new ProducerError(
    `Messages for ${topic}:${index} were not delivered within "message.timeout.ms" (${timeoutMs} ms): ${problem}`,
  );
}

export function triedTooOften(topic: string, index: number, tries: number, problem: string): ProducerError {
  return new ProducerError(
    `Messages for ${topic}:${index} were not delivered in ${tries} tries ("retries"): ${problem}`,
  );
}
