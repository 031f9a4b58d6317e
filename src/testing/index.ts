export {
  harness,
  Harness,
  type DeadLetter,
  type HarnessOptions,
  type HarnessTools,
  type SendOptions,
} from "./harness.ts";
export { MockClock } from "./mock-clock.ts";
export { RecordingMetrics, type RecordedMetric } from "./recording-metrics.ts";
export {
  strategyContract,
  type ContractCase,
  type ContractMessages,
  type ContractSubject,
  type StrategyContractOptions,
} from "./strategy-contract.ts";
