// npm passes on a Ctrl-C that the terminal has delivered already: what follows so soon is no second wish.
const SAME_WISH_MS = 500;
const EXIT_CODE_OF_SIGINT = 130;

/** Calls back at the first SIGINT or SIGTERM; a second one, later, ends the process at once. */
export function onFirstSignal(callback: (signal: string) => void): Disposable {
  let firstMs: number | undefined;
  const listen = (signal: string): void => {
    const now = performance.now();
    if (firstMs === undefined) {
      firstMs = now;
      callback(signal);
    } else if (now - firstMs > SAME_WISH_MS) {
      process.exit(EXIT_CODE_OF_SIGINT);
    }
  };
  const signals = ["SIGINT", "SIGTERM"] as const;
  for (const signal of signals) process.on(signal, listen);
  const stop = (): void => {
    for (const signal of signals) process.off(signal, listen);
  };
  return {
    [Symbol.dispose]: () => {
      // A first signal that was quickly obeyed may still have its copy on the way.
      if (firstMs === undefined) stop();
      else setTimeout(stop, SAME_WISH_MS).unref();
    },
  };
}
