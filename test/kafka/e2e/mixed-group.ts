import assert from "node:assert/strict";
import { setTimeout as wait } from "node:timers/promises";
import { Producer, stringSerializers } from "@platformatic/kafka";
import type { KafkaTest } from "../kafka-test.ts";
import type { Java, JavaMember } from "./java-members.ts";
import { assertNothingLost, handledAgain } from "./judge.ts";
import { handledIn, type HandledMessage } from "./journal.ts";
import { MemberProcess, Scratch } from "./member-process.ts";

/** As many as can be shared evenly by two, three and four members: whoever has its share is done. */
const PARTITIONS = 12;
const BACKLOG = 1_200;
const AT_ONCE = 2 * PARTITIONS;
/** What a step may take, on a busy machine. */
const STEP_MS = 100_000;
const PRODUCE_EVERY_MS = 100;

/** A member of either client, by what it says. */
interface Member {
  readonly name: string;
  readonly said: readonly string[];
  until(isSo: () => boolean): Promise<void>;
  leave(): Promise<void>;
}

/** What a rebalance came to. */
export interface Outcome {
  /** By member: the partitions that it was told to give away. */
  readonly revoked: ReadonlyMap<string, readonly number[]>;
  /** Whether a member by Java's client has led the group through it. */
  readonly isLedByJava: boolean;
}

/** A classic group with members of Java's client and of ours, while a producer writes to its topic. */
export class MixedGroup implements AsyncDisposable {
  readonly #kafka: KafkaTest;
  readonly #topic: string;
  readonly #group: string;
  readonly #scratch: Scratch = new Scratch();
  readonly #cleanUp = new AsyncDisposableStack();
  readonly #java: Java;
  readonly #javaMembers: JavaMember[] = [];
  readonly #files: string[] = [];
  readonly #members = new Map<string, Member>();
  readonly #producing: Promise<void>;
  #isProducing = true;

  private constructor(kafka: KafkaTest, topic: string, java: Java) {
    this.#kafka = kafka;
    this.#topic = topic;
    this.#group = kafka.name("group");
    this.#cleanUp.use(this.#scratch);
    this.#java = java;
    this.#cleanUp.defer(() =>
      Promise.allSettled(this.#javaMembers.map((member) => member.leave())).then(() => {}),
    );
    this.#producing = this.#produce();
    // A failure is told by `finish`.
    this.#producing.catch(() => {});
  }

  static async of(kafka: KafkaTest, java: Java): Promise<MixedGroup> {
    return new MixedGroup(kafka, await kafka.createTopic({ partitions: PARTITIONS }), java);
  }

  /** A member by Java's client joins. */
  java(name: string, strategy: string): void {
    const member = this.#java.join(name, this.#topic, this.#settings(strategy));
    this.#javaMembers.push(member);
    this.#members.set(name, member);
  }

  /** One of ours joins, from a process of its own. */
  ours(name: string, strategy: string): void {
    const file = this.#scratch.file(`${this.#files.length}`);
    this.#files.push(file);
    const member = this.#cleanUp.use(
      new MemberProcess({
        topic: this.#topic,
        handledPath: file,
        handleMs: 2,
        config: this.#settings(strategy),
      }),
    );
    this.#members.set(name, {
      name,
      said: member.said,
      until: (isSo) => member.until(isSo, `what ${name} was to come to`),
      leave: async () => {
        member.child.kill("SIGTERM");
        assert.equal(await member.ends(), 0, `${member.said.join("\n")}\n${member.stderr}`);
        assert.equal(member.count(/metric arroyo\.consumer\.kafka\.lost/), 0);
      },
    });
  }

  /** Does something to the membership, and waits until the partitions are evenly with those that are members then. */
  async rebalanced(change: () => void | Promise<void>): Promise<Outcome> {
    const before = new Map([...this.#members.values()].map((member) => [member, member.said.length]));
    await change();
    const members = [...this.#members.values()];
    await this.#inTime(this.#evenly(members), `${members.length} members share the partitions evenly`);
    const since = (member: Member): readonly string[] => member.said.slice(before.get(member));
    return {
      revoked: new Map(
        members.map((member) => [
          member.name,
          since(member).flatMap((line) => (line.startsWith("revoked ") ? indices(line) : [])),
        ]),
      ),
      isLedByJava: members.some((member) => since(member).some((line) => line.startsWith("leads "))),
    };
  }

  async leave(...names: readonly string[]): Promise<void> {
    const leaving = names.map((name) => {
      const member = this.#members.get(name);
      assert.ok(member);
      this.#members.delete(name);
      return member;
    });
    await this.#inTime(Promise.all(leaving.map((member) => member.leave())), `${names.join(", ")} have left`);
  }

  /** The assignor that the brokers say the group has, once it is stable: in a rebalance they say none. */
  async protocol(): Promise<string> {
    for (;;) {
      const groups = await this.#kafka.admin.describeGroups({ groups: [this.#group] });
      const protocol = groups.get(this.#group)?.protocol;
      if (protocol !== undefined && protocol !== "") return protocol;
    }
  }

  /** Nothing more is produced. Once all is committed, everybody leaves: each message was handled once, by somebody. */
  async finish(): Promise<void> {
    this.#isProducing = false;
    await this.#producing;
    const ends = await this.#kafka.endOffsets(this.#topic, PARTITIONS);
    const count = sum(ends.values());
    while (sum((await this.#kafka.committedOffsets(this.#group, this.#topic)).values()) < count);
    await this.leave(...this.#members.keys());
    assert.ok(count > BACKLOG);
    assert.ok(
      this.#javaMembers.every((member) => !member.said.some((line) => line.startsWith("lost"))),
      "no member was put out of the group",
    );
    const handled: readonly HandledMessage[] = [
      ...this.#files.flatMap((file) => handledIn(file)),
      ...this.#javaMembers.flatMap((member) => member.handled),
    ];
    assertNothingLost(handled, ends);
    assert.equal(handledAgain(handled), 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isProducing = false;
    await this.#producing.catch(() => {});
    await this.#cleanUp.disposeAsync();
  }

  async #inTime(reached: Promise<unknown>, what: string): Promise<void> {
    const over = new AbortController();
    const late = wait(STEP_MS, undefined, { signal: over.signal }).then(
      () => this.#tell(`not so after ${STEP_MS} ms: ${what}`),
      () => {},
    );
    try {
      await Promise.race([reached, late]);
    } finally {
      over.abort();
    }
  }

  /** @throws AssertionError with the last things that everybody said. */
  #tell(what: string): never {
    const said = [...this.#members.values()].map((member) => {
      const lines = member.said.filter((line) => !/^(?:handled|metric)/.test(line));
      return `${member.name}:\n  ${lines.slice(-20).join("\n  ")}`;
    });
    assert.fail(`${what}\n${said.join("\n")}`);
  }

  /** Resolves when each has its share, and each partition is with one of them. */
  async #evenly(members: readonly Member[]): Promise<void> {
    const even = Promise.withResolvers<void>();
    let isEven = false;
    const look = (): boolean => {
      isEven ||= areEven(members);
      if (isEven) even.resolve();
      return isEven;
    };
    // Any of them may be the one whose word makes it so.
    for (const member of members) member.until(look).catch(even.reject);
    await even.promise;
  }

  #settings(strategy: string): Record<string, unknown> {
    return {
      "bootstrap.servers": this.#kafka.bootstrapServers,
      "group.id": this.#group,
      "auto.offset.reset": "earliest",
      "partition.assignment.strategy": strategy,
      "session.timeout.ms": 45_000,
      "heartbeat.interval.ms": 100,
    };
  }

  async #produce(): Promise<void> {
    const producer = new Producer({
      clientId: "arroyo-test-mixed-group",
      bootstrapBrokers: this.#kafka.bootstrapServers.split(","),
      serializers: stringSerializers,
      retries: 10,
    });
    try {
      let next = 0;
      const send = async (count: number): Promise<void> => {
        const messages = Array.from({ length: count }, () => ({
          topic: this.#topic,
          partition: next % PARTITIONS,
          value: `v${next++}`,
        }));
        await producer.send({ acks: -1, messages });
      };
      await send(BACKLOG);
      while (this.#isProducing) {
        await wait(PRODUCE_EVERY_MS);
        await send(AT_ONCE);
      }
    } finally {
      await producer.close();
    }
  }
}

function areEven(members: readonly Member[]): boolean {
  const shares = members.map(heldBy);
  return (
    shares.every(({ length }) => length === PARTITIONS / members.length) &&
    new Set(shares.flat()).size === PARTITIONS
  );
}

/** What is assigned may be told as a whole, or as what has come. */
function heldBy({ said }: Member): readonly number[] {
  const held = new Set<number>();
  for (const line of said) {
    if (line.startsWith("assigned ")) for (const index of indices(line)) held.add(index);
    else if (line.startsWith("revoked ")) for (const index of indices(line)) held.delete(index);
  }
  return [...held];
}

function indices(line: string): readonly number[] {
  const [, list = ""] = line.split(" ");
  return list === "" ? [] : list.split(",").map(Number);
}

function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
}
