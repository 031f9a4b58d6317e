import { Admin } from "@platformatic/kafka";
import { settings } from "./meter.ts";

const PARTITIONS = 4;

/** A topic of the program's own to write to, which is empty at first. Gives its name. */
export async function newTarget(): Promise<string> {
  const name = `${settings.topic}-${process.pid}-${Date.now()}`;
  const admin = new Admin({ clientId: "arroyo-bench", bootstrapBrokers: [settings.bootstrapServers] });
  await admin.createTopics({ topics: [name], partitions: PARTITIONS, replicas: 1 });
  await admin.close();
  return name;
}
