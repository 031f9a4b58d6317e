import { Admin } from "@platformatic/kafka";
import { settings } from "./meter.ts";

const PARTITIONS = 4;
/** Of ListOffsets: the end of the log. */
const LATEST = -1n;

/** A topic of the program's own to write to, which is empty at first, and is deleted in the end. */
export interface Target extends AsyncDisposable {
  readonly name: string;
  /** How many messages there are in it. */
  count(): Promise<number>;
}

export async function newTarget(): Promise<Target> {
  const name = `${settings.topic}-${process.pid}-${Date.now()}`;
  const admin = new Admin({ clientId: "arroyo-bench", bootstrapBrokers: [settings.bootstrapServers] });
  await admin.createTopics({ topics: [name], partitions: PARTITIONS, replicas: 1 });
  const partitions = Array.from({ length: PARTITIONS }, (_, partitionIndex) => ({
    partitionIndex,
    timestamp: LATEST,
  }));
  return {
    name,
    async count() {
      const topics = await admin.listOffsets({ topics: [{ name, partitions }] });
      const offsets = topics.flatMap((topic) => topic.partitions.map(({ offset }) => Number(offset)));
      return offsets.reduce((sum, offset) => sum + offset, 0);
    },
    async [Symbol.asyncDispose]() {
      await admin.deleteTopics({ topics: [name] });
      await admin.close();
    },
  };
}
