import { Partition } from "../../../src/message/partition.ts";
import { KafkaPayload } from "../../../src/message/payload.ts";
import { Accumulator, type AccumulatorConfig } from "../../../src/kafka/accumulator.ts";
import { resolveProducerConfig } from "../../../src/kafka/config.ts";
import type { OutgoingBatch, ProducerCommand } from "../../../src/kafka/client/producer-protocol.ts";
import { sealBatch } from "../../../src/kafka/records/batch-writer.ts";
import { Codec } from "../../../src/kafka/records/compression.ts";
import { MockClock } from "../../../src/testing/mock-clock.ts";
import { RecordingMetrics } from "../../../src/testing/recording-metrics.ts";
import { values, read } from "../records/batches.ts";

/** An accumulator whose engine is the test. */
export class AccumulatorHarness {
  readonly clock: MockClock = new MockClock();
  readonly metrics: RecordingMetrics = new RecordingMetrics();
  readonly accumulator: Accumulator;
  /** Topics that were asked for. */
  readonly asked: string[] = [];
  /** Batches on their way. */
  batches: OutgoingBatch[] = [];

  constructor(settings: Partial<AccumulatorConfig> = {}) {
    const config = { ...resolveProducerConfig({ "bootstrap.servers": "broker:9092" }), ...settings };
    this.accumulator = new Accumulator({
      config,
      clock: this.clock,
      metrics: this.metrics,
      send: (command, transfer) => this.#sent(command, transfer),
    });
  }

  #sent(command: ProducerCommand, transfer: readonly ArrayBuffer[]): void {
    // As on the real way, the sender's view of the buffers is gone.
    const arrived = structuredClone(command, { transfer: [...transfer] });
    if (arrived.type === "topic") this.asked.push(arrived.name);
    else if (arrived.type === "batches") this.batches.push(...arrived.batches);
  }

  /** What a batch on its way holds, as `topic:index=value,value`. */
  get sent(): string[] {
    return this.batches.map((batch) => {
      const sealed = sealBatch(batch, Codec.NONE);
      return `${batch.topic}:${batch.index}=${values(read(sealed)).join()}`;
    });
  }

  /** Produces values to partitions of the topic `t`, or where the partitioner wants them. */
  produce(value: string, partition: number = -1, topic: string = "t"): Promise<string> {
    const delivery = this.accumulator.produce(topic, partition, new KafkaPayload(null, value));
    return delivery.then(
      ({ partition, offset }) => `${partition}@${offset}`,
      (error: Error) => error.message,
    );
  }

  /** The brokers have the first batch that is on its way. */
  deliver(baseOffset: number, appendTimeMs: number = -1): void {
    const batch = this.batches.shift()!;
    this.accumulator.delivered([{ id: batch.id, baseOffset, appendTimeMs }]);
  }
}

export const partition = (index: number): Partition => Partition.of("t", index);
