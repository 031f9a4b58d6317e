//! What the programs have in common: where they are told what to measure, and how they are set.
use sentry_arroyo::backends::kafka::config::KafkaConfig;
use sentry_arroyo::backends::kafka::InitialOffset;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Of the environment, which bench/main.ts sets.
pub fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

pub fn is_tuned() -> bool {
    std::env::var("BENCH_TUNED").is_ok()
}

/// A run ends with so many messages, or after so long.
pub fn wanted() -> usize {
    setting("BENCH_MESSAGES").parse().expect("BENCH_MESSAGES is a number")
}

pub fn is_over(started: Instant) -> bool {
    let seconds = setting("BENCH_SECONDS").parse().expect("BENCH_SECONDS is a number");
    started.elapsed() >= Duration::from_secs(seconds)
}

/// A consumer in a group of its own.
pub fn consumer_config(offset: InitialOffset) -> KafkaConfig {
    let mut tuning = HashMap::new();
    if is_tuned() {
        // librdkafka waits a second before it fetches again from a partition whose queue was full.
        tuning.insert("fetch.queue.backoff.ms".to_string(), "5".to_string());
        tuning.insert("socket.nagle.disable".to_string(), "true".to_string());
    }
    KafkaConfig::new_consumer_config(
        vec![setting("BENCH_BOOTSTRAP_SERVERS")],
        format!("bench-rust-{}", std::process::id()),
        offset,
        false,
        300_000,
        Some(tuning),
    )
}
