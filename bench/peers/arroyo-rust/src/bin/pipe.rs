//! Copies a topic with Arroyo for Rust: the same work as bench/programs/consume-produce.ts.
use arroyo_rust_peer::{consumer_config, is_tuned, setting};
use sentry_arroyo::backends::kafka::config::KafkaConfig;
use sentry_arroyo::backends::kafka::producer::KafkaProducer;
use sentry_arroyo::backends::kafka::types::KafkaPayload;
use sentry_arroyo::backends::kafka::InitialOffset;
use sentry_arroyo::processing::strategies::commit_offsets::CommitOffsets;
use sentry_arroyo::processing::strategies::produce::Produce;
use sentry_arroyo::processing::strategies::run_task::RunTask;
use sentry_arroyo::processing::strategies::run_task_in_threads::ConcurrencyConfig;
use sentry_arroyo::processing::strategies::{ProcessingStrategy, ProcessingStrategyFactory};
use sentry_arroyo::processing::StreamProcessor;
use sentry_arroyo::types::{Message, Topic, TopicOrPartition};
use std::collections::HashMap;
use std::time::Duration;

struct Factory {
    concurrency: ConcurrencyConfig,
    config: KafkaConfig,
    target: Topic,
}

impl ProcessingStrategyFactory<KafkaPayload> for Factory {
    fn create(&self) -> Box<dyn ProcessingStrategy<KafkaPayload>> {
        let producer = KafkaProducer::new(self.config.clone()).expect("the producer's settings are right");
        let produce = Produce::new(
            CommitOffsets::new(Duration::from_secs(1)),
            producer,
            &self.concurrency,
            TopicOrPartition::Topic(self.target),
        );
        Box::new(RunTask::new(|message: Message<KafkaPayload>| Ok(message), produce))
    }
}

fn main() {
    let mut tuning = HashMap::new();
    if is_tuned() {
        tuning.insert("queue.buffering.max.messages".to_string(), "1000000".to_string());
        tuning.insert("linger.ms".to_string(), "20".to_string());
        tuning.insert("socket.nagle.disable".to_string(), "true".to_string());
    }
    let servers = vec![setting("BENCH_BOOTSTRAP_SERVERS")];
    let factory = Factory {
        concurrency: ConcurrencyConfig::new(5),
        config: KafkaConfig::new_producer_config(servers, Some(tuning)),
        target: Topic::new(&setting("BENCH_TARGET")),
    };
    let topic = Topic::new(&setting("BENCH_TOPIC"));
    StreamProcessor::with_kafka(consumer_config(InitialOffset::Earliest), factory, topic, None)
        .run()
        .unwrap();
}
