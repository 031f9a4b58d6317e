import type { Logger } from "../logger.ts";
import type { Partition } from "../message/partition.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { partitionKey, type CommitOffset, type ConsumerCommand } from "./client/protocol.ts";
import type { Commits } from "./commits.ts";
import type { Delivery } from "./delivery.ts";
import { PassedOffsets } from "./passed-offsets.ts";

/** How long the commit of a position that has passed what is no message may take: the next one covers it. */
const PASSED_COMMIT_MS = 30_000;

interface OffsetCommitsOptions {
  readonly delivery: Delivery;
  readonly commits: Commits;
  readonly send: (command: ConsumerCommand) => void;
  /** The assignment that brought a partition; undefined when it is not ours. */
  readonly assignmentOf: (partition: Partition) => number | undefined;
  /** Whether commits are only noted, for the I/O thread to write them periodically. */
  readonly isPeriodic: boolean;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** An offset as the user gave it, and what is committed for it. */
interface Staged {
  readonly offset: number;
  readonly commit: CommitOffset;
}

/** Stages offsets, under the assignment and with the leader epoch that they belong to, and commits them. */
export class OffsetCommits {
  readonly #options: OffsetCommitsOptions;
  readonly #passed: PassedOffsets;
  #staged = new Map<Partition, Staged>();

  constructor(options: OffsetCommitsOptions) {
    this.#options = options;
    this.#passed = new PassedOffsets((partitions) => this.#commitPassed(partitions));
  }

  /** Notes offsets for the next commit. Those of partitions that are not ours are dropped, and counted. */
  stage(offsets: ReadonlyMap<Partition, number>): void {
    for (const [partition, offset] of offsets) {
      const commit = this.#commitOffset(partition, offset);
      if (commit === undefined) this.#options.metrics.increment("arroyo.consumer.commit.dropped", 1);
      else this.#staged.set(partition, { offset, commit });
    }
  }

  /** Commits what is staged. Resolves with the offsets, as they were staged, that the broker has acknowledged. */
  async commit(timeoutMs: number): Promise<ReadonlyMap<Partition, number>> {
    const staged = this.#staged;
    this.#staged = new Map();
    const acknowledged = await this.#send(staged, timeoutMs);
    return new Map([...acknowledged].map(([partition, { offset }]) => [partition, offset]));
  }

  /** Partitions are not ours any more. */
  removed(partitions: readonly Partition[]): void {
    for (const partition of partitions) this.#staged.delete(partition);
  }

  /** A position has gone on over what is no message, with everything before it committed. */
  passed(partition: Partition): void {
    this.#passed.note(partition);
  }

  close(): void {
    this.#passed.close();
  }

  #commitOffset(partition: Partition, offset: number): CommitOffset | undefined {
    const assignment = this.#options.assignmentOf(partition);
    if (assignment === undefined) return undefined;
    const { topic, index } = partition;
    const point = this.#options.delivery.commitPoint(partition, offset);
    return { topic: topic.name, index, ...point, assignment };
  }

  async #send(staged: Map<Partition, Staged>, timeoutMs: number): Promise<Map<Partition, Staged>> {
    if (staged.size === 0) return staged;
    const { commits, delivery, send, isPeriodic } = this.#options;
    const offsets = [...staged.values()].map(({ commit }) => commit);
    let acknowledged = staged;
    if (isPeriodic) {
      send({ type: "store", offsets });
    } else {
      const done = new Set((await commits.commit(offsets, timeoutMs)).map(partitionKey));
      acknowledged = new Map([...staged].filter(([, { commit }]) => done.has(partitionKey(commit))));
    }
    for (const [partition, { commit }] of acknowledged) {
      // Of an assignment that has ended meanwhile, it says nothing about the one that came after.
      if (this.#options.assignmentOf(partition) === commit.assignment) {
        delivery.committed(partition, commit.offset);
      }
    }
    return acknowledged;
  }

  #commitPassed(partitions: readonly Partition[]): void {
    const staged = new Map<Partition, Staged>();
    for (const partition of partitions) {
      const offset = this.#options.delivery.passed(partition);
      const commit = offset === undefined ? undefined : this.#commitOffset(partition, offset);
      if (offset !== undefined && commit !== undefined) staged.set(partition, { offset, commit });
    }
    this.#send(staged, PASSED_COMMIT_MS).catch((error: unknown) => {
      this.#options.logger.warn(
        { err: error },
        "The end of a partition that was passed could not be committed; the next commit covers it.",
      );
    });
  }
}
