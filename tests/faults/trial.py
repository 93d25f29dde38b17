"""A trial: clients at work on a running service, faults according to a schedule, and what came of it."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random

from reservation.errors import NotFound
from reservation.ids import JobId
from reservation.models import WaitingRoom
from tests.faults.audit import Violation, audit, open_jobs
from tests.faults.checker import check
from tests.faults.history import now_ms
from tests.faults.load import Load, users
from tests.faults.nemesis import Strike
from tests.faults.record import Door, Record
from tests.faults.room import turned_away
from tests.faults.stack import DEADLINE_S, HOLD_S, MAX_HELD, MAX_HOLD_S, Stack
from tests.faults.telling import compare, subscribe

#: Within how long after the last fault was healed every job has to have ended that was accepted before, ms.
RECOVERY_MS = 10_000
#: Within how long after its state is gone the API has to have noticed, ms.
NOTICED_MS = 1_000
#: How long it may take until everything is told, seconds: what a sender that was killed had taken is taken again after
#: a minute, and then again for a receiver that failed three times running.
UNTOLD_S = 150.0
#: Seats for sale in a trial: in each of how many events.
_EVENTS, _SEATS = 2, 24
#: When one more event opens, seconds after the start; how many its waiting room lets in a minute, and for how long,
#: seconds: for all of a trial.
_OPENS_S, _PER_MINUTE, _ADMITTED_S = 2.0, 300, 600
_CLIENTS = 10
#: How long clients go on after the last fault, seconds.
_AFTER_S = 2.0
#: How long all jobs may take to end once the clients have stopped, seconds: their deadline, and a little.
_SETTLE_S = DEADLINE_S + 12


@dataclass
class Outcome:
    """What was done and seen. Times in ms.

    Attributes:
        hits: how often each fault hit something.
        operations: operations on seats that clients recorded.
        jobs: jobs that were accepted.
        violations: broken promises.
        served_after_ms: from the last heal until a client saw the success of a job that ended after it.
        ended_after_ms: from the last heal until the last job that had been accepted before was seen ended.
        outages: from when until when nobody could reach the state, epoch ms.
        secrets: of the webhook of each event.
        refused_ms: how long each 503 took that was asked for when such an outage had lasted for a second.
    """

    hits: Counter[str] = field(default_factory=Counter)
    operations: int = 0
    jobs: int = 0
    violations: list[Violation] = field(default_factory=list)
    served_after_ms: int | None = None
    ended_after_ms: int | None = None
    outages: list[tuple[int, int]] = field(default_factory=list)
    refused_ms: list[int] = field(default_factory=list)
    record: Record | None = None
    secrets: dict[str, str] = field(default_factory=dict)


def run(stack: Stack, strikes: Sequence[Strike], seed: int) -> Outcome:
    """Runs a trial on a service that is well. Raises what a client met that the API does not allow.

    Arguments:
        strikes: what breaks, and when.
        seed: of the clients' choices.
    """
    create, opens_ms = stack.store.events.create, now_ms() + round(_OPENS_S * 1000)
    room = WaitingRoom(admit_per_minute=_PER_MINUTE, admission_ttl=_ADMITTED_S)
    crowded = create("Opening night", _SEATS, opens_at=opens_ms, room=room).id
    events = dict.fromkeys((crowded, *(create("Opening night", _SEATS).id for _ in range(_EVENTS))), _SEATS)
    doors = {crowded: Door(opens_ms, _PER_MINUTE)}
    record = Record(events, users(_CLIENTS), MAX_HELD, round(HOLD_S * 1000), round(MAX_HOLD_S * 1000), doors)
    outcome = Outcome(record=record, secrets=subscribe(stack.url, list(events), stack.receiver.url()))
    lasts_s = max((strike.at_s + strike.lasts_s for strike in strikes), default=0.0) + _AFTER_S
    load = Load([stack.url], record, seed=seed, deadline_ms=round(DEADLINE_S * 1000), last_s=lasts_s)
    with load:
        _strike(stack, strikes, record, outcome)
        healed_ms = now_ms()
        time.sleep(_AFTER_S)
    settled = load.settle(_SETTLE_S)
    until = time.monotonic() + _SETTLE_S
    while open_jobs(stack.store, record) and time.monotonic() < until:
        time.sleep(0.05)

    outcome.operations, outcome.jobs = len(record.history), len(record.jobs)
    outcome.refused_ms = [
        took_ms
        for began_ms, ended_ms in outcome.outages
        for asked_ms, took_ms in load.traffic.unavailable
        if began_ms + NOTICED_MS < asked_ms < ended_ms
    ]
    outcome.violations += audit(stack.store, record)
    unexplained = check(record.history, hold_ms=record.hold_ms, max_hold_ms=record.max_hold_ms)
    outcome.violations += [Violation(4, text) for text in unexplained]
    outcome.violations += [Violation(6, text) for text in turned_away(record)]
    served_ms, ended_ms = record.first_verdict_after(healed_ms), record.all_ended_after(healed_ms)
    if not settled or served_ms is None or ended_ms is None:
        outcome.violations.append(Violation(2, "the service did not recover"))
        return outcome
    outcome.served_after_ms, outcome.ended_after_ms = served_ms - healed_ms, max(ended_ms - healed_ms, 0)
    if outcome.ended_after_ms > RECOVERY_MS:
        outcome.violations.append(Violation(2, f"the last job ended {outcome.ended_after_ms} ms after the last fault"))
    return outcome


def untold(stack: Stack, outcomes: Sequence[Outcome], timeout_s: float = UNTOLD_S) -> None:
    """Waits until everything that happened in some trials has been told, and adds to the violations of each what was
    not, or was not so. Raises redis.RedisError."""
    until = time.monotonic() + timeout_s
    for outcome in outcomes:
        if outcome.record is None:
            continue
        posts = list(stack.receiver.accepted)
        while (told := compare(stack.store, outcome.record, outcome.secrets, posts)).missing:
            if time.monotonic() > until:
                break
            time.sleep(0.2)
            posts = list(stack.receiver.accepted)
        outcome.violations += [Violation(7, text) for text in (*told.wrong, *told.missing)]


def _strike(stack: Stack, strikes: Sequence[Strike], record: Record, outcome: Outcome) -> None:
    """Carries out a schedule, each strike on a thread of its own, those at one target one after the other."""
    began = time.monotonic()
    locks = {strike.fault.target: threading.Lock() for strike in strikes}

    def carry_out(strike: Strike) -> None:
        time.sleep(max(0.0, began + strike.at_s - time.monotonic()))
        with locks[strike.fault.target]:
            answered = {job.id: job.completed_ms for job in list(record.jobs.values()) if job.outcome is not None}
            with strike.fault.inject(stack, Random(strike.seed)) as hits:  # noqa: S311 - guesses nobody's secret
                began_ms = now_ms()
                time.sleep(strike.lasts_s)
                if strike.fault.hides_state:
                    outcome.outages.append((began_ms, now_ms()))
            outcome.hits[strike.fault.name] += bool(hits())
            if strike.fault.restarts_state:
                outcome.violations.extend(_forgotten(stack, answered))

    with ThreadPoolExecutor(max(len(strikes), 1)) as pool:
        for done in [pool.submit(carry_out, strike) for strike in strikes]:
            done.result()


def _forgotten(stack: Stack, answered: dict[str, int | None]) -> list[Violation]:
    """Verdicts that clients had read and that the state does not have any more."""
    found = []
    for job_id, completed_ms in answered.items():
        try:
            kept = stack.store.jobs.read(JobId.parse(job_id)).completed_at
        except NotFound:
            kept = None
        if kept != completed_ms:
            found.append(Violation(5, f"{job_id} ended at {completed_ms}, and after a restart at {kept}"))
    return found
