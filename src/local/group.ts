import type { Clock, ClockTimer } from "../clock.ts";
import { ConfigurationError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { Partition } from "../message/partition.ts";
import { assignByRange, assignSticky, type Assignment, type PartitionCounts } from "./assignment.ts";

/** How a group changes who has what: everybody gives everything back first, or only what moves is given back. */
export type RebalanceMode = "eager" | "incremental";

/** What a group tells a member. None of these may call the group back before it has returned. */
export interface MemberEvents {
  assigned(partitions: readonly Partition[]): void;
  /** Give these back, and call `released` then. At `handOverAtMs` of the monotonic clock they are lost. */
  revoke(partitions: readonly Partition[], handOverAtMs: number, released: () => void): void;
  /** Takes back what was assigned but is not known to anybody yet; returns which of the partitions that were. */
  withdraw(partitions: readonly Partition[]): readonly Partition[];
  /** The group goes on without this member; these were its partitions, as far as they are known to anybody. */
  lost(partitions: readonly Partition[]): void;
  /** It has left, as it asked for. */
  left(): void;
}

export interface MemberOptions {
  readonly mode: RebalanceMode;
  /** How long it may take to give partitions back, in ms. */
  readonly maxPollIntervalMs: number;
  /** The topics that it wants, of those that there are. */
  readonly topics: () => readonly string[];
  readonly events: MemberEvents;
}

/** Somebody's membership, from joining to leaving. */
export class Member {
  readonly id: string;
  readonly maxPollIntervalMs: number;
  readonly topics: () => readonly string[];
  readonly events: MemberEvents;
  readonly owned: Set<Partition> = new Set();
  /** Those of `owned` that are being given back. */
  readonly revoking: Set<Partition> = new Set();
  /** Whether it gives back everything, in order to leave. */
  leaving = false;
  deadline: ClockTimer | undefined;

  constructor(id: string, { maxPollIntervalMs, topics, events }: MemberOptions) {
    this.id = id;
    this.maxPollIntervalMs = maxPollIntervalMs;
    this.topics = topics;
    this.events = events;
  }
}

export interface GroupOptions {
  readonly id: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The topics that there are. */
  readonly counts: () => PartitionCounts;
}

/**
 * Shares partitions between the members of a group, so that each partition has one owner at most: it is handed over only
 * after its owner has given it back, or has let the time for it pass.
 */
export class Group {
  readonly #options: GroupOptions;
  /** In the order in which they joined. */
  readonly #members = new Set<Member>();
  #mode: RebalanceMode = "eager";
  #joins = 0;
  /** Whether there is something to hand out yet. */
  #rebalancing = false;

  constructor(options: GroupOptions) {
    this.#options = options;
  }

  /** @throws ConfigurationError when the members that are there already rebalance in the other way. */
  join(options: MemberOptions): Member {
    if (this.#members.size > 0 && options.mode !== this.#mode) {
      throw new ConfigurationError(
        `Group ${this.#options.id} rebalances in the ${this.#mode} way, and this member would in the ${options.mode} way: ` +
          `give all of its members the same "partition.assignment.strategy".`,
      );
    }
    this.#mode = options.mode;
    const member = new Member(`${this.#options.id}-${++this.#joins}`, options);
    this.#members.add(member);
    this.#rebalance(`${member.id} has joined`);
    return member;
  }

  /** Gives everything back as in a rebalance, and leaves. */
  leave(member: Member): void {
    if (!this.#members.has(member) || member.leaving) return;
    member.leaving = true;
    this.#rebalance(`${member.id} leaves`);
  }

  /** Leaves at once. */
  remove(member: Member): void {
    if (!this.#drop(member)) return;
    this.#rebalance(`${member.id} has left`);
  }

  /** Goes on without a member that does not do what it must. */
  expel(member: Member, reason: string): void {
    const owned = [...member.owned];
    if (!this.#drop(member)) return;
    this.#options.logger.warn(
      { groupId: this.#options.id, memberId: member.id, partitions: owned.map(String), reason },
      "A member was put out of its group.",
    );
    const unseen = new Set(member.events.withdraw(owned));
    member.events.lost(owned.filter((partition) => !unseen.has(partition)));
    this.#rebalance(`${member.id} was put out`);
  }

  /** There is a topic more. */
  topicCreated(name: string): void {
    if ([...this.#members].some((member) => member.topics().includes(name))) {
      this.#rebalance(`topic ${name} is there now`);
    }
  }

  #drop(member: Member): boolean {
    member.deadline?.cancel();
    member.owned.clear();
    member.revoking.clear();
    return this.#members.delete(member);
  }

  #rebalance(reason: string): void {
    const { logger, id } = this.#options;
    logger.debug({ groupId: id, members: this.#members.size, reason }, "The group rebalances.");
    this.#rebalancing = true;
    const target = this.#mode === "incremental" ? this.#target() : undefined;
    for (const member of [...this.#members]) {
      const kept = target?.get(member);
      this.#giveBack(
        member,
        [...member.owned].filter(
          (partition) => kept?.has(partition) !== true && !member.revoking.has(partition),
        ),
      );
    }
    this.#settle();
  }

  #giveBack(member: Member, partitions: readonly Partition[]): void {
    const unseen = new Set(member.events.withdraw(partitions));
    for (const partition of unseen) member.owned.delete(partition);
    const known = partitions.filter((partition) => !unseen.has(partition));
    if (known.length === 0) return;
    const { clock } = this.#options;
    const limitMs = this.#limitMs(member);
    for (const partition of known) member.revoking.add(partition);
    member.deadline ??= clock.setTimeout(
      () =>
        this.expel(
          member,
          `it has not given its partitions back within ${limitMs} ms (max.poll.interval.ms)`,
        ),
      limitMs,
    );
    member.events.revoke(known, clock.monotonicMs() + limitMs, () => this.#released(member, known));
  }

  #released(member: Member, partitions: readonly Partition[]): void {
    for (const partition of partitions) {
      member.revoking.delete(partition);
      member.owned.delete(partition);
    }
    if (member.revoking.size === 0) {
      member.deadline?.cancel();
      member.deadline = undefined;
    }
    this.#settle();
  }

  /** Where everybody waits for everybody, the slowest may take its time (as in Kafka). */
  #limitMs(member: Member): number {
    if (this.#mode === "incremental") return member.maxPollIntervalMs;
    return Math.max(...[...this.#members].map(({ maxPollIntervalMs }) => maxPollIntervalMs));
  }

  /** Hands out what is free, if it may be by now. */
  #settle(): void {
    for (const member of [...this.#members]) {
      if (!member.leaving || member.owned.size > 0) continue;
      this.#drop(member);
      member.events.left();
    }
    if (!this.#rebalancing) return;
    const busy = [...this.#members].some((member) => member.revoking.size > 0);
    if (this.#mode === "eager" && busy) return;
    const target = this.#target();
    const owned = new Set([...this.#members].flatMap((member) => [...member.owned]));
    this.#rebalancing = busy;
    for (const [member, partitions] of target) {
      const free = [...partitions].filter((partition) => !owned.has(partition));
      for (const partition of free) member.owned.add(partition);
      if (free.length > 0 || this.#mode === "eager") member.events.assigned(free);
    }
  }

  #target(): Assignment<Member> {
    const counts = this.#options.counts();
    const members = [...this.#members].filter((member) => !member.leaving);
    if (this.#mode === "eager") return assignByRange(members, counts);
    const kept = new Map<Member, Set<Partition>>();
    for (const member of members) {
      kept.set(member, new Set([...member.owned].filter((partition) => !member.revoking.has(partition))));
    }
    return assignSticky(members, counts, kept);
  }
}
