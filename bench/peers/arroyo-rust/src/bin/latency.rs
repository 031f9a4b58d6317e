//! How long a message takes from the producer, whose clock is in its value, to the handler.

use sentry_arroyo::backends::kafka::config::KafkaConfig;
use sentry_arroyo::backends::kafka::types::KafkaPayload;
use sentry_arroyo::backends::kafka::InitialOffset;
use sentry_arroyo::processing::strategies::commit_offsets::CommitOffsets;
use sentry_arroyo::processing::strategies::run_task::RunTask;
use sentry_arroyo::processing::strategies::{ProcessingStrategy, ProcessingStrategyFactory};
use sentry_arroyo::processing::StreamProcessor;
use sentry_arroyo::types::{Message, Topic};
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const WANTED: usize = 1_000;
static LATENCIES: Mutex<Vec<f64>> = Mutex::new(Vec::new());

struct Factory;

impl ProcessingStrategyFactory<KafkaPayload> for Factory {
    fn create(&self) -> Box<dyn ProcessingStrategy<KafkaPayload>> {
        let measure = |message: Message<KafkaPayload>| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() * 1000.0;
            let value = message.payload().payload().expect("each message has a value");
            let sent: f64 = std::str::from_utf8(value).unwrap().parse().unwrap();
            let mut latencies = LATENCIES.lock().unwrap();
            latencies.push(now - sent);
            if latencies.len() == WANTED {
                let mut sorted = latencies[WANTED / 10..].to_vec();
                sorted.sort_by(f64::total_cmp);
                let at = |share: f64| sorted[(sorted.len() as f64 * share) as usize];
                println!("{{\"p50\":{:.3},\"p99\":{:.3}}}", at(0.5), at(0.99));
                std::process::exit(0);
            }
            drop(latencies);
            Ok(message)
        };
        Box::new(RunTask::new(measure, CommitOffsets::new(Duration::from_secs(1))))
    }
}

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

fn main() {
    let config = KafkaConfig::new_consumer_config(
        vec![setting("BENCH_BOOTSTRAP_SERVERS")],
        format!("bench-rust-{}", std::process::id()),
        InitialOffset::Latest,
        false,
        300_000,
        None,
    );
    let topic = setting("BENCH_TOPIC");
    StreamProcessor::with_kafka(config, Factory, Topic::new(&topic), None)
        .run()
        .unwrap();
}
