import { Session, type Debugger } from "node:inspector";

const MAX_FRAMES = 50;

function describe({ functionName, location }: Debugger.CallFrame, urls: ReadonlyMap<string, string>): string {
  const at = `${urls.get(location.scriptId) ?? "unknown"}:${location.lineNumber + 1}:${(location.columnNumber ?? 0) + 1}`;
  return functionName === "" ? `    at ${at}` : `    at ${functionName} (${at})`;
}

/**
 * Takes the main thread's stack from another thread, whatever it does: it is stopped for a moment in its next step of
 * JavaScript. In a native call that is when the call returns. Only where it is: no values, so no payloads.
 *
 * The debugger is attached for just that long, so that it costs nothing before, and is let go of after. Somebody else's
 * debugger that holds the main thread is left alone: then there is no stack.
 *
 * Disposing of it gives up.
 */
export function takeMainStack(taken: (stack: string) => void): Disposable {
  const session = new Session();
  const urls = new Map<string, string>();
  let isAsked = false;
  let isOver = false;
  const end = (): void => {
    if (isOver) return;
    isOver = true;
    session.disconnect();
  };
  session.connectToMainThread();
  session.on("Debugger.scriptParsed", ({ params }) => urls.set(params.scriptId, params.url));
  session.on("Debugger.paused", ({ params }) => {
    if (!isAsked || isOver) {
      end();
      return;
    }
    // Let go first: the main thread stands still until then.
    session.post("Debugger.resume");
    const frames = params.callFrames.slice(0, MAX_FRAMES).map((frame) => describe(frame, urls));
    session.post("Debugger.disable", end);
    taken(frames.join("\n"));
  });
  // Before its answer comes the event of a pause that was there before. Both requests go at once: they are served in the
  // same moment, and the main thread must not come any further in between.
  session.post("Debugger.enable", () => (isAsked = true));
  session.post("Debugger.pause");
  return { [Symbol.dispose]: end };
}
