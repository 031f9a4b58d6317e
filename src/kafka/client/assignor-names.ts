import { rangeAssignor, roundRobinAssignor, type Assignor } from "./assignors.ts";
import { cooperativeStickyAssignor } from "./sticky-assignor.ts";

/** The assignors by the names that `partition.assignment.strategy` takes. */
export const ASSIGNORS: ReadonlyMap<string, Assignor> = new Map(
  [rangeAssignor, roundRobinAssignor, cooperativeStickyAssignor].map((assignor) => [assignor.name, assignor]),
);
