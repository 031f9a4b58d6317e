import type { Consumer } from "../../src/backend/consumer.ts";
import type { Producer } from "../../src/backend/producer.ts";
import type { KafkaPayload } from "../../src/message/payload.ts";
import type { Topic } from "../../src/message/topic.ts";
import { assignmentContract } from "./backend-assignment.ts";
import { consumingContract } from "./backend-consuming.ts";
import { producingContract } from "./backend-producing.ts";
import { statesContract } from "./backend-states.ts";
import { vitalsContract } from "./backend-vitals.ts";

/** What the tests set of a consumer; every backend has these settings under these names. */
export interface BackendSettings {
  readonly "auto.offset.reset"?: "earliest" | "latest" | "error" | undefined;
  readonly "arroyo.strict.offset.reset"?: boolean | undefined;
  readonly "enable.partition.eof"?: boolean | undefined;
  readonly "arroyo.enable.auto.commit"?: boolean | undefined;
  readonly "auto.commit.interval.ms"?: number | undefined;
  readonly "max.poll.interval.ms"?: number | undefined;
}

/** A backend under test. Disposing of it closes whatever it has made. */
export interface Backend extends AsyncDisposable {
  /** Whether a rebalance moves only what changes hands (incremental), not everything (eager). */
  readonly incremental: boolean;
  /** A topic of its own. */
  createTopic(partitions: number): Promise<Topic>;
  /** A name of a group that no other test has. */
  newGroup(): string;
  /** A consumer that starts at the earliest offset, and otherwise with the defaults. */
  consumer(group: string, settings?: BackendSettings): Consumer<KafkaPayload>;
  producer(): Producer<KafkaPayload>;
  /** Partition index to the offset that a group has committed, of a topic. */
  committed(group: string, topic: Topic): Promise<ReadonlyMap<number, number>>;
}

export interface BackendTest {
  readonly name: string;
  readonly run: (backend: Backend) => Promise<void>;
}

/**
 * What every backend does: the tests of the contracts in src/backend, through nothing but these contracts. Give each test a
 * backend, and time enough.
 */
export function backendContract(): readonly BackendTest[] {
  const parts = {
    ...producingContract,
    ...consumingContract,
    ...assignmentContract,
    ...vitalsContract,
    ...statesContract,
  };
  return Object.entries(parts).map(([name, run]) => ({ name, run }));
}
