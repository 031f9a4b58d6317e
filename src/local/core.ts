import type { Clock } from "../clock.ts";
import type { Logger } from "../logger.ts";
import type { Group } from "./group.ts";
import type { Storage } from "./storage.ts";

/** A consumer or a producer of a broker. */
export interface LocalClient {
  close(): Promise<void>;
}

/** What consumers and producers see of their broker. */
export interface BrokerCore {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly storage: Storage;
  /** The group of that name, made if it is not there. */
  group(id: string): Group;
  /** A client was closed by its user. */
  forget(client: LocalClient): void;
}
