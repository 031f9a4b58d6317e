import type { Clock } from "../../clock.ts";
import type { Logger } from "../../logger.ts";
import { Backoff } from "./backoff.ts";
import type { ClientConfig } from "./client-config.ts";
import type { ConnectionMaker } from "./connection-maker.ts";
import type { BrokerAddress, BrokerConnection } from "./connection.ts";
import { sleep } from "./latch.ts";
import { Reachability } from "./reachability.ts";
import { TransportError } from "./transport-error.ts";

/** What a connection is for: requests of different purposes never wait for each other. */
export type ConnectionPurpose = "metadata" | "fetch" | "fetch-side" | "reread" | "produce" | "group" | "join";

export interface BrokerConnectionsOptions {
  readonly config: ClientConfig;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly maker: ConnectionMaker;
  /** Aborts, with the reason, when the client is closed. */
  readonly closed: AbortSignal;
  /** Where a broker is, as far as is known. */
  readonly addressOf: (nodeId: number) => BrokerAddress | undefined;
  /** Asks the cluster about its brokers, and resolves when it has answered. */
  readonly refresh: () => Promise<void>;
}

/** What is known of how to reach a broker. */
interface Node {
  readonly backoff: Backoff;
  readonly reachability: Reachability;
  /** Until when it is left alone, after a failure. */
  notBeforeMs: number;
}

interface Slot {
  connection: BrokerConnection | undefined;
  opening: Promise<BrokerConnection> | undefined;
}

/** The connections to the brokers by their node ids: one for each purpose, made when it is asked for. */
export class BrokerConnections {
  readonly #options: BrokerConnectionsOptions;
  readonly #nodes = new Map<number, Node>();
  readonly #slots = new Map<string, Slot>();

  constructor(options: BrokerConnectionsOptions) {
    this.#options = options;
  }

  /** The connection, or one attempt to make it, no sooner than the back-off after the last failure allows. */
  get(nodeId: number, purpose: ConnectionPurpose): Promise<BrokerConnection> {
    const key = `${nodeId}:${purpose}`;
    let slot = this.#slots.get(key);
    if (slot === undefined) this.#slots.set(key, (slot = { connection: undefined, opening: undefined }));
    if (slot.connection?.alive === true) return Promise.resolve(slot.connection);
    return (slot.opening ??= this.#open(nodeId, slot));
  }

  /** Whether the last attempt to reach a broker failed. */
  isInTrouble(nodeId: number): boolean {
    return (this.#nodes.get(nodeId)?.backoff.tries ?? 0) > 0;
  }

  /** Lets go of connections to where a broker is no more. */
  retireMoved(): void {
    for (const { connection } of this.#slots.values()) {
      if (connection === undefined) continue;
      const { nodeId, host, port } = connection.address;
      const address = this.#options.addressOf(nodeId);
      if (address !== undefined && (address.host !== host || address.port !== port)) {
        connection.retire(`the broker is at ${address.host}:${address.port} now`);
      }
    }
  }

  async #open(nodeId: number, slot: Slot): Promise<BrokerConnection> {
    try {
      return (slot.connection = await this.#attempt(nodeId));
    } finally {
      slot.opening = undefined;
    }
  }

  async #attempt(nodeId: number): Promise<BrokerConnection> {
    const { clock, maker, closed, addressOf, refresh } = this.#options;
    closed.throwIfAborted();
    if (addressOf(nodeId) === undefined) await refresh();
    const node = this.#node(nodeId);
    const waitMs = node.notBeforeMs - clock.monotonicMs();
    if (waitMs > 0) await sleep(clock, waitMs, closed);
    closed.throwIfAborted();
    const address = addressOf(nodeId);
    if (address === undefined)
      throw new TransportError(`Broker ${nodeId} is not part of the cluster at the moment.`);

    const connection = maker.make(address);
    const beganMs = clock.monotonicMs();
    try {
      await connection.open();
    } catch (error) {
      closed.throwIfAborted();
      // Attempts for several purposes fail together: that is one failure of the broker.
      if (node.notBeforeMs <= beganMs) node.notBeforeMs = clock.monotonicMs() + node.backoff.next();
      node.reachability.failed(error);
      // It may have moved, or others may have taken its place. Nobody waits for this.
      refresh().catch(() => {});
      throw error;
    }
    node.backoff.reset();
    node.reachability.succeeded();
    return connection;
  }

  #node(nodeId: number): Node {
    let node = this.#nodes.get(nodeId);
    if (node === undefined) {
      const { config, logger } = this.#options;
      node = {
        backoff: new Backoff({
          initialMs: config["reconnect.backoff.ms"],
          maxMs: config["reconnect.backoff.max.ms"],
        }),
        reachability: new Reachability(logger, `Broker ${nodeId}`, { brokerId: nodeId }),
        notBeforeMs: 0,
      };
      this.#nodes.set(nodeId, node);
    }
    return node;
  }
}
