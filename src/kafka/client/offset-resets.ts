import { ConsumerError } from "../../errors.ts";
import type { Logger } from "../../logger.ts";
import type { ResolvedConsumerConfig } from "../config.ts";
import type { ListOffsetsCluster } from "./list-offsets.ts";
import type { FetchOutOfRange, FetchUnknownTopic } from "./fetch-context.ts";
import { resetPositions } from "./offset-resolution.ts";
import {
  partitionKey,
  type AssignedPartition,
  type ConsumerEvent,
  type FetchPosition,
  type PartitionId,
} from "./protocol.ts";
import { serializeError } from "./serialized-error.ts";

interface OffsetResetsOptions {
  readonly cluster: ListOffsetsCluster;
  readonly config: ResolvedConsumerConfig;
  readonly logger: Logger;
  /** The epoch that a partition is fetched under now. */
  readonly epochOf: (partition: PartitionId) => number | undefined;
  readonly fetch: (position: FetchPosition) => void;
  /** Takes the partition away from the main thread, with a reason, and gives it again at another position. */
  readonly restart: (position: AssignedPartition, reason: string) => void;
  readonly send: (event: ConsumerEvent) => void;
  readonly closed: AbortSignal;
}

/** What is done about a position that is not there (any more): told to the main thread, or reset by the policy. */
export class OffsetResets {
  readonly #options: OffsetResetsOptions;

  constructor(options: OffsetResetsOptions) {
    this.#options = options;
  }

  outOfRange(position: FetchOutOfRange): void {
    const { config, send } = this.#options;
    const { topic, index, epoch, offset, divergedAt } = position;
    // Where the log was cut, reading can go on without a policy.
    const isRefused = divergedAt === undefined && config["auto.offset.reset"] === "error";
    if (config["arroyo.strict.offset.reset"] || isRefused) {
      send({ type: "outOfRange", topic, index, epoch, offset, reason: refusalOf(position) });
    } else {
      void this.#reset(position);
    }
  }

  unknownTopic({ topic, index, epoch }: FetchUnknownTopic): void {
    const error = new ConsumerError(
      `Topic "${topic}" is gone (it had partition ${index}): create it again, or subscribe to others.`,
    );
    this.#options.send({ type: "failed", topic, index, epoch, error: serializeError(error) });
  }

  /** Follows the reset policy, unless the main thread has moved the partition meanwhile. */
  async #reset(position: FetchOutOfRange): Promise<void> {
    const { cluster, config, logger, epochOf, fetch, restart, send, closed } = this.#options;
    const { topic, index, epoch, offset, divergedAt, isOtherTopic } = position;
    try {
      const to =
        divergedAt === undefined
          ? (await resetPositions(cluster, config, [position], closed)).get(partitionKey(position))
          : { offset: divergedAt, leaderEpoch: -1 };
      if (epochOf(position) !== epoch) return;
      if (to === undefined) throw new ConsumerError(`No broker has told an offset for ${topic}[${index}].`);
      logger.warn(
        { topic, partition: index, offset, newOffset: to.offset },
        "The offset was out of range: reading goes on where the reset policy says.",
      );
      if (to.offset < offset || isOtherTopic === true) {
        // Offsets that were read already mean something else now, and may not be committed any more.
        restart({ topic, index, ...to }, reasonOf(position));
        return;
      }
      // What was fetched before it is still on its way to the handler, so the epoch stays.
      fetch({ topic, index, epoch, ...to });
    } catch (error) {
      if (!closed.aborted) send({ type: "failed", topic, index, epoch, error: serializeError(error) });
    }
  }
}

function reasonOf({ divergedAt, isOtherTopic }: FetchOutOfRange): string {
  if (isOtherTopic === true) return "the topic was deleted and made again";
  return divergedAt === undefined ? "the log ends before the offset" : "the log was cut";
}

/** What there is to say to whoever wants it to be an error. */
function refusalOf({ divergedAt, isOtherTopic }: FetchOutOfRange): string | undefined {
  if (isOtherTopic === true)
    return "the topic was deleted and made again, and the offset is one of the old topic";
  if (divergedAt === undefined) return undefined;
  return `the log was cut at offset ${divergedAt}, and what was read behind that is not in it any more`;
}
