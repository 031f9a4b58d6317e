import { ConfigurationError } from "../errors.ts";

/** What messages may be told apart by. `null` and `undefined`: in no order with any other. */
export type MessageKey = string | number | bigint | boolean | Uint8Array | null | undefined;

/** Something that waits for the one before it with the same key. */
export interface Keyed<E> {
  /** As {@link normalKey} gives it. */
  readonly key: Exclude<MessageKey, Uint8Array>;
  /** The one behind it with the same key. */
  following: E | undefined;
}

/** Lets one at a time go per key, in the order in which they came. */
export class KeyedOrder<E extends Keyed<E>> {
  /** Per key that is busy, the last one that came. Those before it are linked to it. */
  readonly #last = new Map<MessageKey, E>();

  /** Returns whether it may go at once; otherwise a `leave` returns it when it may. */
  enter(entry: E): boolean {
    const { key } = entry;
    if (key === undefined || key === null) return true;
    const last = this.#last.get(key);
    this.#last.set(key, entry);
    if (last === undefined) return true;
    last.following = entry;
    return false;
  }

  /** One that went is done. Returns the one that may go now. */
  leave(entry: E): E | undefined {
    const { following } = entry;
    if (following === undefined && this.#last.get(entry.key) === entry) this.#last.delete(entry.key);
    entry.following = undefined;
    return following;
  }
}

/**
 * A key in the form in which two that are the same are equal: bytes (the key of a Kafka message) as text.
 *
 * @throws ConfigurationError for an object, which is equal to nothing but itself.
 */
export function normalKey(strategy: string, key: MessageKey): Exclude<MessageKey, Uint8Array> {
  if (typeof key !== "object" || key === null) return key;
  if (ArrayBuffer.isView(key)) {
    return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString("latin1");
  }
  throw new ConfigurationError(
    `${strategy}: key returned an object, but must return a string, a number, bytes or null.`,
  );
}
