import type { Submitted } from "../message/message.ts";
import { Lifecycle } from "./lifecycle.ts";
import type { ProcessingStrategy } from "./strategy.ts";

/** The end of a chain that commits nothing and does nothing. (Arroyo's `Noop`.) */
export class Noop implements ProcessingStrategy<unknown> {
  readonly name = "Noop";
  readonly #lifecycle: Lifecycle = new Lifecycle("Noop");

  submit(_message: Submitted<unknown>): void {
    if (!this.#lifecycle.open) this.#lifecycle.refuse("submit");
  }

  poll(): void {
    this.#lifecycle.assertPollable();
  }

  close(): void {
    this.#lifecycle.close();
  }

  terminate(): void {
    this.#lifecycle.terminate();
  }

  join(_deadline: AbortSignal): Promise<void> {
    return this.#lifecycle.join(async () => {});
  }
}
