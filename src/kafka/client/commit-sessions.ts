import type { GroupSession } from "./group-session.ts";
import { Latch } from "./latch.ts";
import type { CommitSession } from "./membership.ts";

/** What a membership's commits may be sent under, as it changes: whoever waits for a change hears of the next one. */
export class CommitSessions {
  #current: CommitSession | undefined;
  #changed = new Latch();

  get current(): CommitSession | undefined {
    return this.#current;
  }

  set(state: "ready" | "passing", session: GroupSession): void;
  set(state: "held" | undefined): void;
  set(state: CommitSession["state"] | undefined, session?: GroupSession): void {
    const before = this.#changed;
    const { promise: changed } = (this.#changed = new Latch());
    if (state === undefined) this.#current = undefined;
    else if (state === "held") this.#current = { state, changed };
    else if (session !== undefined) {
      this.#current = state === "ready" ? { state, session } : { state, session, changed };
    }
    before.set();
  }
}
