"""Reads a topic through Arroyo for Python: StreamProcessor, RunTask, CommitOffsets."""

import json
import os
import time

from bench import process, wanted

seconds = float(os.environ["BENCH_SECONDS"])
seen = 0
started = 0.0


def count(message):
    global seen, started
    if seen == 0:
        started = time.perf_counter()
    seen += 1
    if seen == wanted or (seen % 1024 == 0 and time.perf_counter() - started >= seconds):
        print(json.dumps({"messages": seen, "seconds": time.perf_counter() - started}), flush=True)
        os._exit(0)
    return message.payload


process(count)
