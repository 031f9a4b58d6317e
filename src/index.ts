export type { Consumer, PollOptions, RebalanceCallbacks, TopicSubscription } from "./backend/consumer.ts";
export type { BatchSettled, Delivery, Producer, SentBatch } from "./backend/producer.ts";
export type { RunModule, RunTools } from "./cli/run-module.ts";
export { Vitals, type MemberState, type ProcessorPhase } from "./backend/vitals.ts";
export { systemClock, type Clock, type ClockTimer } from "./clock.ts";
export { CommitLogError, decodeCommit, encodeCommit, type CommitLogEntry } from "./commit/codec.ts";
export type { Commit, CommitOptions } from "./commit/commit.ts";
export { CommitPolicy, IMMEDIATE, ONCE_PER_SECOND, type CommitPolicyOptions } from "./commit/policy.ts";
export { DlqHeader, KafkaDlqProducer } from "./dlq/kafka-producer.ts";
export { DlqLimit, DlqPolicy, type DlqLimitOptions, type DlqPolicyOptions } from "./dlq/policy.ts";
export { NoopDlqProducer, type DlqProducer } from "./dlq/producer.ts";
export {
  ArroyoError,
  ConfigurationError,
  ConsumerError,
  DeadlineError,
  DlqError,
  EndOfPartition,
  ErrorCode,
  InvalidMessage,
  InvalidStateError,
  MESSAGE_REJECTED,
  MessageRejected,
  OffsetOutOfRange,
  ProducerError,
  RecoverableError,
  StorageError,
  type InvalidMessageOptions,
} from "./errors.ts";
export { healthHandler, type HealthHandler, type HealthHandlerOptions } from "./health/handler.ts";
export type { ConsumerHealth, HealthCheck } from "./health/monitor.ts";
export type { HealthReport } from "./health/report.ts";
export type { HealthRules, LagRule } from "./health/rules.ts";
export { HealthServer, type HealthServerOptions } from "./health/server.ts";
export type { HealthSource, HealthSources } from "./health/source.ts";
export { silentLogger, stderrLogger, type LogFields, type Logger } from "./logger.ts";
export { FILTERED_PAYLOAD, FilteredPayload } from "./message/filtered.ts";
export {
  BrokerMessage,
  DerivedMessage,
  isFiltered,
  type Committable,
  type Message,
  type Submitted,
} from "./message/message.ts";
export { Partition } from "./message/partition.ts";
export { KafkaPayload, type KafkaHeader, type KafkaHeadersInput } from "./message/payload.ts";
export { Topic } from "./message/topic.ts";
export { noopMetrics, type Metrics, type MetricTags } from "./metrics/metrics.ts";
export { METRICS, MetricName, type MetricDefinition } from "./metrics/names.ts";
export { pipeline, type MapConcurrentlyOptions, type Pipeline } from "./pipeline/pipeline.ts";
export { ProcessorChannel, type ProcessorEvents } from "./processing/events.ts";
export { StreamProcessor, type StreamProcessorOptions } from "./processing/processor.ts";
export { BatchStep, type BatchOptions } from "./strategies/batch.ts";
export { BufferStep, type MessageBuffer } from "./strategies/buffer.ts";
export { CommitOffsets } from "./strategies/commit-offsets.ts";
export { decodeJson, type StandardSchema } from "./strategies/decode-json.ts";
export { FilterStep, type FilterStepOptions } from "./strategies/filter-step.ts";
export { StrategyGuard } from "./strategies/guard.ts";
export { Healthcheck, type HealthcheckOptions } from "./strategies/healthcheck.ts";
export type { MessageKey } from "./strategies/keyed.ts";
export { Noop } from "./strategies/noop.ts";
export { Produce, type ProduceOptions, type ProducesMessages } from "./strategies/produce.ts";
export { Reduce, type ReduceOptions } from "./strategies/reduce.ts";
export type { RetryOptions } from "./strategies/retry.ts";
export { RunTaskConcurrently, type RunTaskConcurrentlyOptions } from "./strategies/run-task-concurrently.ts";
export { RunTaskInWorkers, type RunTaskInWorkersOptions } from "./strategies/run-task-in-workers.ts";
export { RunTask } from "./strategies/run-task.ts";
export type {
  ProcessingStrategy,
  ProcessingStrategyFactory,
  StrategyRuntime,
} from "./strategies/strategy.ts";
export type { Sync } from "./strategies/sync.ts";
export { UnbatchStep } from "./strategies/unbatch.ts";
export { Unfold, part } from "./strategies/unfold.ts";
export { WorkerPool, type WorkerPoolOptions } from "./workers/pool.ts";
export { workerTask, type WorkerTask, type WorkerTaskName, type WorkerTaskOf } from "./workers/task.ts";
