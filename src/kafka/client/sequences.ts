import type { ProducerIdentity } from "../records/batch-writer.ts";
import type { ProducerId } from "./producer-ids.ts";

const MAX_EPOCH = 32_767;
/** The number after 2^31 - 1 is 0. */
const SEQUENCES = 2 ** 31;

/**
 * The sequence numbers of one partition. Batches are counted through under one producer id and epoch; when a number was
 * used of which it is not known whether it is there, the count starts again under the next epoch (KIP-360).
 *
 * The epoch is the partition's own: brokers compare it with what they have in the partition's log, and with nothing else.
 */
export class Sequences {
  /** The brokers have a batch of this id and epoch, and so check the next one's number. */
  isKnown = false;
  /** Nothing new may be sent before {@link restart}, which has to wait until all that was sent is settled. */
  mustRestart = false;
  #id: ProducerId | undefined;
  /** A producer id that is of no more use here. */
  #spent: bigint | undefined;
  #nextSequence = 0;

  /** Whether a producer id is needed before anything can be sent. */
  get needsId(): boolean {
    return this.#id === undefined;
  }

  /** The producer id that must not come again. */
  get spent(): bigint | undefined {
    return this.#spent;
  }

  begin(id: ProducerId): void {
    this.#id = id;
    this.#nextSequence = 0;
    this.isKnown = false;
  }

  /** What the next batch is sent under, which has so many records. */
  next(recordCount: number): ProducerIdentity {
    const { producerId, epoch: producerEpoch } = this.#id!;
    const baseSequence = this.#nextSequence;
    this.#nextSequence = (baseSequence + recordCount) % SEQUENCES;
    return { producerId, producerEpoch, baseSequence };
  }

  /** Starts the count again: under the next epoch, or, after the last one, under another id. */
  restart(): void {
    this.mustRestart = false;
    const id = this.#id;
    if (id === undefined) return;
    if (id.epoch >= MAX_EPOCH) this.#spend();
    else this.begin({ producerId: id.producerId, epoch: id.epoch + 1 });
  }

  /** The id must not be used any more, because somebody else has it. */
  disown(producerId: bigint): void {
    if (this.#id?.producerId !== producerId) return;
    this.#spend();
    this.mustRestart = true;
  }

  #spend(): void {
    this.#spent = this.#id?.producerId;
    this.#id = undefined;
  }
}
