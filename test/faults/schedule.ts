import { setTimeout as wait } from "node:timers/promises";
import { FAULTS, type FaultName, type FaultTools } from "./faults.ts";

export interface Schedule extends FaultTools {
  /** For how long faults are injected; the last one may end later. */
  readonly milliseconds: number;
  /** How long a group may take to catch up after a fault. */
  readonly catchUpMs: number;
  /** The longest pause between the end of a fault and the look at the groups. */
  readonly pauseMs: number;
  readonly over: (fault: FaultName, caughtUpMs: number) => void;
}

/** Injects faults at random, one after another, and waits after each until everything that was acknowledged is committed. */
export async function injectFaults(schedule: Schedule): Promise<void> {
  const { scene, random } = schedule;
  const untilMs = performance.now() + schedule.milliseconds;
  while (performance.now() < untilMs) {
    const name = random.pick(Object.keys(FAULTS) as FaultName[]);
    try {
      await FAULTS[name](schedule);
      for (const group of scene.groups) group.mend();
      await wait(random.between(0, schedule.pauseMs));
      const startedMs = performance.now();
      await scene.caughtUp(schedule.catchUpMs);
      schedule.over(name, performance.now() - startedMs);
    } catch (error) {
      throw new Error(`After "${name}": ${(error as Error).message}`, { cause: error });
    }
  }
}
