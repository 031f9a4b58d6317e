import type { Delivery } from "../backend/producer.ts";
import type { Clock, ClockTimer } from "../clock.ts";
import { ProducerError } from "../errors.ts";
import type { KafkaPayload } from "../message/payload.ts";
import type { Generation, InFlight } from "./in-flight.ts";
import { soloBatchSize } from "./records/batch-writer.ts";

/** A message whose topic is not known yet. */
export interface WaitingMessage {
  readonly index: number;
  readonly payload: KafkaPayload;
  readonly bytes: number;
  readonly generation: Generation;
  /** On the monotonic clock. */
  readonly producedAtMs: number;
  readonly timestampMs: number;
  readonly settle: (delivery: Promise<Delivery>) => void;
  readonly fail: (error: Error) => void;
}

/** Messages for a topic whose partitions are not known yet, in order. They wait for no longer than a delivery may take. */
export class WaitingMessages {
  readonly #topic: string;
  readonly #inFlight: InFlight;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #onExpired: (messages: number) => void;
  #messages: WaitingMessage[] = [];
  #expiry: ClockTimer | undefined;

  constructor(
    topic: string,
    inFlight: InFlight,
    clock: Clock,
    timeoutMs: number,
    onExpired: (messages: number) => void,
  ) {
    this.#topic = topic;
    this.#inFlight = inFlight;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#onExpired = onExpired;
  }

  push(index: number, payload: KafkaPayload): Promise<Delivery> {
    const { promise, resolve: settle, reject: fail } = Promise.withResolvers<Delivery>();
    const bytes = soloBatchSize(payload);
    const { generation } = this.#inFlight;
    const producedAtMs = this.#clock.monotonicMs();
    const timestampMs = this.#clock.nowMs();
    this.#messages.push({ index, payload, bytes, generation, producedAtMs, timestampMs, settle, fail });
    this.#inFlight.add(generation, bytes);
    if (this.#expiry === undefined) this.#expireLater();
    return promise;
  }

  /** Takes all of them out. They stay counted as in flight. */
  take(): readonly WaitingMessage[] {
    this.#expiry?.cancel();
    this.#expiry = undefined;
    const messages = this.#messages;
    this.#messages = [];
    return messages;
  }

  /** Fails all of them, and says how many they were. */
  fail(error: Error): number {
    const messages = this.take();
    this.#failAll(messages, error);
    return messages.length;
  }

  #failAll(messages: readonly WaitingMessage[], error: Error): void {
    for (const { fail, generation, bytes } of messages) {
      fail(error);
      this.#inFlight.settle(generation, 1, bytes);
    }
  }

  #expireLater(): void {
    const first = this.#messages[0];
    if (first === undefined || this.#timeoutMs === Infinity) return;
    const delayMs = Math.max(0, first.producedAtMs + this.#timeoutMs - this.#clock.monotonicMs());
    this.#expiry = this.#clock.setTimeout(() => {
      const expired = this.#messages.filter(({ producedAtMs }) => producedAtMs <= first.producedAtMs);
      this.#messages = this.#messages.slice(expired.length);
      this.#expiry = undefined;
      this.#failAll(
        expired,
        new ProducerError(
          `Messages for ${this.#topic} were not delivered within "message.timeout.ms" (${this.#timeoutMs} ms): ` +
            "no broker has said yet which partitions the topic has.",
        ),
      );
      this.#onExpired(expired.length);
      this.#expireLater();
    }, delayMs);
  }
}
