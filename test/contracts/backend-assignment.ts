import assert from "node:assert/strict";
import type { RebalanceCallbacks } from "../../src/backend/consumer.ts";
import { Partition } from "../../src/message/partition.ts";
import { KafkaPayload } from "../../src/message/payload.ts";
import type { Topic } from "../../src/message/topic.ts";
import type { Backend } from "./backend.ts";
import { CLOSE_MS, LONG_MS, Reader, readNext } from "./reader.ts";

type Contract = Readonly<Record<string, (backend: Backend) => Promise<void>>>;

async function fill(backend: Backend, topic: Topic, partitions: number, perPartition: number): Promise<void> {
  const producer = backend.producer();
  for (let at = 0; at < partitions * perPartition; at++) {
    void producer.produce(Partition.of(topic, at % partitions), new KafkaPayload(null, String(at)));
  }
  await producer.flush();
}

/** A member that commits what it has read when partitions are taken from it. */
function draining(backend: Backend, group: string, topic: Topic, callbacks: RebalanceCallbacks = {}): Reader {
  const reader: Reader = new Reader(backend.consumer(group), [topic], {
    ...callbacks,
    onRevoke: async (partitions, deadline) => {
      await reader.commit(partitions);
      await callbacks.onRevoke?.(partitions, deadline);
    },
  });
  return reader;
}

export const assignmentContract: Contract = {
  "onAssign comes first, with the offsets that are read next, and nothing is delivered before it is through":
    async (backend) => {
      const topic = await backend.createTopic(2);
      await fill(backend, topic, 2, 5);
      const gate = Promise.withResolvers<void>();
      const seen: ReadonlyMap<Partition, number>[] = [];
      const reader: Reader = new Reader(backend.consumer(backend.newGroup()), [topic], {
        onAssign: async (offsets) => {
          seen.push(new Map(offsets), reader.consumer.tell());
          // Nothing that was fetched early may come out while this is pending, or for what is sought.
          reader.consumer.seek(new Map([[Partition.of(topic, 0), 3]]));
          reader.consumer.pause([Partition.of(topic, 1)]);
          assert.equal(reader.messages.length, 0);
          await gate.promise;
        },
      }).start();
      const both = new Map([
        [Partition.of(topic, 0), 0],
        [Partition.of(topic, 1), 0],
      ]);
      await reader.until(({ events }) => events.length > 0);
      assert.deepEqual(seen, [both, both]);
      gate.resolve();
      await reader.until(({ messages }) => messages.length >= 2);
      assert.deepEqual(reader.positions(), [`${topic}:0@3`, `${topic}:0@4`]);
      assert.deepEqual(reader.consumer.paused(), [Partition.of(topic, 1)]);
      await reader.stop();
    },

  "what a callback throws, the poll throws, and the next poll goes on": async (backend) => {
    const topic = await backend.createTopic(1);
    await fill(backend, topic, 1, 1);
    const consumer = backend.consumer(backend.newGroup());
    consumer.subscribe([topic], {
      onAssign: () => {
        throw new Error("from the callback");
      },
    });
    await assert.rejects(consumer.poll({ timeoutMs: LONG_MS }), { message: "from the callback" });
    assert.equal((await readNext(consumer, 1))[0]?.offset, 0);
  },

  "a member that joins takes over what was committed in onRevoke: nothing twice, nothing missing": async (
    backend,
  ) => {
    const topic = await backend.createTopic(4);
    const group = backend.newGroup();
    await fill(backend, topic, 4, 25);
    const first = draining(backend, group, topic).start();
    await first.until(({ messages }) => messages.length > 0);
    const second = draining(backend, group, topic).start();
    await second.until(({ owned }) => owned.size === 2);
    await first.until(({ owned }) => owned.size === 2);
    assert.notEqual(first.consumer.memberId, second.consumer.memberId);
    await fill(backend, topic, 4, 25);

    const all = (): string[] => [...first.positions(), ...second.positions()];
    await Promise.race([first.until(() => all().length >= 200), second.until(() => all().length >= 200)]);
    await Promise.all([first.stop(), second.stop()]);
    assert.equal(new Set(all()).size, 200);
    assert.equal(all().length, 200);
    assert.equal(new Set([...first.owned, ...second.owned]).size, 4);
    const revokes = first.events.filter((event) => event.startsWith("revoke"));
    const everything = `revoke ${[0, 1, 2, 3].map((index) => `${topic}:${index}`).join(" ")}`;
    assert.equal(revokes.length, 1);
    assert.equal(revokes[0] === everything, !backend.incremental, revokes[0]);
  },

  "a partition is handed over only when onRevoke is through": async (backend) => {
    const topic = await backend.createTopic(2);
    const group = backend.newGroup();
    await fill(backend, topic, 2, 1);
    const journal: string[] = [];
    const gate = Promise.withResolvers<void>();
    const revoking = Promise.withResolvers<void>();
    const first: Reader = draining(backend, group, topic, {
      onRevoke: async (_partitions, deadline) => {
        assert.ok(!deadline.aborted);
        journal.push("revoking");
        revoking.resolve();
        await gate.promise;
        journal.push("revoked");
      },
    }).start();
    await first.until(({ messages }) => messages.length === 2);
    const second = draining(backend, group, topic, {
      onAssign: (offsets) => {
        if (offsets.size > 0) journal.push("assigned");
      },
    }).start();
    await revoking.promise;
    // While the drain is pending, the partitions are still the first one's to commit.
    first.consumer.stageOffsets(new Map([[Partition.of(topic, 0), 1]]));
    assert.equal((await first.consumer.commitOffsets()).size, 1);
    gate.resolve();
    await second.until(({ owned }) => owned.size === 1);
    await Promise.all([first.stop(), second.stop()]);
    assert.deepEqual(journal, ["revoking", "revoked", "assigned"]);
    assert.deepEqual(second.positions(), [], "all of it was committed");
  },

  "what is ours no more cannot be committed, paused or sought": async (backend) => {
    const topic = await backend.createTopic(2);
    const group = backend.newGroup();
    await fill(backend, topic, 2, 5);
    const first = new Reader(backend.consumer(group), [topic]).start();
    await first.until(({ messages }) => messages.length === 10);
    const second = new Reader(backend.consumer(group), [topic]).start();
    // Staged before, but taken away before the commit: it is dropped.
    first.consumer.stageOffsets(
      new Map([
        [Partition.of(topic, 0), 5],
        [Partition.of(topic, 1), 5],
      ]),
    );
    await second.until(({ owned }) => owned.size === 1);
    await first.until(({ owned }) => owned.size === 1);
    const [moved] = [...second.owned];
    assert.ok(moved);
    first.consumer.stageOffsets(new Map([[moved, 5]]));
    assert.equal((await first.consumer.commitOffsets()).has(moved), false);
    assert.equal((await backend.committed(group, topic)).has(moved.index), false);
    assert.throws(() => first.consumer.pause([moved]), { code: "ARROYO_INVALID_STATE" });
    assert.throws(() => first.consumer.seek(new Map([[moved, 0]])), { code: "ARROYO_INVALID_STATE" });
    assert.equal(first.consumer.tell().has(moved), false);
    await Promise.all([first.stop(), second.stop()]);
  },

  "an eager rebalance resumes what was paused, an incremental one keeps it": async (backend) => {
    const topic = await backend.createTopic(2);
    const group = backend.newGroup();
    const first = new Reader(backend.consumer(group), [topic]).start();
    await first.until(({ owned }) => owned.size === 2);
    first.consumer.pause([...first.owned]);
    const second = new Reader(backend.consumer(group), [topic]).start();
    await second.until(({ owned }) => owned.size === 1);
    await first.until(({ owned }) => owned.size === 1);
    assert.deepEqual(first.consumer.paused(), backend.incremental ? [...first.owned] : []);
    await Promise.all([first.stop(), second.stop()]);
  },

  "a member that closes leaves everything to the others": async (backend) => {
    const topic = await backend.createTopic(4);
    const group = backend.newGroup();
    await fill(backend, topic, 4, 5);
    const first = draining(backend, group, topic).start();
    const second = draining(backend, group, topic).start();
    await first.until(({ owned }) => owned.size === 2);
    await second.until(({ owned }) => owned.size === 2);
    await first.stop();
    await first.commit(first.owned);
    await first.consumer.close(CLOSE_MS);
    await second.until(({ owned }) => owned.size === 4);
    await second.until(() => new Set([...first.positions(), ...second.positions()]).size === 20);
    await second.stop();
    assert.deepEqual(
      second.messages.filter(({ partition, offset }) => first.positions().includes(`${partition}@${offset}`)),
      [],
    );
  },

  "unsubscribing gives back as a rebalance does, and a new subscription goes on": async (backend) => {
    const topic = await backend.createTopic(1);
    const group = backend.newGroup();
    await fill(backend, topic, 1, 5);
    const consumer = backend.consumer(group);
    const partition = Partition.of(topic, 0);
    const revoked = new AbortController();
    const events: string[] = [];
    consumer.subscribe([topic], {
      onRevoke: async (partitions) => {
        events.push(`revoke ${partitions.join(" ")}`);
        consumer.stageOffsets(new Map([[partition, 2]]));
        await consumer.commitOffsets();
        revoked.abort();
      },
    });
    await readNext(consumer, 2);
    consumer.unsubscribe();
    assert.deepEqual(await consumer.poll({ timeoutMs: LONG_MS, maxMessages: 0, signal: revoked.signal }), []);
    assert.deepEqual(events, [`revoke ${partition}`]);
    assert.deepEqual(await backend.committed(group, topic), new Map([[0, 2]]));
    await assert.rejects(consumer.poll(), { code: "ARROYO_INVALID_STATE" });

    consumer.subscribe([topic]);
    assert.equal((await readNext(consumer, 1))[0]?.offset, 2);
  },

  "members come and go in mid-stream: every message is read once": async (backend) => {
    const topic = await backend.createTopic(6);
    const group = backend.newGroup();
    const members: Reader[] = [];
    const perPartition = 500;
    const positions = (): string[] => members.flatMap((member) => member.positions());
    const join = async (): Promise<void> => {
      const member = draining(backend, group, topic).start();
      members.push(member);
      await member.until(({ owned }) => owned.size > 0);
    };
    await join();
    await fill(backend, topic, 6, perPartition);
    await join();
    await fill(backend, topic, 6, perPartition);
    await join();
    const [first, second] = members as [Reader, Reader, Reader];
    await first.stop();
    await first.commit(first.owned);
    await first.consumer.close(CLOSE_MS);
    await fill(backend, topic, 6, perPartition);
    await second.stop();
    await second.commit(second.owned);
    await second.consumer.close(CLOSE_MS);
    const last = members[2] as Reader;
    await last.until(() => positions().length >= 6 * 3 * perPartition);
    await last.stop();
    assert.equal(positions().length, 6 * 3 * perPartition);
    assert.equal(new Set(positions()).size, 6 * 3 * perPartition);
    for (const member of members) {
      for (const partition of new Set(member.messages.map((message) => message.partition))) {
        const offsets = member.messages.filter((m) => m.partition === partition).map(({ offset }) => offset);
        assert.deepEqual(
          offsets,
          offsets.toSorted((a, b) => a - b),
          "in order",
        );
      }
    }
  },
};
