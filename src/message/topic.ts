import { ConfigurationError } from "../errors.ts";

const TOPIC_NAME = /^[a-zA-Z0-9._-]{1,249}$/;

/** A topic, by name. Wherever a topic is taken, a string will do. (Arroyo's `Topic`.) */
export class Topic {
  readonly name: string;

  /** @throws ConfigurationError for a name that Kafka does not allow. */
  constructor(name: string) {
    if (!TOPIC_NAME.test(name) || name === "." || name === "..") {
      throw new ConfigurationError(
        `Topic name ${JSON.stringify(name)} is not allowed: use 1 to 249 of a-z, A-Z, 0-9, ".", "_" and "-" (but not "." or "..").`,
      );
    }
    this.name = name;
  }

  /** The one object for a name, whether a topic or a string is given. */
  static of(topic: Topic | string): Topic {
    const name = typeof topic === "string" ? topic : topic.name;
    let interned = topics.get(name);
    if (interned === undefined) {
      interned = new Topic(name);
      topics.set(name, interned);
    }
    return interned;
  }

  toString(): string {
    return this.name;
  }
}

const topics = new Map<string, Topic>();
