"""Many clients that buy seats over HTTP, whatever becomes of the service meanwhile."""

import itertools
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from random import Random
from uuid import uuid4

from tests.faults.api import Api, Traffic
from tests.faults.client import Client, Sale
from tests.faults.record import Record


def users(clients: int, shared: int = 2) -> list[str]:
    """A UUID for each client; the first `shared` of them are those of two clients each."""
    different = [str(uuid4()) for _ in range(clients - shared)]
    return [*different[:shared], *different]


class Load:
    """Clients at work, one for each user of the record. Enter it to start them; on leaving they stop.

    Arguments:
        urls: of the API, one for all its processes or one for each. Who gets no answer turns to the next.
        record: what is sold by which rules, and where it is noted what clients saw.
        seed: of the clients' choices.
        deadline_ms: longest deadline of a job.
        last_s: for how long the seats are to last, seconds.
        hot: seats of an event that clients want at a time.
        think_s: mean time between two requests of a client, seconds.

    Attributes:
        traffic: statistics of the requests.
    """

    def __init__(
        self,
        urls: Sequence[str],
        record: Record,
        *,
        seed: int,
        deadline_ms: int,
        last_s: float,
        hot: int = 6,
        think_s: float = 0.01,
    ) -> None:
        self.record = record
        self.traffic = Traffic()
        self._sale = Sale(record, deadline_ms=deadline_ms, last_s=last_s, hot=hot, think_s=think_s)
        self._runs: list[Future[None]] = []
        self._clients = []
        for number, user in enumerate(record.users):
            first = number % len(urls)
            api = Api(itertools.cycle([*urls[first:], *urls[:first]]), user, self.traffic)
            choices = Random(f"{seed}-{number}")  # noqa: S311 - guesses nobody's secret
            self._clients.append(Client(self._sale, api, user, choices))

    def start(self) -> None:
        """Starts the clients."""
        pool = ThreadPoolExecutor(len(self._clients), thread_name_prefix="client")
        self._runs = [pool.submit(client.run) for client in self._clients]
        pool.shutdown(wait=False)

    def stop(self) -> None:
        """Stops the clients, which look after their jobs for some seconds first. Raises what one of them
        raised, Unexpected above all."""
        self._sale.closing.set()
        while self._runs:
            self._runs.pop().result()

    def settle(self, timeout_s: float) -> bool:
        """Follows all jobs to their end after `stop`; returns whether they have ended. Only then the
        history says which accept of a reserve pinned its hold. Raises Unexpected."""
        with ThreadPoolExecutor(len(self._clients)) as pool:
            settled = list(pool.map(lambda client: client.settle(timeout_s), self._clients))
        self.record.label_pins()
        return all(settled)

    def __enter__(self) -> "Load":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
