"""Yardstick: Dramatiq as its documentation shows it, with results, and an actor that does nothing.

STOCK_URL=redis://… dramatiq bench.stock_dramatiq --processes 2 --threads 4
"""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

_URL = os.environ["STOCK_URL"]
#: Where the results go, so that they can be counted: the database after the queue's.
broker = RedisBroker(url=_URL)
broker.add_middleware(Results(backend=RedisBackend(url=_URL.replace("db=0", "db=1"))))
dramatiq.set_broker(broker)


@dramatiq.actor(store_results=True)
def nothing(job_id: str) -> str:
    """Does nothing."""
    return "held"


def fill(messages: int) -> None:
    """Enqueues messages."""
    for number in range(messages):
        nothing.send(f"k3v9x2m7qa-{number:025}")


if __name__ == "__main__":
    import sys

    fill(int(sys.argv[1]))
