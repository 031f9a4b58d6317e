import { setTimeout as wait } from "node:timers/promises";
import type { Kafka } from "../kafka/broker.ts";
import type { KafkaProxy } from "../kafka/proxy.ts";
import type { SeededRandom } from "../seeded-random.ts";
import type { Scene } from "./scene.ts";

export interface FaultTools {
  readonly brokers: Kafka;
  readonly proxy: KafkaProxy;
  readonly scene: Scene;
  readonly random: SeededRandom;
}

const MAX_MEMBERS = 3;
/** Longer than a session, so that a member that is frozen is put out of its group. */
const FROZEN_MS = 8_000;

/** What goes wrong, one at a time. Each resolves when it is over. */
export const FAULTS = {
  "broker killed (kill -9)": async ({ brokers, random }: FaultTools): Promise<void> => {
    const broker = random.pick(brokers.brokers);
    await broker.kill();
    await wait(random.between(1_000, 8_000));
    await broker.start();
  },
  "broker restarted": async ({ brokers, random }: FaultTools): Promise<void> => {
    const broker = random.pick(brokers.brokers);
    await broker.stop();
    await broker.start();
  },
  "broker frozen (SIGSTOP)": async ({ brokers, random }: FaultTools): Promise<void> => {
    const broker = random.pick(brokers.brokers);
    await broker.pause();
    await wait(random.between(1_000, 10_000));
    await broker.resume();
  },
  "all connections cut": async ({ proxy }: FaultTools): Promise<void> => {
    proxy.cutAll();
    await Promise.resolve();
  },
  "member killed (kill -9)": async ({ scene, random }: FaultTools): Promise<void> => {
    const group = random.pick(scene.groups);
    await group.part(random.pick(group.members), "SIGKILL");
    group.join();
  },
  "member frozen (SIGSTOP)": async ({ scene, random }: FaultTools): Promise<void> => {
    const group = random.pick(scene.groups);
    await group.freeze(random.pick(group.members), FROZEN_MS);
  },
  "member joined or left": async ({ scene, random }: FaultTools): Promise<void> => {
    const group = random.pick(scene.groups);
    if (group.members.length >= MAX_MEMBERS) await group.part(random.pick(group.members), "SIGTERM");
    else group.join();
  },
} as const;

export type FaultName = keyof typeof FAULTS;
