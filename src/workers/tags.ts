/** What a value in a block is: one byte before it. */
export const Tag = {
  FILTERED: 0,
  KAFKA_PAYLOAD: 1,
  BUFFER: 2,
  UINT8_ARRAY: 3,
  /** Text as UTF-8. */
  TEXT: 4,
  /** Whatever else, by structured clone. */
  CLONE: 5,
  BROKER_MESSAGE: 6,
  DERIVED_MESSAGE: 7,
  PARTITION: 8,
  TOPIC: 9,
  // Containers, of which at least one value within is one of the above that a structured clone would not bring across.
  ARRAY: 10,
  RECORD: 11,
  MAP: 12,
  SET: 13,
  // Instead of the result of a task.
  INVALID: 14,
  ERROR: 15,
  // Before the result of a task: one of the messages that a derived message was made of is invalid, and was left out.
  LEFT_OUT: 16,
} as const;

/** A partition's topic and index: how partitions are named to another thread. Each block comes with a table of them. */
export type PartitionName = readonly [topic: string, index: number];
