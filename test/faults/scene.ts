import { setTimeout as wait } from "node:timers/promises";
import { KafkaPayload, silentLogger } from "../../src/index.ts";
import { KafkaProducer } from "../../src/kafka/index.ts";
import type { KafkaTest } from "../kafka/kafka-test.ts";
import { MemberProcess, type Scratch } from "../kafka/e2e/member-process.ts";
import { Acknowledged } from "./acknowledged.ts";
import { GroupOffsets } from "./group-offsets.ts";
import { Judge, type Verdict } from "./judge.ts";

/** The group protocols that are tried side by side, each by a group of its own. */
export const PROTOCOLS = {
  range: {
    "partition.assignment.strategy": "range",
    "session.timeout.ms": 6_000,
    "heartbeat.interval.ms": 300,
  },
  "cooperative-sticky": {
    "partition.assignment.strategy": "cooperative-sticky",
    "session.timeout.ms": 6_000,
    "heartbeat.interval.ms": 300,
  },
  consumer: { "group.protocol": "consumer" },
} as const;

export type Protocol = keyof typeof PROTOCOLS;

const LOOK_EVERY_MS = 200;

export interface SceneOptions {
  readonly kafka: KafkaTest;
  /** Where members and the producer connect to: the brokers, or a proxy in front of them. */
  readonly servers: string;
  readonly topic: string;
  readonly protocols: readonly Protocol[];
  readonly scratch: Scratch;
  /** Messages a second. */
  readonly rate: number;
}

/** One group: members in processes of their own, and what they have done. */
export class Group {
  readonly protocol: Protocol;
  readonly name: string;
  readonly members: MemberProcess[] = [];
  readonly #scene: SceneOptions;
  readonly #offsets: GroupOffsets;
  readonly #judge = new Judge();
  readonly #paths = new Map<MemberProcess, string>();

  constructor(scene: SceneOptions, offsets: GroupOffsets, protocol: Protocol) {
    this.#scene = scene;
    this.#offsets = offsets;
    this.protocol = protocol;
    this.name = scene.kafka.name(protocol);
  }

  /** Another member joins. */
  join(): MemberProcess {
    const path = this.#scene.scratch.file(`${this.name}-${this.#paths.size}`);
    this.#judge.add(path);
    const member = new MemberProcess({
      topic: this.#scene.topic,
      handledPath: path,
      config: {
        "bootstrap.servers": this.#scene.servers,
        "group.id": this.name,
        "auto.offset.reset": "earliest",
        "reconnect.backoff.max.ms": 1_000,
        "socket.timeout.ms": 5_000,
        "socket.connection.setup.timeout.ms": 3_000,
        ...PROTOCOLS[this.protocol],
      },
    });
    this.#paths.set(member, path);
    this.members.push(member);
    return member;
  }

  /** A member goes: in good order, or killed. */
  async part(member: MemberProcess, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    this.members.splice(this.members.indexOf(member), 1);
    await member.kill(signal);
    if (signal === "SIGKILL") this.#judge.killed(this.#paths.get(member)!);
    else if (member.child.exitCode !== 0) this.#judge.complaints.push(failureOf(member));
  }

  /** A member does nothing (SIGSTOP) for so long: if that is longer than its session, others have its partitions then. */
  async freeze(member: MemberProcess, milliseconds: number): Promise<void> {
    member.child.kill("SIGSTOP");
    await wait(milliseconds);
    try {
      await this.committed();
      this.#judge.wakes(this.#paths.get(member)!);
    } finally {
      member.child.kill("SIGCONT");
    }
  }

  /** Replaces members that have failed, which none should. */
  mend(): void {
    for (const member of [...this.members]) {
      if (member.child.exitCode === null && member.child.signalCode === null) continue;
      this.#judge.complaints.push(failureOf(member));
      this.members.splice(this.members.indexOf(member), 1);
      this.join();
    }
  }

  /** How far it has committed, by partition, as the broker says; the judge looks on. */
  async committed(): Promise<ReadonlyMap<number, number>> {
    const offsets = await this.#offsets.committed(this.name, this.#scene.topic);
    this.#judge.observe(offsets);
    return offsets;
  }

  /** What its members have said last, to find out why. */
  get lastWords(): string {
    return this.members
      .map(({ said, stderr }) =>
        [...said.filter((line) => !line.startsWith("metric")).slice(-12), stderr].join("\n"),
      )
      .concat(this.#judge.complaints)
      .join("\n--\n");
  }

  /** How often its members have counted something, those that are gone included. */
  count(metric: string): number {
    const line = `metric ${metric}`;
    const lines = [...this.#paths.keys()].flatMap(({ said }) => said);
    return lines.filter((said) => said === line).length;
  }

  verdict(acknowledged: Acknowledged): Verdict {
    return this.#judge.verdict(acknowledged);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.members.map((member) => member[Symbol.asyncDispose]()));
  }
}

function failureOf(member: MemberProcess): string {
  const why = member.said.filter((line) => !line.startsWith("metric")).slice(-4);
  return `a member has ended with ${member.child.exitCode ?? member.child.signalCode}: ${why.join("; ")} ${member.stderr.slice(-500)}`;
}

/** A producer that waits for every acknowledgement, and groups that read what it writes. */
export class Scene implements AsyncDisposable {
  readonly groups: readonly Group[];
  readonly acknowledged: Acknowledged = new Acknowledged();
  /** Messages that could not be delivered, which none should. */
  readonly undelivered: string[] = [];
  readonly #options: SceneOptions;
  readonly #offsets: GroupOffsets;
  readonly #producer: KafkaProducer;
  readonly #over = new AbortController();
  readonly #producing: Promise<void>;

  constructor(options: SceneOptions) {
    this.#options = options;
    // Not through a proxy: what was committed has to be known all the time.
    this.#offsets = new GroupOffsets(options.kafka.bootstrapServers);
    this.groups = options.protocols.map((protocol) => new Group(options, this.#offsets, protocol));
    this.#producer = new KafkaProducer(
      {
        "bootstrap.servers": options.servers,
        "reconnect.backoff.max.ms": 1_000,
        "socket.timeout.ms": 5_000,
        "socket.connection.setup.timeout.ms": 3_000,
        "request.timeout.ms": 4_000,
      },
      { logger: silentLogger },
    );
    this.#producing = this.#produce();
  }

  /** Resolves when each group has committed everything that was acknowledged before the call. Throws after `limitMs`. */
  async caughtUp(limitMs: number): Promise<void> {
    const ends = this.acknowledged.ends();
    const untilMs = performance.now() + limitMs;
    for (const group of this.groups) {
      for (;;) {
        group.mend();
        const behind = await this.#behind(group, ends);
        if (behind === undefined) break;
        if (performance.now() > untilMs) {
          throw new Error(
            `${group.name} has not caught up within ${limitMs} ms: ${behind}. ${group.lastWords}`,
          );
        }
        await wait(LOOK_EVERY_MS);
      }
    }
  }

  /** Resolves when so many more messages have been acknowledged. */
  async progress(count: number): Promise<void> {
    const goal = this.acknowledged.count + count;
    while (this.acknowledged.count < goal) await wait(LOOK_EVERY_MS);
  }

  /** Ends the producing; resolves when everything has been acknowledged. */
  async stopProducing(): Promise<void> {
    this.#over.abort();
    await this.#producing;
    await this.#producer.close(60_000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    await Promise.all(this.groups.map((group) => group[Symbol.asyncDispose]()));
    await this.#offsets[Symbol.asyncDispose]();
    await this.#producer.close(1_000).catch(() => {});
  }

  async #behind(group: Group, ends: ReadonlyMap<number, number>): Promise<string | undefined> {
    let committed;
    try {
      committed = await group.committed();
    } catch (error) {
      return `its offsets cannot be had (${(error as Error).message})`;
    }
    for (const [partition, end] of ends) {
      const offset = committed.get(partition) ?? 0;
      if (offset < end) return `partition ${partition} is at ${offset} of ${end}`;
    }
    return undefined;
  }

  async #produce(): Promise<void> {
    const { topic, rate } = this.#options;
    const open = new Set<Promise<void>>();
    const startedMs = performance.now();
    for (let value = 0; !this.#over.signal.aborted;) {
      const due = ((performance.now() - startedMs) / 1_000) * rate;
      for (; value < due && open.size < 5_000; value++) {
        const delivery = this.#producer.produce(topic, new KafkaPayload(`k${value % 97}`, `${value}`)).then(
          ({ partition, offset }) => {
            if (offset >= 0) this.acknowledged.add(partition.index, offset);
            else this.acknowledged.count++;
          },
          (error: unknown) => void this.undelivered.push(String(error)),
        );
        open.add(delivery);
        void delivery.finally(() => open.delete(delivery));
      }
      await wait(20);
    }
    await Promise.all(open);
  }
}
