/** What the page shows of one processor, as it goes over the wire. Everything is a number or text, never a payload. */
export interface DashboardState {
  readonly atMs: number;
  readonly startedAtMs: number;
  readonly title: string;
  readonly state: "starting" | "running" | "waiting for partitions" | "stopping" | "stopped" | "failed";
  /** What it failed with. */
  readonly error: string | undefined;
  readonly memberId: string;
  readonly totals: {
    readonly messages: number;
    readonly invalid: number;
    readonly deadLetters: number;
    readonly rebalances: number;
  };
  readonly partitions: readonly PartitionState[];
  /** The chain of strategies from the first to the last. */
  readonly chain: readonly StepState[];
  /** As `/healthz` tells them. */
  readonly health: readonly HealthState[];
}

export interface PartitionState {
  readonly topic: string;
  readonly index: number;
  readonly position: number;
  readonly committed: number | undefined;
  /** Messages between the position and the end; undefined when it is not known. */
  readonly lag: number | undefined;
}

export interface StepState {
  readonly name: string;
  /** By offsets: what has come to it and not to the next one. */
  readonly inFlight: number;
  readonly perSecond: number;
  readonly rejectedPerSecond: number;
  readonly rejecting: boolean;
}

export interface HealthState {
  readonly name: string;
  readonly probe: "liveness" | "readiness";
  readonly ok: boolean;
  readonly why: string;
  /** As ISO 8601. */
  readonly since: string;
}

/** One second of the curves. A value that is not known is absent. */
export interface DashboardPoint {
  readonly atMs: number;
  readonly messagesPerSecond: number;
  /** From a message's timestamp to its commit, in ms. */
  readonly latencyMs?: number | undefined;
  readonly lag?: number | undefined;
  /** Shares of the second. */
  readonly processing: number;
  readonly backpressure: number;
  /** Shares of a core. */
  readonly mainCpu: number;
  readonly otherCpu: number;
}

/** Something that happened, newest last. */
export interface DashboardEvent {
  readonly id: number;
  readonly atMs: number;
  readonly kind: "assigned" | "revoked" | "lost" | "backpressure" | "invalid" | "state";
  readonly text: string;
}
