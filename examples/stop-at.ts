import type { Partition, ProcessingStrategyFactory } from "../src/index.ts";

/** The same factory; calls back once everything before these offsets is done, so that an example can come to an end. */
export function stopAt<T>(
  factory: ProcessingStrategyFactory<T>,
  ends: ReadonlyMap<Partition, number>,
  stop: () => void,
): ProcessingStrategyFactory<T> {
  const left = new Map([...ends].filter(([, end]) => end > 0));
  return {
    createWithPartitions: (commit, partitions) =>
      factory.createWithPartitions((offsets, options) => {
        commit(offsets, options);
        for (const [partition, offset] of offsets) {
          if (offset >= (left.get(partition) ?? Infinity)) left.delete(partition);
        }
        if (left.size === 0) stop();
      }, partitions),
    shutdown: () => factory.shutdown?.(),
  };
}
