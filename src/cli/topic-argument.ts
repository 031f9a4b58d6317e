import { Topic } from "../message/topic.ts";
import { UsageError } from "./arguments.ts";

/** The topic that a flag names. @throws UsageError for a name that Kafka does not allow. */
export function topicNamed(flag: string, name: string): Topic {
  try {
    return Topic.of(name);
  } catch (error) {
    throw new UsageError(`${flag}: ${(error as Error).message}`, { cause: error });
  }
}
