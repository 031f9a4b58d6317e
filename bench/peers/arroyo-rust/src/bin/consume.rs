//! Reads a topic with Arroyo for Rust: the same work as bench/programs/consume.ts.
use arroyo_rust_peer::{consumer_config, is_over, setting, wanted};
use sentry_arroyo::backends::kafka::types::KafkaPayload;
use sentry_arroyo::backends::kafka::InitialOffset;
use sentry_arroyo::processing::strategies::commit_offsets::CommitOffsets;
use sentry_arroyo::processing::strategies::run_task::RunTask;
use sentry_arroyo::processing::strategies::{ProcessingStrategy, ProcessingStrategyFactory};
use sentry_arroyo::processing::StreamProcessor;
use sentry_arroyo::types::{Message, Topic};
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
            let started = *STARTED.get_or_init(Instant::now);
            let seen = SEEN.fetch_add(1, Ordering::Relaxed) + 1;
            if seen == wanted || (seen % 4_096 == 0 && is_over(started)) {
                let seconds = started.elapsed().as_secs_f64();
                println!("{{\"messages\":{seen},\"seconds\":{seconds}}}");
                std::process::exit(0);
            }
            Ok(message)
        };
        Box::new(RunTask::new(count, CommitOffsets::new(Duration::from_secs(1))))
    }
}

fn main() {
    let topic = setting("BENCH_TOPIC");
    let config = consumer_config(InitialOffset::Earliest);
    StreamProcessor::with_kafka(config, Factory { wanted: wanted() }, Topic::new(&topic), None)
        .run()
        .unwrap();
}
