import type { MessagePort } from "node:worker_threads";
import { Vitals } from "../backend/vitals.ts";
import { systemClock } from "../clock.ts";
import { writeLogLine } from "../logger.ts";
import { takeMainStack } from "./main-stack.ts";
import { StuckWatch, type StuckState } from "./stuck-watch.ts";
import type { WatchRequest } from "./watch-thread.ts";

/** What the main thread is told; it hears of it when it is free again. */
export type StuckEvent =
  /** To be sent back at once. */
  | { readonly type: "ping" }
  /** It is stuck. `isWritten`: the log line is on standard error. */
  | { readonly type: "stuck"; readonly isWritten: boolean; readonly message: string; readonly stack?: string }
  | { readonly type: "free"; readonly silentMs: number };

function messageOf(state: StuckState, timeoutMs: number): string {
  const silent = `The main thread has not polled for ${timeoutMs} ms (stuckDetectorTimeoutMs)`;
  switch (state.kind) {
    case "waiting":
      return `${silent}, but its event loop runs: something that the processor awaits does not come to its end.`;
    case "native":
      return `${silent}: it is in a native call; where, follows when that returns.`;
    case "blocked":
      return `${silent}: it is blocked here.`;
  }
}

/** Watches until `port` is closed. */
export function watchForStuck(
  { vitals, timeoutMs }: Extract<WatchRequest, { kind: "stuck" }>,
  port: MessagePort,
): void {
  const send = (event: StuckEvent): void => port.postMessage(event);
  let answered: (() => void) | undefined;
  const watch = new StuckWatch({
    vitals: new Vitals(vitals),
    timeoutMs,
    clock: systemClock,
    ask: (then) => {
      answered = then;
      send({ type: "ping" });
    },
    takeStack: takeMainStack,
    stuck: (state, isFirst) => {
      const message = messageOf(state, timeoutMs);
      const stack = state.kind === "blocked" ? { stack: state.stack } : {};
      // Whatever goes through the main thread would be seen only when it is free again, if ever.
      const isWritten = writeLogLine("error", { thread: "arroyo-watch", ...stack }, message);
      if (isFirst || !isWritten) send({ type: "stuck", isWritten, message, ...stack });
    },
    free: (silentMs) => send({ type: "free", silentMs: Math.round(silentMs) }),
  });
  port.on("message", (message) => {
    if (message === "pong") answered?.();
  });
  port.on("close", () => watch.stop());
}
