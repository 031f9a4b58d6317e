import { GroupSession } from "./group-session.ts";

/** A membership under KIP-848, from its join until it leaves or is put out. Its epoch goes up meanwhile. */
export class ConsumerGroupSession extends GroupSession {
  /** What the coordinator wants to know of whoever asks for committed offsets. */
  get member(): { readonly memberId: string; readonly memberEpoch: number } {
    return { memberId: this.memberId, memberEpoch: this.generationId };
  }

  /** The coordinator has gone on to another epoch. */
  advance(memberEpoch: number): void {
    this.generationId = memberEpoch;
  }
}
