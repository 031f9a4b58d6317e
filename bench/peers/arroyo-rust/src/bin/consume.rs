//! Reads a topic with Arroyo for Rust: the same work as bench/programs/consume.ts.
use sentry_arroyo::backends::kafka::config::KafkaConfig;
use sentry_arroyo::backends::kafka::types::KafkaPayload;
use sentry_arroyo::backends::kafka::InitialOffset;
use sentry_arroyo::processing::strategies::commit_offsets::CommitOffsets;
use sentry_arroyo::processing::strategies::run_task::RunTask;
use sentry_arroyo::processing::strategies::{ProcessingStrategy, ProcessingStrategyFactory};
use sentry_arroyo::processing::StreamProcessor;
use sentry_arroyo::types::{Message, Topic};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

static SEEN: AtomicUsize = AtomicUsize::new(0);
static STARTED: OnceLock<Instant> = OnceLock::new();

struct Factory {
    wanted: usize,
}

impl ProcessingStrategyFactory<KafkaPayload> for Factory {
    fn create(&self) -> Box<dyn ProcessingStrategy<KafkaPayload>> {
        let wanted = self.wanted;
        let count = move |message: Message<KafkaPayload>| {
            STARTED.get_or_init(Instant::now);
            if SEEN.fetch_add(1, Ordering::Relaxed) + 1 == wanted {
                let seconds = STARTED.get().unwrap().elapsed().as_secs_f64();
                println!("{{\"messages\":{wanted},\"seconds\":{seconds}}}");
                std::process::exit(0);
            }
            Ok(message)
        };
        Box::new(RunTask::new(count, CommitOffsets::new(Duration::from_secs(1))))
    }
}

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

fn main() {
    let mut tuning = HashMap::new();
    if std::env::var("BENCH_TUNED").is_ok() {
        // librdkafka waits a second before it fetches again from a partition whose queue was full.
        tuning.insert("fetch.queue.backoff.ms".to_string(), "5".to_string());
    }
    let config = KafkaConfig::new_consumer_config(
        vec![setting("BENCH_BOOTSTRAP_SERVERS")],
        format!("bench-rust-{}", std::process::id()),
        InitialOffset::Earliest,
        false,
        300_000,
        Some(tuning),
    );
    let wanted = setting("BENCH_MESSAGES").parse().expect("BENCH_MESSAGES is a number");
    let topic = setting("BENCH_TOPIC");
    StreamProcessor::with_kafka(config, Factory { wanted }, Topic::new(&topic), None)
        .run()
        .unwrap();
}
