import { KafkaPayload, type KafkaHeader } from "../message/payload.ts";
import { DlqHeader } from "./kafka-producer.ts";

/**
 * The header that counts how often a message came back from the dead letter queue. It is one of the message's own, so it
 * stays when the message becomes a dead letter again.
 */
export const REPLAYS_HEADER = "dlq_replays";

const LETTER_HEADERS: ReadonlySet<string> = new Set(Object.values(DlqHeader));

/** How often the message in a dead letter was replayed already. */
export function replaysOf(letter: KafkaPayload): number {
  return wholeNumber(letter, REPLAYS_HEADER) ?? 0;
}

/** The partition that a dead letter came from, if it came from that topic. */
export function originalPartition(letter: KafkaPayload, topic: string): number | undefined {
  if (letter.header(DlqHeader.TOPIC)?.toString() !== topic) return undefined;
  return wholeNumber(letter, DlqHeader.PARTITION);
}

/** The message in a dead letter, as it was but for the count of its replays. */
export function messageOf(letter: KafkaPayload): KafkaPayload {
  const headers = ownHeaders(letter.headers).filter(([name]) => name !== REPLAYS_HEADER);
  headers.push([REPLAYS_HEADER, Buffer.from(String(replaysOf(letter) + 1))]);
  return new KafkaPayload(letter.key, letter.value, headers);
}

/**
 * The headers without those of the dead letter. Where a name occurs twice the message itself had it, too: the letter's
 * headers start with the last topic. Letters of Arroyo for Python have no topic and only some of the names.
 */
function ownHeaders(headers: readonly KafkaHeader[]): KafkaHeader[] {
  const from = headers.findLastIndex(([name]) => name === DlqHeader.TOPIC);
  return headers.filter(([name], at) => at < from || !LETTER_HEADERS.has(name));
}

function wholeNumber(letter: KafkaPayload, header: string): number | undefined {
  const text = letter.header(header)?.toString();
  if (text === undefined || !/^\d{1,15}$/.test(text)) return undefined;
  return Number(text);
}
