import {
  CommitOffsets,
  DlqPolicy,
  InvalidMessage,
  KafkaDlqProducer,
  Produce,
  RunTask,
  StreamProcessor,
  silentLogger,
  type Commit,
  type Message,
} from "../../../src/index.ts";
import { KafkaConsumer, KafkaProducer, type KafkaPayload } from "../../../src/kafka/index.ts";

/**
 * A pipeline with a dead letter queue in a process of its own, so that the memory that is measured is its own: what
 * starts with `bad` is invalid, everything else is written to another topic. It ends when it has committed up to the ends.
 */

export interface DlqProcessSettings {
  readonly bootstrapServers: string;
  readonly group: string;
  readonly input: string;
  readonly output: string;
  readonly dlq: string;
  /** The end of each partition of the input. */
  readonly ends: readonly number[];
}

/** What it says on standard output when it has ended. */
export interface DlqProcessReport {
  /** When so many messages were done: the memory of the process, and what of the main thread's was in use. In bytes. */
  readonly memory: readonly { readonly done: number; readonly rss: number; readonly used: number }[];
  readonly seconds: number;
}

const SAMPLE_EVERY = 50_000;

const settings = JSON.parse(process.env["DLQ_PROCESS"]!) as DlqProcessSettings;
const brokers = { "bootstrap.servers": settings.bootstrapServers };
const done = settings.ends.map(() => 0);
const memory: { done: number; rss: number; used: number }[] = [];
let total = 0;

function sample(): void {
  // Started with --expose-gc: what is there to be collected says when that was done last, and nothing else.
  (globalThis as unknown as { gc(): void }).gc();
  const { rss, heapUsed, external } = process.memoryUsage();
  memory.push({ done: total, rss, used: heapUsed + external });
}

await using producer = new KafkaProducer(brokers);
const processor = new StreamProcessor<KafkaPayload>({
  consumer: new KafkaConsumer({
    ...brokers,
    "group.id": settings.group,
    "auto.offset.reset": "earliest",
    // How much is fetched ahead depends on who is faster.
    "queued.max.messages.kbytes": 8_192,
  }),
  topic: settings.input,
  logger: silentLogger,
  dlqPolicy: new DlqPolicy<KafkaPayload>({ producer: new KafkaDlqProducer(producer, settings.dlq) }),
  factory: {
    createWithPartitions(commit) {
      const noted: Commit = (offsets, options) => {
        commit(offsets, options);
        for (const [{ index }, offset] of offsets) {
          total += offset - done[index]!;
          done[index] = offset;
        }
        if (total >= (memory.at(-1)?.done ?? 0) + SAMPLE_EVERY) sample();
        if (done.every((offset, index) => offset === settings.ends[index])) processor.signalShutdown();
      };
      return new RunTask(
        (message: Message<KafkaPayload>) => {
          const text = message.payload.text();
          if (!text.startsWith("bad")) return message.payload;
          throw InvalidMessage.from(message, { reason: `no order: ${text.length} characters`, logged: true });
        },
        new Produce({ producer, topic: settings.output }, new CommitOffsets(noted)),
      );
    },
  },
});

const startedMs = performance.now();
await processor.run();
const report: DlqProcessReport = { memory, seconds: (performance.now() - startedMs) / 1_000 };
process.stdout.write(JSON.stringify(report));
