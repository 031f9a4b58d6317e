import type { RebalanceCallbacks, TopicSubscription } from "../backend/consumer.ts";

/** What a consumer is subscribed to. */
export interface Subscription {
  readonly callbacks: RebalanceCallbacks;
  /** The topics that it wants, of those that there are. */
  readonly topics: () => readonly string[];
  /** A topic that it names and that is not there. */
  readonly missing: () => string | undefined;
}

/** @param existing the topics that there are, by name, now and later. */
export function subscriptionTo(
  topics: TopicSubscription,
  callbacks: RebalanceCallbacks,
  existing: ReadonlyMap<string, unknown>,
): Subscription {
  if (topics instanceof RegExp) {
    // These two flags would make a pattern remember where it was.
    const pattern = new RegExp(topics.source, topics.flags.replaceAll(/[gy]/g, ""));
    return {
      callbacks,
      topics: () => [...existing.keys()].filter((name) => pattern.test(name)),
      missing: () => undefined,
    };
  }
  const names = [...new Set(topics.map(({ name }) => name))];
  return {
    callbacks,
    topics: () => names.filter((name) => existing.has(name)),
    missing: () => names.find((name) => !existing.has(name)),
  };
}
