"""Tasks that one thread works on in rounds."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from greenlet import getcurrent

from reservation.clients import Command
from reservation.rounds import RoundPipelining, Rounds, pause, step
from tests.conftest import wait_for
from tests.unit.line import OnItsWay


class _Line:
    """Where commands go, as in the tests of Pipelining: -1 is answered with an error, 0 makes the whole fail, and
    100 cannot be sent."""

    def __init__(self) -> None:
        self.sent: list[list[Any]] = []
        self.story: list[str] = []
        self.pipelining = RoundPipelining(self._begin)
        self.rounds = Rounds()

    def _begin(self, commands: list[Command]) -> OnItsWay:
        numbers = [command[0] for command in commands]
        if 100 in numbers:
            raise ConnectionError("not sent")
        self.sent.append(numbers)
        self.story.append(f"sent {numbers}")
        return OnItsWay(lambda: self._reply(numbers))

    def _reply(self, numbers: list[Any]) -> list[Any]:
        self.story.append(f"heard {numbers}")
        if 0 in numbers:
            raise ConnectionError("gone")
        return [ValueError(number) if number == -1 else number for number in numbers]

    def work(self) -> None:
        while self.rounds.tasks:
            self.rounds.work()


@pytest.fixture
def line() -> _Line:
    return _Line()


def _asker(line: _Line, heard: list[Any], *numbers: int) -> Callable[[], None]:
    """A task that asks for one after another and notes what it hears."""

    def ask() -> None:
        for number in numbers:
            try:
                heard.append(line.pipelining.execute((number,)))
            except (ValueError, ConnectionError) as error:
                heard.append(type(error))

    return ask


def test_what_the_tasks_of_a_round_ask_for_goes_in_one(line: _Line) -> None:
    """Each goes on with its own replies; one that has ended costs the next round nothing."""
    heard: list[list[Any]] = [[], [], []]
    for notes, numbers in zip(heard, [(1, 4, 6), (2,), (3, 5)], strict=True):
        line.rounds.start(_asker(line, notes, *numbers))
    assert line.sent == []
    line.work()
    assert line.sent == [[1, 2, 3], [4, 5], [6]]
    assert heard == [[1, 4, 6], [2], [3, 5]]


def test_what_was_asked_for_meanwhile_is_sent_before_the_others_go_on(line: _Line) -> None:
    """So that the server is not idle while they do."""

    def ask(number: int) -> None:
        line.pipelining.execute((number,))
        line.story.append(f"{number} went on")

    for number in (1, 2, 3):
        line.rounds.start(partial(ask, number))
        line.rounds.work()
    line.work()
    assert line.story == [
        "sent [1]",
        "heard [1]",
        "sent [2]",
        "1 went on",
        "heard [2]",
        "sent [3]",
        "2 went on",
        "heard [3]",
        "3 went on",
    ]


def test_no_server_is_idle_while_another_is_waited_for(line: _Line) -> None:
    """What a task asks of one after it has heard from another is on its way before a third task's reply is there."""
    other = _Line()
    other.story = line.story

    def ask_both() -> None:
        line.pipelining.execute((1,))
        line.pipelining.execute((2,))

    line.rounds.start(ask_both)
    line.rounds.start(lambda: other.pipelining.execute((9,)))
    line.rounds.work()
    line.rounds.work()
    assert line.story == ["sent [1]", "sent [9]", "heard [1]", "sent [2]", "heard [9]"]
    line.work()


def test_what_goes_to_two_servers_is_on_its_way_to_both(line: _Line) -> None:
    """Neither waits for the other, and each task has its own replies: all that it asked for in one go."""
    other, heard = _Line(), list[Any]()
    other.story = line.story
    line.rounds.start(_asker(line, heard, 1))
    line.rounds.start(lambda: heard.append(other.pipelining.execute_all([(2,), (-1,), (3,)])))
    line.work()
    assert line.story == ["sent [1]", "sent [2, -1, 3]", "heard [1]", "heard [2, -1, 3]"]
    assert heard[0] == 1
    assert [heard[1][0], type(heard[1][1]), heard[1][2]] == [2, ValueError, 3]


def test_what_cannot_be_sent_is_an_error_to_who_asked(line: _Line) -> None:
    """In the same round, and the next is sent again."""
    heard: list[Any] = []
    line.rounds.start(_asker(line, heard, 100, 3))
    line.rounds.start(_asker(line, heard, 2, 4))
    line.work()
    assert sorted(map(str, heard)) == sorted(map(str, [ConnectionError, 3, ConnectionError, 4]))
    assert line.sent == [[3, 4]]


def test_a_task_that_has_ended_leaves_its_place_to_the_next(line: _Line) -> None:
    """One that has raised something is gone for good."""
    seen = []

    def note() -> None:
        seen.append(id(getcurrent()))
        line.pipelining.execute((1,))

    def fail() -> None:
        note()
        raise KeyError

    for _ in range(3):
        line.rounds.start(note)
        line.work()
    assert len(set(seen)) == 1
    line.rounds.start(fail)
    with pytest.raises(KeyError):
        line.work()
    line.rounds.start(note)
    line.work()
    assert seen[-2] == seen[0]
    assert line.rounds.tasks == 0


def test_an_error_is_raised_in_its_task_only(line: _Line) -> None:
    """The others have their replies, and the task may go on."""
    heard: list[list[Any]] = [[], []]
    line.rounds.start(_asker(line, heard[0], -1, 3))
    line.rounds.start(_asker(line, heard[1], 2))
    line.work()
    assert heard == [[ValueError, 3], [2]]


def test_an_error_of_the_whole_is_raised_in_each_task(line: _Line) -> None:
    """And the next round is sent again."""
    heard: list[list[Any]] = [[], []]
    line.rounds.start(_asker(line, heard[0], 0, 3))
    line.rounds.start(_asker(line, heard[1], 2, 4))
    line.work()
    assert heard == [[ConnectionError, 3], [ConnectionError, 4]]


def test_what_a_task_raises_is_raised_to_who_works_on_it(line: _Line) -> None:
    """At its start, or in the round in which it does; the next task is worked on as ever."""

    def fail(*numbers: int) -> None:
        for number in numbers:
            line.pipelining.execute((number,))
        raise KeyError(*numbers)

    with pytest.raises(KeyError):
        line.rounds.start(fail)
    line.rounds.start(partial(fail, 1))
    line.rounds.work()
    with pytest.raises(KeyError):
        line.rounds.work()
    heard: list[Any] = []
    line.rounds.start(_asker(line, heard, 2))
    line.work()
    assert heard == [2]


def test_outside_of_a_task_nothing_is_left(line: _Line) -> None:
    """A command is sent at once, an error raised, and a pause is none."""
    assert line.pipelining.execute((1,)) == 1
    with pytest.raises(ValueError, match="-1"):
        line.pipelining.execute((-1,))
    with pytest.raises(ConnectionError):
        line.pipelining.execute((0,))
    assert line.sent == [[1], [-1], [0]]
    assert not pause(60)


def test_others_go_on_while_a_task_pauses(line: _Line) -> None:
    """It asks for nothing meanwhile, and goes on when its time has come."""
    heard: list[Any] = []

    def rest() -> None:
        heard.append(pause(0.05))
        _asker(line, heard, 2)()

    line.rounds.start(rest)
    line.rounds.start(_asker(line, heard, 1))
    assert line.rounds.tasks == 1
    line.work()
    assert heard == [1]
    assert line.rounds.pausing_s < 1
    line.rounds.wake()
    assert heard == [1], "not before its time"
    wait_for(lambda: line.rounds.pausing_s <= 0)
    line.rounds.wake()
    line.work()
    assert heard == [1, True, 2]
    assert line.rounds.pausing_s > 1e9, "nobody pauses any more"


def test_a_pause_ends_with_what_is_waited_for(line: _Line) -> None:
    """Set by another thread; the others of those that pause go on pausing."""
    heard: list[str] = []
    one, other = threading.Event(), threading.Event()

    def rest(name: str, happens: threading.Event) -> None:
        pause(60, unless=happens)
        heard.append(name)

    line.rounds.start(partial(rest, "one", one))
    line.rounds.start(partial(rest, "other", other))
    line.rounds.wake()
    assert heard == []
    assert line.rounds.pausing_s > 30
    thread = threading.Thread(target=one.set)
    thread.start()
    thread.join()
    assert line.rounds.pausing_s <= 0
    line.rounds.wake()
    assert heard == ["one"]
    assert 30 < line.rounds.pausing_s < 61


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_to_be_done_for_all_is_done_once_they_have_come_as_far(line: _Line, *, fails: bool) -> None:
    """Before any of them goes on, and whatever becomes of it."""
    story: list[str] = []

    def at_step() -> None:
        story.append("for all")
        if fails:
            raise ValueError

    def task(number: int) -> None:
        line.pipelining.execute((number,))
        story.append(f"{number} came")
        assert step()
        story.append(f"{number} went on")

    rounds = Rounds(at_step)
    for number in (1, 2):
        rounds.start(partial(task, number))
    while rounds.tasks:
        rounds.work()
    assert story == ["1 came", "2 came", "for all", "1 went on", "2 went on"]


def test_a_step_outside_of_a_task_is_none(line: _Line) -> None:
    """Who calls it has nobody to wait for."""
    assert not step()
