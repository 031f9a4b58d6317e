"""Reads a topic through Arroyo for Python: StreamProcessor, RunTask, CommitOffsets."""

import json
import os
import time

from arroyo.backends.kafka import KafkaConsumer
from arroyo.backends.kafka.configuration import build_kafka_consumer_configuration
from arroyo.commit import ONCE_PER_SECOND
from arroyo.processing.processor import StreamProcessor
from arroyo.processing.strategies import CommitOffsets, ProcessingStrategyFactory, RunTask
from arroyo.types import Topic

wanted = int(os.environ["BENCH_MESSAGES"])
seen = 0
started = 0.0


def count(message):
    global seen, started
    if seen == 0:
        started = time.perf_counter()
    seen += 1
    if seen == wanted:
        print(json.dumps({"messages": seen, "seconds": time.perf_counter() - started}), flush=True)
        os._exit(0)
    return message.payload


class Factory(ProcessingStrategyFactory):
    def create_with_partitions(self, commit, partitions):
        return RunTask(count, CommitOffsets(commit))


tuning = {"fetch.queue.backoff.ms": 5} if "BENCH_TUNED" in os.environ else {}
consumer = KafkaConsumer(
    build_kafka_consumer_configuration(
        tuning,
        bootstrap_servers=[os.environ["BENCH_BOOTSTRAP_SERVERS"]],
        group_id=f"bench-python-{os.getpid()}",
        auto_offset_reset="earliest",
        queued_min_messages=100_000,
        queued_max_messages_kbytes=65_536,
    )
)
StreamProcessor(consumer, Topic(os.environ["BENCH_TOPIC"]), Factory(), ONCE_PER_SECOND).run()
