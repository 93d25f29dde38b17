"""`make faults` and `make soak`: breaks a running service on purpose, and says which promises held.

python -m tests.faults table                 every fault by itself, against every promise
python -m tests.faults soak --seconds 600    at random, from a seed that replays it
"""

import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import click
from rich.box import MARKDOWN
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.faults.failover import Loss
from tests.faults.failover import run as run_failover
from tests.faults.nemesis import FAULTS, HOST_FAILED, Fault, Strike, schedule
from tests.faults.stack import Stack
from tests.faults.trial import Outcome, run, untold

#: What each promise is called in a table.
PROMISES = {
    1: "one owner",
    2: "jobs end",
    3: "limit, sets",
    4: "exact order",
    5: "on disk",
    6: "waiting room",
    7: "webhooks",
}
#: Strikes of each fault in the table, and the pause before each, seconds.
_STRIKES, _PAUSE_S = 2, 0.7
#: Length of one trial of a soak, seconds: each has seats, clients and a history of its own.
_TRIAL_S = 20.0

console = Console(width=None if sys.stdout.isatty() else 240)


@click.group()
def cli() -> None:
    """Breaks a running service, and says which promises held."""


@contextmanager
def _stack() -> Iterator[Stack]:
    with tempfile.TemporaryDirectory(prefix="reservation-") as folder:
        console.print("starting a service, with a proxy before each of its Redis servers …")
        with Stack(Path(folder)) as stack:
            if not stack.traced:
                console.print("strace is not installed: that the state's host fails cannot be tried")
            yield stack


@cli.command()
@click.option("--only", multiple=True, type=click.Choice(list(FAULTS)), help="Only this fault; may be repeated.")
@click.option("--seed", type=int, default=1, show_default=True)
def table(only: tuple[str, ...], seed: int) -> None:
    """Every fault by itself, against every promise."""
    began, failed = time.monotonic(), False
    outcomes: dict[Fault, Outcome] = {}
    rows = Table("fault", "injected", "operations", "jobs", *PROMISES.values(), "served after", "last job after")
    rows.box = MARKDOWN
    rows.add_column("503s after 1 s: p50 / max")
    with _stack() as stack:
        for fault in [fault for fault in _possible(stack) if not only or fault.name in only]:
            console.print(f"[dim]{fault.name} …")
            outcomes[fault] = run(stack, _alone(fault, seed), seed)
        console.print("[dim]waiting for what the receiver of webhooks has not been told yet …")
        untold(stack, list(outcomes.values()))
        for fault, outcome in outcomes.items():
            failed |= _report(outcome, seed) or outcome.hits[fault.name] < _STRIKES
            rows.add_row(
                fault.name,
                str(outcome.hits[fault.name]),
                str(outcome.operations),
                str(outcome.jobs),
                *_cells(outcome, fault),
                _ms(outcome.served_after_ms),
                _ms(outcome.ended_after_ms),
                _refusals(outcome.refused_ms),
            )
    console.print(rows)
    console.print(f"seed {seed}, {time.monotonic() - began:.0f} s")
    sys.exit(failed)


def _possible(stack: Stack) -> list[Fault]:
    return [fault for fault in FAULTS.values() if stack.traced or fault is not HOST_FAILED]


def _alone(fault: Fault, seed: int) -> list[Strike]:
    """The same fault a few times, with time to recover in between."""
    choices = Random(seed)  # noqa: S311 - guesses nobody's secret
    strikes, at_s = [], 0.0
    for _ in range(_STRIKES):
        at_s += _PAUSE_S
        strikes.append(Strike(fault, at_s, fault.lasts_s[1], choices.randrange(1 << 32)))
        at_s += fault.lasts_s[1]
    return strikes


def _cells(outcome: Outcome, fault: Fault) -> Iterator[str]:
    """For each promise whether it held; whether what was answered is on disk is asked only of a restart."""
    broken = Counter(violation.promise for violation in outcome.violations)
    for promise in PROMISES:
        if promise == 5 and not fault.restarts_state:
            yield ""
        else:
            yield f"[red]{broken[promise]} broken" if broken[promise] else "held"


@cli.command()
@click.option("--seconds", type=click.FloatRange(10), default=600, show_default=True)
@click.option("--seed", type=int, default=None, help="Replays the faults and the clients' choices of an earlier run.")
def soak(seconds: float, seed: int | None) -> None:
    """Faults at random, one after the other and at the same time."""
    seed = Random().randrange(1 << 32) if seed is None else seed  # noqa: S311 - guesses nobody's secret
    console.print(f"seed {seed}")
    hits: Counter[str] = Counter()
    outcomes: list[Outcome] = []
    with _stack() as stack:
        faults = _possible(stack)
        until, began = time.monotonic() + seconds, time.monotonic()
        while (left := until - time.monotonic()) > 0:
            number = len(outcomes)
            outcome = run(stack, schedule(seed + number, min(_TRIAL_S, left), faults), seed + number)
            outcomes.append(outcome)
            hits += outcome.hits
            console.print(
                f"{time.monotonic() - began:4.0f} s: {outcome.hits.total()} faults, {outcome.operations} operations, "
                f"{outcome.jobs} jobs, {len(outcome.violations)} violations, "
                f"last job {_ms(outcome.ended_after_ms)} after the last fault"
            )
        console.print("waiting for what the receiver of webhooks has not been told yet …")
        untold(stack, outcomes)
        told = len({post.id for post in stack.receiver.accepted})
        for number, outcome in enumerate(outcomes):
            _report(outcome, seed + number)
    _summary(outcomes, hits, told, seed)
    sys.exit(any(outcome.violations for outcome in outcomes))


@cli.command()
@click.option("--seconds", type=click.FloatRange(3), default=20, show_default=True, help="Before, and again after it.")
def failover(seconds: float) -> None:
    """A cluster loses a primary while seats are sold: what was lost with it."""
    lags = (0.0, 0.0, 0.5)
    rows = Table("the replica lags by", *(f"{lag} s" if lag else "" for lag in lags), box=MARKDOWN)
    losses = [
        run_failover(seconds, seconds, seed, lag_s, lambda text: console.print(f"[dim]{text}"))
        for seed, lag_s in enumerate(lags)
    ]
    figures: dict[str, Callable[[Loss], object]] = {
        "events of the node that was killed": lambda loss: loss.events_lost,
        "longest time without a hold of one of them": lambda loss: f"{loss.away_s:.1f} s",
        "the same of all others": lambda loss: f"{loss.elsewhere_s:.2f} s",
        "jobs accepted": lambda loss: f"{loss.jobs:,}",
        "of them unknown afterwards": lambda loss: loss.unknown,
        "of them not ended": lambda loss: len(loss.endless),
        "seats that a buyer was told are theirs": lambda loss: f"{loss.told:,}",
        "of them not theirs afterwards": lambda loss: loss.forgotten,
        "of them told to two": lambda loss: loss.told_twice,
        "sold twice, among what survived": lambda loss: len(loss.sold_twice),
        "answers 5xx, and none": lambda loss: sum(loss.refused.values()),
    }
    for what, figure in figures.items():
        rows.add_row(what, *(str(figure(loss)) for loss in losses))
    console.print(rows)
    sys.exit(any(loss.sold_twice or loss.endless for loss in losses))


def _summary(outcomes: list[Outcome], hits: Counter[str], told: int, seed: int) -> None:
    violations = [violation for outcome in outcomes for violation in outcome.violations]
    recovery = [outcome.ended_after_ms for outcome in outcomes if outcome.ended_after_ms is not None]
    served = [outcome.served_after_ms for outcome in outcomes if outcome.served_after_ms is not None]
    faults = Table("fault", "injected", box=MARKDOWN)
    for name in FAULTS:
        faults.add_row(name, str(hits[name]))
    console.print(faults)
    for what, figure in {
        "operations": sum(outcome.operations for outcome in outcomes),
        **_operations(outcomes),
        "jobs accepted": sum(outcome.jobs for outcome in outcomes),
        "faults injected": hits.total(),
        "messages that webhooks told": told,
        "violations": len(violations),
        "of them jobs that did not end, or not in time": sum(violation.promise == 2 for violation in violations),
        "worst time from the last fault to a new verdict": _ms(max(served, default=None)),
        "worst time from the last fault to the end of every job accepted before": _ms(max(recovery, default=None)),
        "503s when the state had been gone for a second, p50 / max": _refusals(
            [ms for outcome in outcomes for ms in outcome.refused_ms]
        ),
        "seed": seed,
    }.items():
        console.print(f"{what}: {figure}")


def _operations(outcomes: list[Outcome]) -> dict[str, int]:
    """How often clients met with what a trial is no good without."""
    records = [outcome.record for outcome in outcomes if outcome.record is not None]
    ops = [op for record in records for seat_ops in record.history.by_seat().values() for op in seat_ops]
    bests = Counter(job.outcome for record in records for job in record.jobs.values() if job.kind == "best")
    answers = Counter((op.kind, op.outcome) for op in ops)
    return {
        "of them in a call or job about several seats": sum(op.seats > 1 for op in ops),
        "of these without effect because of another seat": sum(op.outcome == "spared" for op in ops),
        "jobs for the best seats that held them": bests["held"],
        "that found none": bests["no-seats-together"] + bests["too-few-seats"],
        "seats reserved": answers["reserve", "reserved"] + answers["reserve", "reserved-or-had"],
        "reservations cancelled": answers["cancel", "cancelled"],
        "refused to cancel": answers["cancel", "not-owner"] + answers["cancel", "not-reserved"],
        "blocked, or put back": answers["block", "blocked-or-was"] + answers["unblock", "unblocked-or-was-not"],
        "refused because a seat is blocked": sum(op.outcome == "seat-blocked" for op in ops),
        "holds refreshed": answers["refresh", "refreshed"],
        "refused at a hold's ceiling": answers["refresh", "hold-ceiling"],
        "tickets for the waiting room": len({(look.event, look.user) for record in records for look in record.looks}),
        "without an answer": sum(op.outcome is None for op in ops),
    }


def _report(outcome: Outcome, seed: int) -> bool:
    """Prints what was broken, and keeps the history; returns whether anything was."""
    for violation in outcome.violations:
        console.print(f"[red]promise {violation.promise}: {escape(violation.text)}", highlight=False)
    if outcome.violations and outcome.record is not None:
        path = Path(tempfile.gettempdir()) / f"reservation-history-{seed}.jsonl"
        outcome.record.history.save(path)
        console.print(f"what the clients saw is in {path}; --seed {seed} --seconds {_TRIAL_S:.0f} replays it")
    return bool(outcome.violations)


def _ms(value: int | None) -> str:
    return "never" if value is None else f"{value} ms"


def _refusals(took_ms: list[int]) -> str:
    return f"{len(took_ms)}: {statistics.median(took_ms):.0f} / {max(took_ms)} ms" if took_ms else ""


if __name__ == "__main__":
    cli()
