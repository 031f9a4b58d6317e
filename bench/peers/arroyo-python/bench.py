"""What the programs have in common: what they are told by bench/main.ts, and how they are set."""

import os

from arroyo.backends.kafka import KafkaConsumer
from arroyo.backends.kafka.configuration import build_kafka_consumer_configuration
from arroyo.commit import ONCE_PER_SECOND
from arroyo.processing.processor import StreamProcessor
from arroyo.processing.strategies import CommitOffsets, ProcessingStrategyFactory, RunTask
from arroyo.types import Topic

servers = os.environ["BENCH_BOOTSTRAP_SERVERS"]
wanted = int(os.environ["BENCH_MESSAGES"])
is_tuned = "BENCH_TUNED" in os.environ


class Factory(ProcessingStrategyFactory):
    def __init__(self, task, produce):
        self.task = task
        self.produce = produce

    def create_with_partitions(self, commit, partitions):
        last = CommitOffsets(commit)
        return RunTask(self.task, last if self.produce is None else self.produce(last))


def process(task, produce=None, offset="earliest"):
    """Runs until the task ends the process."""
    # librdkafka waits a second before it fetches again from a partition whose queue was full.
    tuning = {"fetch.queue.backoff.ms": 5, "socket.nagle.disable": True} if is_tuned else {}
    prefetch = {"queued_min_messages": 100_000, "queued_max_messages_kbytes": 65_536} if is_tuned else {}
    consumer = KafkaConsumer(
        build_kafka_consumer_configuration(
            tuning,
            bootstrap_servers=[servers],
            group_id=f"bench-python-{os.getpid()}",
            auto_offset_reset=offset,
            **prefetch,
        )
    )
    topic = Topic(os.environ["BENCH_TOPIC"])
    StreamProcessor(consumer, topic, Factory(task, produce), ONCE_PER_SECOND).run()
