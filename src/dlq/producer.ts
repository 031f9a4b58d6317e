import type { BrokerMessage } from "../message/message.ts";

/** Delivers dead letters. (Arroyo's `DlqProducer`.) */
export interface DlqProducer<in T> {
  /**
   * Delivers an invalid message, unchanged, with the reason if there is one, and resolves once it is safe. What it
   * rejects with ends the processor; but a full queue (`ProducerError.isQueueFull`) is tried again.
   */
  readonly produce: (message: BrokerMessage<T>, reason: string | undefined) => Promise<unknown>;
}

/** Drops invalid messages. They are still counted, and the limit still holds. (Arroyo's `NoopDlqProducer`.) */
export class NoopDlqProducer implements DlqProducer<unknown> {
  readonly produce = (): Promise<void> => Promise.resolve();
}
