"""How long a message takes from the producer, whose clock is in its value, to the handler."""

import json
import os
import time

from bench import process, wanted

latencies = []


def measure(message):
    latencies.append(time.monotonic_ns() / 1e6 - float(message.payload.value))
    if len(latencies) == wanted:
        # The first half is warm-up.
        ordered = sorted(latencies[wanted // 2 :])
        p50, p99 = (ordered[int(len(ordered) * share)] for share in (0.5, 0.99))
        print(json.dumps({"p50": p50, "p99": p99}), flush=True)
        os._exit(0)
    return message.payload


process(measure, offset="latest")
