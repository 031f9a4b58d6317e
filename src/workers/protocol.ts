import type { PartitionName } from "./tags.ts";
import type { Thrown } from "./thrown.ts";

/** A task as it crosses to a worker. */
export interface TaskName {
  readonly module: string;
  readonly exportName: string;
}

/** What a worker is started with. */
export interface WorkerStart {
  /** Shared memory that both sides look into while the worker is busy, see {@link Shared}. */
  readonly shared: SharedArrayBuffer;
  readonly initializer: TaskName | undefined;
}

/** What lies where in the memory that a worker and the pool share, as 32-bit numbers. */
export const Shared = {
  /** How many messages of its batch the worker has begun: what it died on is the last of these. */
  BEGUN: 0,
  /** The id of the last batch that nobody waits for any more: the worker stops after the message that it is at. */
  CANCELLED: 1,
  LENGTH: 2,
} as const;

/** How large the block of results becomes. */
export interface BlockBounds {
  /** How large it is at first. */
  readonly bytes: number;
  /** A batch is split before it grows beyond this. */
  readonly maxBytes: number;
  /** Whether even one single result may not be larger than `maxBytes`. */
  readonly fixed: boolean;
}

/** Asks a worker to run a task on a batch. The block is transferred. */
export interface RunRequest {
  readonly id: number;
  readonly task: TaskName;
  /** How many messages the block holds. */
  readonly count: number;
  readonly block: ArrayBuffer;
  readonly partitions: readonly PartitionName[];
  readonly output: BlockBounds;
}

/** The worker has loaded, and its initializer has run. */
export interface WorkerReady {
  readonly kind: "ready";
}

/** The initializer threw; the worker ends. */
export interface WorkerNotReady {
  readonly kind: "failed";
  readonly error: Thrown;
}

/** What became of a batch. The block is transferred. */
export interface RunResults {
  readonly kind: "results";
  readonly id: number;
  /** For how many messages, from the first on, the block holds what became of them. */
  readonly count: number;
  readonly block: ArrayBuffer;
  /** How much of the block is in use. */
  readonly bytes: number;
  readonly partitions: readonly PartitionName[];
  /** Whether the worker stopped because the block was full. */
  readonly full: boolean;
}

export type FromWorker = WorkerReady | WorkerNotReady | RunResults;
