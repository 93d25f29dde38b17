"""The domain's parts on one connection: what API, workers and sweepers are built from."""

from dataclasses import dataclass

import redis

from reservation.audit import Audit
from reservation.changes import ChangeLog
from reservation.clients import SOCKET_TIMEOUT_S, script_call
from reservation.connections import connect
from reservation.counts import Counts
from reservation.events import Events
from reservation.fleet import Fleet
from reservation.guard import PROBE_TIMEOUT_S, Guard, ServerClock
from reservation.jobs import Ledger
from reservation.picks import BestSeats
from reservation.pipelining import Pipelining
from reservation.rooms import Rooms
from reservation.scripts import Scripts, source
from reservation.seats import Policy, Seats
from reservation.servers import Servers
from reservation.settings import Settings
from reservation.webhooks import Webhooks


@dataclass(frozen=True)
class Store:
    """Everything that lives in the state database. Its guard has to be started where requests must not
    wait for a server that is gone."""

    servers: Servers
    guard: Guard
    scripts: Scripts
    events: Events
    seats: Seats
    rooms: Rooms
    jobs: Ledger
    fleet: Fleet
    changes: ChangeLog
    audit: Audit
    counts: Counts
    best: BestSeats
    webhooks: Webhooks

    @classmethod
    def connect(
        cls,
        settings: Settings,
        connections: int,
        timeout_s: float = SOCKET_TIMEOUT_S,
        pipelining: type[Pipelining] = Pipelining,
    ) -> "Store":
        """Builds the parts on a client of their own; nothing is sent yet.

        Arguments:
            connections: most connections at once, one for each thread that uses it.
            timeout_s: longest wait for a reply, seconds.
            pipelining: what sends together what several threads ask for.
        """
        servers = connect(settings.state_url, connections=connections, timeout_s=timeout_s)
        probe = servers.beside(timeout_s=PROBE_TIMEOUT_S)
        read_clock = script_call(servers.register_script(source("read_clock")), [], [])
        clock = ServerClock(lambda: float(probe.probe(read_clock)))
        guard = Guard("state", clock.read)
        scripts = Scripts(servers, guard, pipelining)
        rooms, policy = Rooms(scripts), Policy.of(settings)
        seats, audit = Seats(scripts, policy, clock, rooms), Audit(scripts, policy.retention_ms, policy.audit_key)
        events, jobs, changes, counts = Events(scripts), Ledger(scripts), ChangeLog(scripts), Counts()
        fleet, best = Fleet(scripts, counts), BestSeats(scripts, events, seats)
        webhooks = Webhooks.of(scripts, settings)
        return cls(servers, guard, scripts, events, seats, rooms, jobs, fleet, changes, audit, counts, best, webhooks)

    @property
    def client(self) -> redis.Redis:
        """redis-py's, of the same servers: for tools and tests."""
        return self.servers.client
