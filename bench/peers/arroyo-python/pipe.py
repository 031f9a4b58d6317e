"""Copies a topic through Arroyo for Python: StreamProcessor, RunTask, Produce, CommitOffsets."""

import os

from arroyo.backends.kafka import KafkaProducer
from arroyo.processing.strategies import Produce
from arroyo.types import Topic

from bench import is_tuned, process, servers

tuned = {"linger.ms": 20, "queue.buffering.max.messages": 1_000_000, "socket.nagle.disable": True}
tuning = tuned if is_tuned else {}
producer = KafkaProducer({"bootstrap.servers": servers, **tuning})
target = Topic(os.environ["BENCH_TARGET"])
process(lambda message: message.payload, lambda last: Produce(producer, target, last))
