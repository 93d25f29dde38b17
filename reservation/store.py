"""The domain's parts on one connection: what API, workers and sweepers are built from."""

from dataclasses import dataclass

import redis

from reservation.clients import connect
from reservation.events import Events
from reservation.fleet import Fleet
from reservation.jobs import Ledger
from reservation.scripts import Scripts
from reservation.seats import Policy, Seats
from reservation.settings import Settings


@dataclass(frozen=True)
class Store:
    """Everything that lives in the state database."""

    client: redis.Redis
    scripts: Scripts
    events: Events
    seats: Seats
    jobs: Ledger
    fleet: Fleet

    @classmethod
    def on(cls, client: redis.Redis, policy: Policy) -> "Store":
        """Builds the parts on a client that answers `str`."""
        scripts = Scripts(client)
        return cls(client, scripts, Events(scripts), Seats(scripts, policy), Ledger(scripts), Fleet(scripts))

    @classmethod
    def connect(cls, settings: Settings, connections: int) -> "Store":
        """Builds the parts on a client of their own; nothing is sent yet.

        Arguments:
            connections: most connections at once, one for each thread that uses it.
        """
        return cls.on(connect(settings.state_url, connections=connections), Policy.of(settings))
