import { MessageChannel, type MessagePort } from "node:worker_threads";
import { Vitals } from "../../../src/backend/vitals.ts";
import { systemClock, type Clock } from "../../../src/clock.ts";
import { resolveConsumerConfig, type KafkaConsumerConfig } from "../../../src/kafka/config.ts";
import { ConsumerEngine } from "../../../src/kafka/client/consumer-engine.ts";
import type { LogFields } from "../../../src/logger.ts";
import type { ConsumerCommand, ConsumerEvent } from "../../../src/kafka/client/protocol.ts";

type EventOf<Type extends ConsumerEvent["type"]> = Extract<ConsumerEvent, { type: Type }>;

/** A consumer's I/O side in this thread, with the test as its main thread. */
export class EngineDriver implements AsyncDisposable {
  readonly #port: MessagePort;
  readonly vitals: Vitals = new Vitals();
  /** What it has written straight to standard error. */
  readonly written: { readonly fields: LogFields; readonly message: string }[] = [];
  readonly #events: ConsumerEvent[] = [];
  #waiting: (() => void)[] = [];
  #closed = false;

  constructor(config: KafkaConsumerConfig, clock: Clock = systemClock) {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    port1.on("message", (event: ConsumerEvent) => {
      if (event.type === "closed") this.#closed = true;
      this.#events.push(event);
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const resolve of waiting) resolve();
    });
    new ConsumerEngine({
      // Longer than a user may set it beside a short max.poll.interval.ms: no standstill of the machine ends the session.
      config: { ...resolveConsumerConfig(config), "session.timeout.ms": 45_000 },
      port: port2,
      polls: this.vitals.buffer,
      clock,
      writeLine: (_level, fields, message) => this.written.push({ fields, message }) > 0,
    });
  }

  send(command: ConsumerCommand): void {
    this.#port.postMessage(command);
  }

  /** Takes the first event of a kind, or of several, waiting for it if it has not come yet. */
  async next<Type extends ConsumerEvent["type"]>(...types: readonly Type[]): Promise<EventOf<Type>> {
    const wanted: ReadonlySet<string> = new Set(types);
    for (;;) {
      const at = this.#events.findIndex((event) => wanted.has(event.type));
      if (at >= 0) return this.#events.splice(at, 1)[0] as EventOf<Type>;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  has(type: ConsumerEvent["type"]): boolean {
    return this.#events.some((event) => event.type === type);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closed) {
      this.send({ type: "close", timeoutMs: 1_000 });
      await this.next("closed");
    }
    this.#port.close();
  }
}
