import type { BrokerAddress, BrokerConnection } from "./connection.ts";
import { JoinGroup, SyncGroup } from "./group-apis.ts";
import type { BrokerStatistics, RoundTrips } from "./statistics.ts";

/** What a connection tells of itself. */
export interface ConnectionObserver {
  opened(): void;
  answered(apiKey: number, durationMs: number): void;
  /** It could not be made, was lost, or has left a request without an answer. */
  failed(): void;
}

const FETCH = 1;
/** What brokers answer only when there is something to say. */
const HELD: ReadonlySet<number> = new Set([FETCH, JoinGroup.key, SyncGroup.key]);

class Durations {
  #count = 0;
  #sumMs = 0;
  #minMs = Infinity;
  #maxMs = 0;

  add(ms: number): void {
    this.#count++;
    this.#sumMs += ms;
    this.#minMs = Math.min(this.#minMs, ms);
    this.#maxMs = Math.max(this.#maxMs, ms);
  }

  /** What has come together, and begins anew. */
  take(): RoundTrips | undefined {
    const count = this.#count;
    if (count === 0) return undefined;
    const taken = { count, minMs: this.#minMs, averageMs: this.#sumMs / count, maxMs: this.#maxMs };
    this.#count = this.#sumMs = this.#maxMs = 0;
    this.#minMs = Infinity;
    return taken;
  }
}

class BrokerCounters {
  readonly roundTrip = new Durations();
  readonly held = new Durations();
  connects = 0;
  disconnects = 0;
  errors = 0;
  address: BrokerAddress;

  constructor(address: BrokerAddress) {
    this.address = address;
  }
}

/** Counts what happens on the connections of one client, by broker: a few additions for each request. */
export class BrokerTraffic {
  readonly #brokers = new Map<string, BrokerCounters>();

  /** What a new connection to a broker is to tell, and its end. */
  watch(address: BrokerAddress): ConnectionObserver & { ended(): void } {
    const counters = this.#of(address);
    let isOpen = false;
    return {
      opened: () => {
        isOpen = true;
        counters.connects++;
      },
      answered: (apiKey, durationMs) => {
        (HELD.has(apiKey) ? counters.held : counters.roundTrip).add(durationMs);
      },
      failed: () => {
        counters.errors++;
      },
      ended: () => {
        if (isOpen) counters.disconnects++;
        isOpen = false;
      },
    };
  }

  /** The interval that ends here; the next one begins. */
  take(connections: Iterable<Pick<BrokerConnection, "address" | "inFlight">>): readonly BrokerStatistics[] {
    const inFlight = new Map<BrokerCounters, number>();
    for (const connection of connections) {
      const counters = this.#of(connection.address);
      inFlight.set(counters, (inFlight.get(counters) ?? 0) + connection.inFlight);
    }
    return [...this.#brokers.values()].map((counters) => ({
      nodeId: counters.address.nodeId,
      host: counters.address.host,
      port: counters.address.port,
      roundTrip: counters.roundTrip.take(),
      held: counters.held.take(),
      requestsInFlight: inFlight.get(counters) ?? 0,
      connects: counters.connects,
      disconnects: counters.disconnects,
      errors: counters.errors,
    }));
  }

  #of(address: BrokerAddress): BrokerCounters {
    const { nodeId, host, port } = address;
    const key = nodeId >= 0 ? String(nodeId) : `${host}:${port}`;
    let counters = this.#brokers.get(key);
    if (counters === undefined) this.#brokers.set(key, (counters = new BrokerCounters(address)));
    // It may have moved.
    counters.address = address;
    return counters;
  }
}
