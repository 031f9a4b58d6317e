import type { ResolvedConsumerConfig } from "../config.ts";
import { abortable } from "./abortable.ts";
import type { Cluster } from "./cluster.ts";
import {
  ConsumerGroupHeartbeat,
  type ConsumerGroupHeartbeatRequest,
  type ConsumerGroupHeartbeatResponse,
} from "./consumer-group-apis.ts";

/** A heartbeat that is not answered is to be sent again, perhaps to another broker, well within the session (45 s). */
const MAX_HEARTBEAT_MS = 10_000;

/** The requests of a membership under KIP-848, each one try. They reject when the coordinator could not be asked. */
export interface ConsumerGroupRequests {
  heartbeat(
    request: ConsumerGroupHeartbeatRequest,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<ConsumerGroupHeartbeatResponse>;
  forgetCoordinator(): void;
}

/** Asks a group's coordinator, wherever it is, over the connection that commits go over too: so they keep their order. */
export class ConsumerGroupCoordinator implements ConsumerGroupRequests {
  readonly #cluster: Cluster;
  readonly #config: ResolvedConsumerConfig;
  readonly #answered: () => void;

  constructor(cluster: Cluster, config: ResolvedConsumerConfig, answered: () => void) {
    this.#cluster = cluster;
    this.#config = config;
    this.#answered = answered;
  }

  async heartbeat(
    request: ConsumerGroupHeartbeatRequest,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<ConsumerGroupHeartbeatResponse> {
    const nodeId = await abortable(this.#cluster.coordinator(request.groupId), signal);
    const connection = await abortable(this.#cluster.connection(nodeId, "group"), signal);
    const limitMs = Math.min(timeoutMs, MAX_HEARTBEAT_MS, this.#config["socket.timeout.ms"]);
    const sent = connection.request(ConsumerGroupHeartbeat, [request], { timeoutMs: limitMs });
    const response = await abortable(sent, signal);
    this.#answered();
    return response;
  }

  forgetCoordinator(): void {
    this.#cluster.forgetCoordinator(this.#config["group.id"]);
  }
}
