import { ErrorCodes } from "../../../src/kafka/client/error-codes.ts";
import { read, values } from "../records/batches.ts";

/** What a broker remembers of a batch that it has. */
interface Remembered {
  readonly first: number;
  readonly last: number;
  readonly offset: number;
}

export interface Appended {
  readonly errorCode: number;
  readonly baseOffset: number;
}

const REMEMBERED = 5;
const SEQUENCES = 2 ** 31;

/** One partition's log, with what a broker checks of an idempotent producer's batches before it appends them. */
export class ModelLog {
  readonly values: string[] = [];
  readonly #producers = new Map<bigint, { epoch: number; batches: Remembered[] }>();

  append(records: Uint8Array): Appended {
    const bytes = Buffer.from(records);
    const producerId = bytes.readBigInt64BE(43);
    const epoch = bytes.readInt16BE(51);
    const first = bytes.readInt32BE(53);
    const last = (first + bytes.readInt32BE(57) - 1) % SEQUENCES;
    const known = this.#producers.get(producerId);
    if (known !== undefined) {
      const same = known.batches.find((batch) => batch.first === first && batch.last === last);
      if (epoch === known.epoch && same !== undefined) return { errorCode: 0, baseOffset: same.offset };
      if (epoch < known.epoch) return refuse(ErrorCodes.INVALID_PRODUCER_EPOCH);
      const next = epoch > known.epoch ? 0 : (known.batches.at(-1)!.last + 1) % SEQUENCES;
      if (first !== next) return refuse(ErrorCodes.OUT_OF_ORDER_SEQUENCE_NUMBER);
    }
    const offset = this.values.length;
    this.values.push(...values(read(bytes)));
    const before = known?.epoch === epoch ? known.batches : [];
    const batches = [...before, { first, last, offset }].slice(-REMEMBERED);
    this.#producers.set(producerId, { epoch, batches });
    return { errorCode: 0, baseOffset: offset };
  }

  /** What it is like after a restart with a snapshot: only the last batch of each producer is known. */
  forget(): void {
    for (const producer of this.#producers.values()) producer.batches.splice(0, producer.batches.length - 1);
  }
}

const refuse = (errorCode: number): Appended => ({ errorCode, baseOffset: -1 });
