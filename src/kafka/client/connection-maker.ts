import type { Clock } from "../../clock.ts";
import type { ClientConfig } from "./client-config.ts";
import { BrokerConnection, type BrokerAddress } from "./connection.ts";
import { resolveSecurity, type Security } from "./security.ts";
import { BrokerTraffic } from "./statistics-brokers.ts";
import type { BrokerStatistics } from "./statistics.ts";
import type { Tokens } from "./tokens.ts";

/** Makes the connections of one client, all with the same settings, and knows those that have not ended. */
export class ConnectionMaker {
  readonly #config: ClientConfig;
  readonly #clock: Clock;
  readonly #security: Security;
  readonly #connections = new Set<BrokerConnection>();
  readonly #traffic = new BrokerTraffic();
  #closedFor: Error | undefined;

  /** @throws ConfigurationError when certificates or credentials cannot be used. */
  constructor(config: ClientConfig, clock: Clock, tokens?: Tokens) {
    this.#config = config;
    this.#clock = clock;
    this.#security = resolveSecurity(config, tokens);
  }

  /** A connection that is still to be opened. */
  make(address: BrokerAddress): BrokerConnection {
    const observer = this.#traffic.watch(address);
    const connection = new BrokerConnection(address, {
      clock: this.#clock,
      clientId: this.#config["client.id"],
      security: this.#security,
      connectTimeoutMs: this.#config["socket.connection.setup.timeout.ms"],
      maxResponseBytes: this.#config["receive.message.max.bytes"],
      onEnd: (ended) => {
        this.#connections.delete(ended);
        observer.ended();
      },
      observer,
    });
    this.#connections.add(connection);
    if (this.#closedFor !== undefined) connection.close(this.#closedFor);
    return connection;
  }

  /** What has happened on them; the next interval begins. */
  takeStatistics(): readonly BrokerStatistics[] {
    return this.#traffic.take(this.#connections);
  }

  /** Closes them all, at once, and whatever is made from now on. */
  close(reason: Error): void {
    this.#closedFor = reason;
    for (const connection of [...this.#connections]) connection.close(reason);
  }
}
