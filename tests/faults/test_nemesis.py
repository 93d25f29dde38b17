"""A running service, faults from a seed, and every promise held: the short form of `make soak`."""

import os
from itertools import pairwise
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest

from tests.faults.nemesis import FAULTS, schedule
from tests.faults.stack import Stack
from tests.faults.trial import run, untold

#: Replays a run that failed.
SEED_VARIABLE = "NEMESIS_SEED"
#: Time in which faults are injected, seconds.
_SECONDS = 12.0


def test_a_seed_makes_the_same_schedule() -> None:
    """Fault by fault, to the moment; and another seed another one."""
    faults = list(FAULTS.values())
    assert schedule(7, 600, faults) == schedule(7, 600, faults)
    assert schedule(7, 600, faults) != schedule(8, 600, faults)
    assert {strike.fault.name for strike in schedule(7, 600, faults)} == set(FAULTS)
    assert all(strike.at_s + strike.lasts_s <= 60 for strike in schedule(7, 60, faults))


def test_some_faults_overlap() -> None:
    """Two things may break at once."""
    strikes = schedule(7, 600, list(FAULTS.values()))
    assert any(a.at_s + a.lasts_s > b.at_s for a, b in pairwise(strikes))


@pytest.mark.timeout(300)
def test_no_fault_breaks_a_promise(capsys: pytest.CaptureFixture[str]) -> None:
    """Clients buy while parts of the service are killed, paused and cut off; what each saw can be explained by
    one order, every job ends, every set says what the seats say."""
    seed = int(os.environ.get(SEED_VARIABLE) or Random().randrange(1 << 32))  # noqa: S311 - guesses nobody's secret
    with capsys.disabled():
        print(f"\n{SEED_VARIABLE}={seed} replays this: ", end="")  # noqa: T201 - the seed, before anything can fail
    # Not the longest ones, for which there is `make soak`.
    faults = [fault for fault in FAULTS.values() if fault.lasts_s[1] <= 4]
    with TemporaryDirectory(prefix="reservation-") as folder, Stack(Path(folder)) as stack:
        outcome = run(stack, schedule(seed, _SECONDS, faults), seed)
        untold(stack, [outcome])
    assert outcome.violations == []
    assert outcome.hits.total() >= 3
    assert outcome.operations > 300
    assert outcome.jobs > 50
