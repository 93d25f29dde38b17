"""How long a message waits for an idle worker: Dramatiq's own Redis consumer beside ours.

    python bench/pickup.py [MESSAGES]

One worker process' worth of threads each, in this process, on an embedded server; a message every
200 ms or so, so that the worker is idle when it arrives; from before `send` until the actor runs.
"""

import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

import dramatiq
from dramatiq import Worker
from dramatiq.brokers.redis import RedisBroker

from actors.broker import ReservationBroker
from reservation.embedded import EmbeddedRedis


def pickup_ms(broker: RedisBroker, messages: int) -> list[float]:
    """Milliseconds that each of some messages waited."""
    waited: list[float] = []

    @dramatiq.actor(broker=broker)
    def note(sent: float) -> None:
        waited.append((time.monotonic() - sent) * 1000)

    worker = Worker(broker, worker_threads=4, worker_timeout=1000)
    worker.start()
    for _ in range(messages):
        time.sleep(random.uniform(0.15, 0.25))  # noqa: S311 - so that no rhythm meets another
        note.send(time.monotonic())
    while len(waited) < messages:
        time.sleep(0.01)
    worker.stop()
    return waited


def main(messages: int) -> None:
    """Measures both, twice, in turn."""
    with tempfile.TemporaryDirectory(prefix="reservation-") as folder, EmbeddedRedis(Path(folder)) as server:
        for turn in range(4):
            server_url = server.url(turn)
            stock = turn % 2 == 0
            broker: RedisBroker = (
                RedisBroker(url=server_url, middleware=[])
                if stock
                else ReservationBroker(server_url, [], connections=8, prefetch=8)
            )
            took = pickup_ms(broker, messages)
            name = "Dramatiq's own" if stock else "ours          "
            print(f"{name}: p50 {statistics.median(took):6.1f} ms, max {max(took):6.1f} ms, {messages} messages")  # noqa: T201 - this is its output


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
