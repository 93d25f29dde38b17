"""What a worker begins next: VIP jobs first, and every fifth is another."""

import re
from typing import NamedTuple

from dramatiq import Message

from actors.lanes import VIP, VIP_IN_A_ROW, Lanes
from reservation.jobs import LATER
from reservation.scripts import source


class _Item(NamedTuple):
    """What Dramatiq puts into its queue, in its order."""

    number: int
    message: Message[None]


def _fill(lanes: Lanes, vip: int, standard: int) -> None:
    for lane, count in ((VIP, vip), ("", standard)):
        for number in range(count):
            lanes.put(_Item(number, Message(f"seats{lane}", "hold", (), {}, {})))


def _taken(lanes: Lanes, count: int) -> str:
    """By lane, a letter each."""
    items = [lanes.get_nowait() for _ in range(count)]
    for lane in (VIP, ""):
        numbers = [item.number for item in items if item.message.queue_name == f"seats{lane}"]
        assert numbers == sorted(numbers), "within a lane, as they came"
    return "".join("v" if item.message.queue_name.endswith(VIP) else "s" for item in items)


def test_neither_starves_the_other() -> None:
    """Four fifths are VIP jobs while both wait; what is left has it all."""
    lanes = Lanes()
    _fill(lanes, vip=40, standard=40)
    assert lanes.qsize() == 80
    assert _taken(lanes, 80) == "vvvvs" * 10 + "s" * 30
    assert lanes.empty()


def test_who_comes_while_only_the_others_wait_is_next() -> None:
    """However long the others had it all."""
    lanes = Lanes()
    _fill(lanes, vip=20, standard=0)
    assert _taken(lanes, 10) == "v" * 10
    _fill(lanes, vip=0, standard=10)
    assert _taken(lanes, 6) == "svvvvs"
    lanes = Lanes()
    _fill(lanes, vip=0, standard=10)
    assert _taken(lanes, 5) == "s" * 5
    _fill(lanes, vip=1, standard=0)
    assert _taken(lanes, 2) == "vs"


def test_the_scripts_count_on_the_same_turns() -> None:
    """A job's place is counted by them; where those for later stand, by both."""
    (later, in_a_row) = re.findall(r"VIP, LATER, VIP_IN_A_ROW = -1e12, (\S+), (\d+)", source("read_job"))[0]
    assert (float(later), int(in_a_row)) == (LATER, VIP_IN_A_ROW)
    assert f"'({later}'" in source("read_job")
