/**
 * The name of every metric. Names that Arroyo has too mean the same here, in the same unit, so that its dashboards fit.
 */
export const MetricName = {
  RUN_COUNT: "arroyo.consumer.run.count",
  MESSAGES_RECEIVED: "arroyo.consumer.messages_received.count",
  POLL_TIME: "arroyo.consumer.poll.time",
  PROCESSING_TIME: "arroyo.consumer.processing.time",
  BACKPRESSURE_TIME: "arroyo.consumer.backpressure.time",
  DLQ_TIME: "arroyo.consumer.dlq.time",
  JOIN_TIME: "arroyo.consumer.join.time",
  CALLBACK_TIME: "arroyo.consumer.callback.time",
  SHUTDOWN_TIME: "arroyo.consumer.shutdown.time",
  STUCK: "arroyo.consumer.stuck",
  CALLBACK: "arroyo.consumer.run.callback",
  CREATE_STRATEGY: "arroyo.consumer.run.create_strategy",
  CLOSE_STRATEGY: "arroyo.consumer.run.close_strategy",
  JOIN_TIMEOUT: "arroyo.consumer.join.timeout",
  PARTITIONS_ASSIGNED: "arroyo.consumer.partitions_assigned.count",
  PARTITIONS_REVOKED: "arroyo.consumer.partitions_revoked.count",
  PARTITIONS_LOST: "arroyo.consumer.partitions_lost.count",
  PAUSE: "arroyo.consumer.pause",
  RESUME: "arroyo.consumer.resume",
  COMMIT_STATUS: "arroyo.consumer.commit_status",
  COMMIT_DROPPED: "arroyo.consumer.commit.dropped",
  LATENCY: "arroyo.consumer.latency",
  INVALID_MESSAGES: "arroyo.consumer.invalid_message.count",
  DLQ_DELIVERED: "arroyo.consumer.dlq.delivered",
  DLQ_SHED: "arroyo.consumer.dlq.shed",
  DLQ_REREAD: "arroyo.consumer.dlq.reread",
  DLQ_IN_FLIGHT: "arroyo.consumer.dlq.in_flight",
  DLQ_BUFFER_LENGTH: "arroyo.consumer.dlq_buffer.len",
  DLQ_BUFFER_PARTITIONS: "arroyo.consumer.dlq_buffer.assigned_partitions",
  DLQ_BUFFER_EXCEEDED: "arroyo.consumer.dlq_buffer.exceeded",
  HEALTHCHECK_TOUCH: "arroyo.processing.strategies.healthcheck.touch",
  FILTER_DROPPED: "arroyo.strategies.filter.dropped_messages",
  BATCH_TIME: "arroyo.strategies.reduce.batch_time",
  TASK_RETRIES: "arroyo.strategies.run_task_concurrently.retries",
  LATE_RESULTS: "arroyo.strategies.run_task_concurrently.late_results",
  WORKERS_BATCH_MESSAGES: "arroyo.strategies.run_task_with_multiprocessing.batch.size.msg",
  WORKERS_BATCH_BYTES: "arroyo.strategies.run_task_with_multiprocessing.batch.size.bytes",
  WORKERS_OUTPUT_MESSAGES: "arroyo.strategies.run_task_with_multiprocessing.output_batch.size.msg",
  WORKERS_OUTPUT_BYTES: "arroyo.strategies.run_task_with_multiprocessing.output_batch.size.bytes",
  WORKERS_BACKPRESSURE: "arroyo.strategies.run_task_with_multiprocessing.batch.backpressure",
  WORKERS_INPUT_OVERFLOW: "arroyo.strategies.run_task_with_multiprocessing.batch.input.overflow",
  WORKERS_OUTPUT_OVERFLOW: "arroyo.strategies.run_task_with_multiprocessing.batch.output.overflow",
  WORKERS_INPUT_RESIZE: "arroyo.strategies.run_task_with_multiprocessing.batch.input.resize",
  WORKERS_OUTPUT_RESIZE: "arroyo.strategies.run_task_with_multiprocessing.batch.output.resize",
  WORKERS_BATCHES_IN_PROGRESS: "arroyo.strategies.run_task_with_multiprocessing.batches_in_progress",
  WORKERS_PROCESSES: "arroyo.strategies.run_task_with_multiprocessing.processes",
  WORKERS_ABANDONED: "arroyo.strategies.run_task_in_workers.batch.abandoned",
  WORKER_DIED: "arroyo.strategies.run_task_in_workers.worker.died",
  WORKER_STALLED: "arroyo.strategies.run_task_in_workers.worker.stalled",
  KAFKA_REBALANCE: "arroyo.consumer.kafka.rebalance",
  KAFKA_LOST: "arroyo.consumer.kafka.lost",
  KAFKA_POLL_EXPIRED: "arroyo.consumer.kafka.poll_expired",
  KAFKA_LAG: "arroyo.consumer.kafka.lag",
  KAFKA_COMMITTED_LAG: "arroyo.consumer.kafka.committed_lag",
  KAFKA_QUEUED_BYTES: "arroyo.consumer.kafka.queued_bytes",
  KAFKA_GROUP_PARTITIONS: "arroyo.consumer.kafka.partitions",
  KAFKA_COORDINATOR_SILENCE: "arroyo.consumer.kafka.coordinator.silence",
  KAFKA_BROKER_RTT: "arroyo.kafka.broker.rtt",
  KAFKA_BROKER_REQUESTS_IN_FLIGHT: "arroyo.kafka.broker.requests_in_flight",
  KAFKA_BROKER_CONNECTS: "arroyo.kafka.broker.connects",
  KAFKA_BROKER_DISCONNECTS: "arroyo.kafka.broker.disconnects",
  KAFKA_BROKER_ERRORS: "arroyo.kafka.broker.errors",
  PRODUCE_STATUS: "arroyo.producer.produce_status",
  PRODUCER_MESSAGES: "arroyo.producer.kafka.messages",
  PRODUCER_DELIVERY_TIME: "arroyo.producer.kafka.delivery.time",
  PRODUCER_QUEUE_MESSAGES: "arroyo.producer.kafka.queue.messages",
  PRODUCER_QUEUE_BYTES: "arroyo.producer.kafka.queue.bytes",
  PRODUCER_BATCHES_IN_FLIGHT: "arroyo.producer.kafka.batches_in_flight",
  PRODUCER_RETRIES: "arroyo.producer.kafka.retries",
  PRODUCER_RELOADS: "arroyo.producer.kafka.reloads",
  SINK_ERRORS: "arroyo.sink.errors",
} as const;

/** One of {@link MetricName}'s values. */
export type MetricName = (typeof MetricName)[keyof typeof MetricName];

/** What a metric is. */
export interface MetricDefinition {
  readonly type: "counter" | "gauge" | "timing";
  /** What its value counts. */
  readonly unit:
    | "events"
    | "messages"
    | "requests"
    | "partitions"
    | "batches"
    | "bytes"
    | "workers"
    | "seconds"
    | "seconds per flush";
  /** The tags that it comes with. */
  readonly tags: readonly string[];
  readonly meaning: string;
}

type Definition = readonly [
  type: MetricDefinition["type"],
  unit: MetricDefinition["unit"],
  meaning: string,
  tags?: readonly string[],
];

const DEFINITIONS: Readonly<Record<MetricName, Definition>> = {
  [MetricName.RUN_COUNT]: ["counter", "events", "Turns of the processor's loop."],
  [MetricName.MESSAGES_RECEIVED]: ["counter", "messages", "Messages that were taken from the consumer."],
  [MetricName.POLL_TIME]: ["timing", "seconds per flush", "Time spent waiting for the consumer."],
  [MetricName.PROCESSING_TIME]: [
    "timing",
    "seconds per flush",
    "Time spent in the strategies' submit and poll: close to a second per second means that the main thread is full.",
  ],
  [MetricName.BACKPRESSURE_TIME]: [
    "timing",
    "seconds per flush",
    "Time during which a message was held because a strategy rejected it.",
  ],
  [MetricName.DLQ_TIME]: [
    "timing",
    "seconds per flush",
    "Time spent on invalid messages, also waiting for dead letters to be delivered.",
  ],
  [MetricName.JOIN_TIME]: ["timing", "seconds per flush", "Time spent waiting for strategies to finish."],
  [MetricName.CALLBACK_TIME]: [
    "timing",
    "seconds per flush",
    "Time spent in rebalance callbacks; overlaps the other times.",
  ],
  [MetricName.STUCK]: [
    "counter",
    "events",
    "Times that the main thread had not polled for `stuckDetectorTimeoutMs`; counted when it polls again.",
  ],
  [MetricName.SHUTDOWN_TIME]: [
    "timing",
    "seconds per flush",
    "Time spent ending assignments: drain and commit; overlaps the other times.",
  ],
  [MetricName.CALLBACK]: ["timing", "seconds", "How long one rebalance callback took.", ["callback_name"]],
  [MetricName.CREATE_STRATEGY]: ["timing", "seconds", "How long createWithPartitions took."],
  [MetricName.CLOSE_STRATEGY]: ["timing", "seconds", "How long a drain took, from close to the end of join."],
  [MetricName.JOIN_TIMEOUT]: [
    "counter",
    "events",
    "Drains that ran out of time: what was not done by then is handled again.",
  ],
  [MetricName.PARTITIONS_ASSIGNED]: ["counter", "partitions", "Partitions that were assigned."],
  [MetricName.PARTITIONS_REVOKED]: ["counter", "partitions", "Partitions that were revoked."],
  [MetricName.PARTITIONS_LOST]: [
    "counter",
    "partitions",
    "Partitions that were lost: already somebody else's, so that nothing of theirs could be committed.",
  ],
  [MetricName.PAUSE]: [
    "counter",
    "events",
    "Times that back-pressure had lasted for five seconds: nothing is taken from the consumer.",
  ],
  [MetricName.RESUME]: ["counter", "events", "Times that such a back-pressure ended."],
  [MetricName.COMMIT_STATUS]: ["counter", "events", "Commits, by how they ended.", ["status"]],
  [MetricName.COMMIT_DROPPED]: [
    "counter",
    "partitions",
    "Offsets that were not committed because their partition is not ours any more.",
  ],
  [MetricName.LATENCY]: [
    "timing",
    "seconds",
    "From a message's timestamp to its commit; noted at most once a second.",
  ],
  [MetricName.INVALID_MESSAGES]: [
    "counter",
    "messages",
    "Invalid messages, with a dead letter queue or without.",
  ],
  [MetricName.DLQ_DELIVERED]: ["counter", "messages", "Dead letters that were delivered."],
  [MetricName.DLQ_SHED]: [
    "counter",
    "messages",
    "Messages that went to the dead letter queue unprocessed because they were older than maxAgeMs.",
  ],
  [MetricName.DLQ_REREAD]: [
    "counter",
    "messages",
    "Invalid messages that were not remembered any more and had to be read again from the broker.",
  ],
  [MetricName.DLQ_IN_FLIGHT]: ["gauge", "messages", "Dead letters that are on their way."],
  [MetricName.DLQ_BUFFER_LENGTH]: [
    "gauge",
    "messages",
    "Messages that are remembered until they are done.",
    ["partition_index"],
  ],
  [MetricName.DLQ_BUFFER_PARTITIONS]: ["gauge", "partitions", "Partitions of which messages are remembered."],
  [MetricName.DLQ_BUFFER_EXCEEDED]: [
    "counter",
    "messages",
    "Messages that were forgotten before they were done, because there were too many.",
    ["partition_id"],
  ],
  [MetricName.HEALTHCHECK_TOUCH]: ["counter", "events", "Times that the health file was touched."],
  [MetricName.FILTER_DROPPED]: ["counter", "messages", "Messages that a FilterStep dropped."],
  [MetricName.BATCH_TIME]: [
    "timing",
    "seconds",
    "From the first message of a batch to its flush, in Reduce, BufferStep and BatchStep; noted at most once a second.",
    ["strategy"],
  ],
  [MetricName.TASK_RETRIES]: ["counter", "events", "Tasks that failed and were tried again.", ["strategy"]],
  [MetricName.LATE_RESULTS]: [
    "counter",
    "messages",
    "Tasks that ended when nobody wanted their result any more: after the deadline of a drain, or a loss of partitions.",
    ["strategy"],
  ],
  [MetricName.WORKERS_BATCH_MESSAGES]: [
    "timing",
    "messages",
    "Messages in one batch that RunTaskInWorkers sent to a worker. Flat at maxBatchSize: larger batches are possible.",
  ],
  [MetricName.WORKERS_BATCH_BYTES]: [
    "timing",
    "bytes",
    "Bytes in one batch that was sent to a worker. Flat at the size of a block: the block is too small.",
  ],
  [MetricName.WORKERS_OUTPUT_MESSAGES]: ["timing", "messages", "Messages in the results of one batch."],
  [MetricName.WORKERS_OUTPUT_BYTES]: ["timing", "bytes", "Bytes in the results of one batch."],
  [MetricName.WORKERS_BACKPRESSURE]: [
    "counter",
    "events",
    "Times that the step behind RunTaskInWorkers rejected a result: that step is slower than the workers.",
  ],
  [MetricName.WORKERS_INPUT_OVERFLOW]: [
    "counter",
    "events",
    "Batches that were split because their messages did not fit into one block: raise inputBlockBytes.",
  ],
  [MetricName.WORKERS_OUTPUT_OVERFLOW]: [
    "counter",
    "events",
    "Batches that were split because their results did not fit into one block: raise outputBlockBytes. Costs much.",
  ],
  [MetricName.WORKERS_INPUT_RESIZE]: [
    "counter",
    "events",
    "Times that blocks for messages were made larger from then on (only if their size is automatic).",
  ],
  [MetricName.WORKERS_OUTPUT_RESIZE]: [
    "counter",
    "events",
    "Times that blocks for results were made larger from then on (only if their size is automatic).",
  ],
  [MetricName.WORKERS_BATCHES_IN_PROGRESS]: [
    "gauge",
    "batches",
    "Batches that are with the workers, or whose results have not gone on.",
  ],
  [MetricName.WORKERS_PROCESSES]: ["gauge", "workers", "Worker threads of the pool."],
  [MetricName.WORKERS_ABANDONED]: [
    "counter",
    "batches",
    "Batches that were given up in the middle: a drain ran out of time, or an assignment was lost.",
  ],
  [MetricName.WORKER_DIED]: ["counter", "events", "Workers that died at work; their batch is done again."],
  [MetricName.WORKER_STALLED]: ["counter", "events", "Workers that were at one message for too long."],
  [MetricName.KAFKA_REBALANCE]: [
    "counter",
    "events",
    "Assignments that the group gave to this Kafka consumer.",
  ],
  [MetricName.KAFKA_LOST]: [
    "counter",
    "events",
    "Times that this Kafka consumer found itself out of its group.",
  ],
  [MetricName.KAFKA_POLL_EXPIRED]: [
    "counter",
    "events",
    "Times that it left the group because the main thread had not polled for max.poll.interval.ms.",
  ],
  [MetricName.KAFKA_LAG]: [
    "gauge",
    "messages",
    "Messages of a partition that are not delivered yet, paused or not. This and the rest of Kafka's statistics come every statistics.interval.ms.",
    ["topic", "partition"],
  ],
  [MetricName.KAFKA_COMMITTED_LAG]: [
    "gauge",
    "messages",
    "Messages of a partition that the group has not committed.",
    ["topic", "partition"],
  ],
  [MetricName.KAFKA_QUEUED_BYTES]: [
    "gauge",
    "bytes",
    "Records of a partition that were fetched and are not delivered: queued.max.messages.kbytes bounds their sum.",
    ["topic", "partition"],
  ],
  [MetricName.KAFKA_GROUP_PARTITIONS]: ["gauge", "partitions", "Partitions that this Kafka consumer holds."],
  [MetricName.KAFKA_COORDINATOR_SILENCE]: [
    "timing",
    "seconds",
    "How long ago the group's coordinator last answered: close to session.timeout.ms means that this member is about to be put out.",
  ],
  [MetricName.KAFKA_BROKER_RTT]: [
    "timing",
    "seconds",
    "The longest answer of a broker in each statistics.interval.ms, without those that it may hold back (Fetch, JoinGroup, SyncGroup).",
    ["client", "broker_id"],
  ],
  [MetricName.KAFKA_BROKER_REQUESTS_IN_FLIGHT]: [
    "gauge",
    "requests",
    "Requests that a broker has not answered.",
    ["client", "broker_id"],
  ],
  [MetricName.KAFKA_BROKER_CONNECTS]: [
    "counter",
    "events",
    "Connections that were made.",
    ["client", "broker_id"],
  ],
  [MetricName.KAFKA_BROKER_DISCONNECTS]: [
    "counter",
    "events",
    "Connections that have ended, for whatever reason.",
    ["client", "broker_id"],
  ],
  [MetricName.KAFKA_BROKER_ERRORS]: [
    "counter",
    "events",
    "Connections that failed or were lost in the middle of something, and requests that were not answered in time.",
    ["client", "broker_id"],
  ],
  [MetricName.PRODUCE_STATUS]: [
    "counter",
    "messages",
    "Messages that Produce sent, by how it ended.",
    ["status"],
  ],
  [MetricName.PRODUCER_MESSAGES]: [
    "counter",
    "messages",
    "Messages of a KafkaProducer, by what became of them: success, error, or queue_full where it took no more.",
    ["status"],
  ],
  [MetricName.PRODUCER_DELIVERY_TIME]: [
    "timing",
    "seconds",
    "From produce() to the brokers' acknowledgement, with retries: the longest of each second.",
  ],
  [MetricName.PRODUCER_QUEUE_MESSAGES]: [
    "gauge",
    "messages",
    "Messages of a KafkaProducer that are on their way: queue.buffering.max.messages bounds them.",
  ],
  [MetricName.PRODUCER_QUEUE_BYTES]: [
    "gauge",
    "bytes",
    "What they take, before compression: queue.buffering.max.kbytes bounds it.",
  ],
  [MetricName.PRODUCER_BATCHES_IN_FLIGHT]: [
    "gauge",
    "batches",
    "Batches that a KafkaProducer has closed and that are not acknowledged: at work, waiting for a leader, or to be tried again.",
  ],
  [MetricName.PRODUCER_RETRIES]: ["counter", "batches", "Batches that a KafkaProducer had to send again."],
  [MetricName.PRODUCER_RELOADS]: [
    "counter",
    "events",
    "Changes of a ReloadingKafkaProducer's settings, by how they ended; at error, the old ones stay in force.",
    ["status"],
  ],
  [MetricName.SINK_ERRORS]: [
    "counter",
    "events",
    "Times that a logger, these metrics or `onStatistics` threw: what it was told is lost.",
    ["sink"],
  ],
};

/** Every metric: what it is and what it means. The page in the docs is made from it. */
export const METRICS: ReadonlyMap<MetricName, MetricDefinition> = new Map(
  Object.entries(DEFINITIONS).map(([name, [type, unit, meaning, tags = []]]) => [
    name as MetricName,
    { type, unit, tags, meaning },
  ]),
);
