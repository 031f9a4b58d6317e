import type { AbortedTransaction } from "../records/aborted-transactions.ts";
import type { ResponseCursor } from "./response-cursor.ts";

/** What a broker says of one partition. Offsets are -1 where it does not know, or has an error to report. */
export interface FetchPartitionAnswer {
  readonly index: number;
  readonly errorCode: number;
  readonly highWatermark: number;
  readonly lastStableOffset: number;
  readonly logStartOffset: number;
  /** Where our log and the leader's part: the largest epoch that both have, and where it ends (KIP-595). */
  readonly divergingEpoch: { readonly epoch: number; readonly endOffset: number } | undefined;
  /** Who leads now, as far as a broker that does not lead knows (KIP-951). */
  readonly currentLeader: { readonly nodeId: number; readonly leaderEpoch: number } | undefined;
  /** Transactions whose records are in the answer although they were aborted. */
  readonly abortedTransactions: readonly AbortedTransaction[];
  /** The replica to read from instead (KIP-392); -1 for none. */
  readonly preferredReadReplica: number;
  /** Whole record batches, the last of which may be cut off. In a buffer of their own. */
  readonly records: Buffer;
}

export interface FetchTopicAnswer {
  readonly topicId: string;
  readonly partitions: readonly FetchPartitionAnswer[];
}

export interface FetchResponse {
  readonly throttleTimeMs: number;
  readonly errorCode: number;
  readonly sessionId: number;
  readonly topics: readonly FetchTopicAnswer[];
}

const TAG_DIVERGING_EPOCH = 0;
const TAG_CURRENT_LEADER = 1;

// The least that these structures take, all lengths in them being 0.
const TOPIC_BYTES = 18;
const PARTITION_BYTES = 37;
const ABORTED_TRANSACTION_BYTES = 17;

function readAbortedTransaction(cursor: ResponseCursor): AbortedTransaction {
  return { producerId: cursor.bigInt64(), firstOffset: cursor.int64() };
}

function readPartition(cursor: ResponseCursor): FetchPartitionAnswer {
  const index = cursor.int32();
  const errorCode = cursor.int16();
  const highWatermark = cursor.int64();
  const lastStableOffset = cursor.int64();
  const logStartOffset = cursor.int64();
  let divergingEpoch: FetchPartitionAnswer["divergingEpoch"];
  let currentLeader: FetchPartitionAnswer["currentLeader"];
  const abortedTransactions = cursor.structures(ABORTED_TRANSACTION_BYTES, readAbortedTransaction);
  const preferredReadReplica = cursor.int32();
  const records = cursor.compactBytes();
  cursor.taggedFields((tag) => {
    if (tag === TAG_DIVERGING_EPOCH) {
      divergingEpoch = { epoch: cursor.int32(), endOffset: cursor.int64() };
    } else if (tag === TAG_CURRENT_LEADER) {
      currentLeader = { nodeId: cursor.int32(), leaderEpoch: cursor.int32() };
    }
  });
  return {
    index,
    errorCode,
    highWatermark,
    lastStableOffset,
    logStartOffset,
    divergingEpoch,
    currentLeader,
    abortedTransactions,
    preferredReadReplica,
    records,
  };
}

function readTopic(cursor: ResponseCursor): FetchTopicAnswer {
  return { topicId: cursor.uuid(), partitions: cursor.compactArray(PARTITION_BYTES, readPartition) };
}

/**
 * The body of an answer to Fetch, versions 13 to 17 (which are written alike). Error codes are part of the result. The
 * records are not looked into.
 *
 * @throws MalformedResponseError when it cannot be read.
 */
export function parseFetchResponse(cursor: ResponseCursor): FetchResponse {
  const response = {
    throttleTimeMs: cursor.int32(),
    errorCode: cursor.int16(),
    sessionId: cursor.int32(),
    topics: cursor.structures(TOPIC_BYTES, readTopic),
  };
  cursor.taggedFields();
  return response;
}
