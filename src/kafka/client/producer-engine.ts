import type { MessagePort } from "node:worker_threads";
import type { Clock } from "../../clock.ts";
import { ProducerError } from "../../errors.ts";
import type { ResolvedProducerConfig } from "../config.ts";
import { Cluster } from "./cluster.ts";
import { portLogger } from "./port-logger.ts";
import type { ProducerCommand, ProducerEvent } from "./producer-protocol.ts";
import { ProducerTopics } from "./producer-topics.ts";
import { Sender } from "./sender.ts";
import { serializeError } from "./serialized-error.ts";
import { StatisticsTimer } from "./statistics-timer.ts";

export interface ProducerEngineOptions {
  readonly config: ResolvedProducerConfig;
  /** The other end is the producer's on the main thread. */
  readonly port: MessagePort;
  readonly clock: Clock;
  /** Where tokens for OAUTHBEARER come in. */
  readonly tokens?: MessagePort | undefined;
  /** How long a topic may be unknown before that is an error. Default 30,000. */
  readonly unknownTopicGraceMs?: number | undefined;
}

/**
 * A producer's I/O side: follows its topics and sends its batches, and talks with the main thread over a port. It knows
 * nothing of threads, so it runs wherever its port is.
 */
export class ProducerEngine {
  readonly #port: MessagePort;
  readonly #cluster: Cluster | undefined;
  readonly #topics: ProducerTopics | undefined;
  readonly #sender: Sender | undefined;
  #statistics: StatisticsTimer | undefined;

  constructor({ config, port, clock, tokens, unknownTopicGraceMs }: ProducerEngineOptions) {
    this.#port = port;
    port.on("message", (command: ProducerCommand) => this.#receive(command));
    try {
      const logger = portLogger((event) => this.#post(event));
      const cluster = new Cluster({ config, clock, logger, tokens });
      this.#cluster = cluster;
      const sender = new Sender({
        cluster,
        config,
        clock,
        logger,
        events: {
          delivered: (batches) => this.#post({ type: "delivered", batches }),
          failed: (ids, error) => this.#post({ type: "failed", ids, error: serializeError(error) }),
          retried: (batches) => this.#post({ type: "retried", batches }),
          fatal: (error) => this.#post({ type: "fatal", error: serializeError(error) }),
        },
      });
      this.#sender = sender;
      if (config["statistics.interval.ms"] > 0) {
        this.#statistics = new StatisticsTimer(clock, config["statistics.interval.ms"], () => {
          const statistics = {
            atMs: clock.nowMs(),
            brokers: cluster.takeStatistics(),
            batches: sender.count(),
          };
          this.#post({ type: "statistics", statistics });
        });
      }
      this.#topics = new ProducerTopics({
        cluster,
        clock,
        graceMs: unknownTopicGraceMs,
        events: {
          topic: (name, partitions, leaderless) =>
            this.#post({ type: "topic", name, partitions, leaderless }),
          failed: (name, error) => {
            sender.failTopic(name, error);
            this.#post({ type: "topicFailed", name, error: serializeError(error) });
          },
        },
      });
    } catch (error) {
      this.#post({ type: "fatal", error: serializeError(error) });
    }
  }

  /** Drops everything and closes the port. */
  close(): void {
    this.#statistics?.close();
    this.#topics?.close();
    this.#sender?.close();
    void this.#cluster?.close();
    this.#post({ type: "closed" });
    this.#port.close();
  }

  #receive(command: ProducerCommand): void {
    try {
      switch (command.type) {
        case "topic":
          void this.#topics?.want(command.name);
          break;
        case "probe":
          void this.#probe();
          break;
        case "batches":
          this.#sender?.add(command.batches);
          break;
        case "close":
          this.close();
          break;
      }
    } catch (error) {
      // A fault of this client must not pass for silence, nor end the thread that others use too.
      const fault = new ProducerError("The producer's I/O side has failed.", { cause: error });
      this.#post({ type: "fatal", error: serializeError(fault) });
    }
  }

  async #probe(): Promise<void> {
    try {
      await Promise.all([this.#cluster?.refresh(), this.#sender?.prepare()]);
      this.#post({ type: "probed" });
    } catch (error) {
      this.#post({ type: "probed", error: serializeError(error) });
    }
  }

  #post(event: ProducerEvent): void {
    this.#port.postMessage(event);
  }
}
