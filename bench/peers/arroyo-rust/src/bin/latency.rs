//! How long a message takes from the producer, whose clock is in its value, to the handler.
use arroyo_rust_peer::{consumer_config, setting, wanted};
use sentry_arroyo::backends::kafka::types::KafkaPayload;
use sentry_arroyo::backends::kafka::InitialOffset;
use sentry_arroyo::processing::strategies::commit_offsets::CommitOffsets;
use sentry_arroyo::processing::strategies::run_task::RunTask;
use sentry_arroyo::processing::strategies::{ProcessingStrategy, ProcessingStrategyFactory};
use sentry_arroyo::processing::StreamProcessor;
use sentry_arroyo::types::{Message, Topic};
use std::sync::Mutex;
use std::time::Duration;

static LATENCIES: Mutex<Vec<f64>> = Mutex::new(Vec::new());

struct Factory {
    wanted: usize,
}

impl ProcessingStrategyFactory<KafkaPayload> for Factory {
    fn create(&self) -> Box<dyn ProcessingStrategy<KafkaPayload>> {
        let wanted = self.wanted;
        let measure = move |message: Message<KafkaPayload>| {
            let now = monotonic_ms();
            let value = message.payload().payload().expect("each message has a value");
            let sent: f64 = std::str::from_utf8(value).unwrap().parse().unwrap();
            let mut latencies = LATENCIES.lock().unwrap();
            latencies.push(now - sent);
            if latencies.len() == wanted {
                // The first half is warm-up.
                let mut sorted = latencies[wanted / 2..].to_vec();
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

/// As the producer reads it. `Instant` is this clock too, but does not tell its time.
fn monotonic_ms() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let result = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    assert_eq!(result, 0, "there is a monotonic clock");
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

fn main() {
    let topic = setting("BENCH_TOPIC");
    let config = consumer_config(InitialOffset::Latest);
    StreamProcessor::with_kafka(config, Factory { wanted: wanted() }, Topic::new(&topic), None)
        .run()
        .unwrap();
}
