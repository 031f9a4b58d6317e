import { constants, PerformanceObserver } from "node:perf_hooks";

/** Tells of each collection of this thread's garbage that was asked for, with its kind, until it is disposed of. */
export function forcedCollections(onForced: (kind: number) => void): Disposable {
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const { kind, flags } = (entry as unknown as { detail: { kind: number; flags: number } }).detail;
      if ((flags & constants.NODE_PERFORMANCE_GC_FLAGS_FORCED) !== 0) onForced(kind);
    }
  });
  observer.observe({ entryTypes: ["gc"] });
  return { [Symbol.dispose]: () => observer.disconnect() };
}
