import assert from "node:assert/strict";
import type { Submitted } from "../message/message.ts";
import type { ProcessingStrategy } from "../strategies/strategy.ts";
import type { ContractLedger } from "./contract-ledger.ts";

/** The step behind a strategy in a contract run: writes down what it gets, and gives trouble as it is told. */
export class ContractNext implements ProcessingStrategy<unknown> {
  readonly name = "the next step";
  readonly calls: string[] = [];
  polls = 0;
  /** How often something was offered, taken or not. */
  offers = 0;
  /** Called before something is taken, with how often something was offered before. What it throws, `submit` throws. */
  onOffer: ((message: Submitted<unknown>, count: number) => void) | undefined;
  onPoll: (() => void) | undefined;
  onJoin: ((deadline: AbortSignal) => void | Promise<void>) | undefined;
  readonly #ledger: Pick<ContractLedger<unknown>, "noteOutput">;

  constructor(ledger: Pick<ContractLedger<unknown>, "noteOutput">) {
    this.#ledger = ledger;
  }

  submit(message: Submitted<unknown>): void {
    assert.equal(
      this.calls.length,
      0,
      `the next step was handed a message after ${this.calls.join(" and ")}`,
    );
    this.onOffer?.(message, this.offers++);
    this.#ledger.noteOutput(message);
  }

  poll(): void {
    assert.ok(!this.calls.includes("terminate"), "the next step was polled after it was terminated");
    this.polls++;
    this.onPoll?.();
  }

  close(): void {
    assert.equal(this.calls.length, 0, `the next step was closed after ${this.calls.join(" and ")}`);
    this.calls.push("close");
  }

  terminate(): void {
    assert.ok(!this.calls.includes("terminate"), "the next step was terminated twice");
    this.calls.push("terminate");
  }

  async join(deadline: AbortSignal): Promise<void> {
    assert.ok(this.calls.includes("close"), "the next step was joined before it was closed");
    assert.ok(!this.calls.includes("terminate"), "the next step was joined after it was terminated");
    this.calls.push("join");
    await this.onJoin?.(deadline);
  }
}
