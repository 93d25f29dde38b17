"""Commands of several threads, sent together."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from reservation.clients import Command
from reservation.pipelining import Pipelining
from tests.conftest import wait_for
from tests.unit.line import OnItsWay


class _Line:
    """Where commands go. Each reply is the command's own number; -1 is answered with an error, and what has a 0
    in it fails as a whole. Nothing is answered while it is shut."""

    def __init__(self) -> None:
        self.sent: list[list[Any]] = []
        self.open = threading.Event()

    def begin(self, commands: list[Command]) -> OnItsWay:
        return OnItsWay(lambda: self._send(commands))

    def _send(self, commands: list[Command]) -> list[Any]:
        numbers = [command[0] for command in commands]
        self.sent.append(numbers)
        assert self.open.wait(10)
        if 0 in numbers:
            raise ConnectionError("gone")
        return [ValueError(number) if number == -1 else number for number in numbers]


def _ask_behind_another(line: _Line, *numbers: int) -> tuple[Pipelining, list[BaseException | None], list[Any]]:
    """Sends these while another's command is on its way. Returns the errors and the replies, in order."""
    pipelining = Pipelining(line.begin)
    with ThreadPoolExecutor(len(numbers) + 1) as threads:
        first = threads.submit(pipelining.execute, (100,))
        wait_for(lambda: line.sent)
        others = [threads.submit(pipelining.execute, (number,)) for number in numbers]
        wait_for(lambda: len(pipelining._waiting) == len(numbers))
        line.open.set()
        assert first.result(10) == 100
        errors = [other.exception(10) for other in others]
    return pipelining, errors, [None if e else o.result() for e, o in zip(errors, others, strict=True)]


def test_each_of_many_threads_gets_its_own_reply() -> None:
    """Whoever sent its command."""
    sent: list[list[Any]] = []

    def send(commands: list[Command]) -> list[Any]:
        sent.append([command[0] for command in commands])
        time.sleep(0.001)  # lets the others have the interpreter, as a server's reply does
        return sent[-1]

    pipelining = Pipelining(lambda commands: OnItsWay(lambda: send(commands)))
    asked = [range(thread * 100, thread * 100 + 50) for thread in range(16)]
    with ThreadPoolExecutor(16) as threads:
        heard = list(threads.map(lambda numbers: [pipelining.execute((number,)) for number in numbers], asked))
    assert heard == [list(numbers) for numbers in asked]
    assert sorted(number for numbers in sent for number in numbers) == [n for numbers in asked for n in numbers]


def test_what_is_asked_for_meanwhile_goes_in_one() -> None:
    """While one call is on its way."""
    line = _Line()
    _, errors, replies = _ask_behind_another(line, *range(1, 9))
    assert [len(numbers) for numbers in line.sent] == [1, 8]
    assert (errors, replies) == ([None] * 8, list(range(1, 9)))


def test_an_error_is_raised_to_its_caller_only() -> None:
    """What was sent with it has its reply."""
    _, errors, replies = _ask_behind_another(_Line(), 1, -1, 2)
    assert [type(error) for error in errors] == [type(None), ValueError, type(None)]
    assert replies == [1, None, 2]


def test_an_error_of_the_whole_is_raised_to_each() -> None:
    """And the next call is sent again."""
    pipelining, errors, _ = _ask_behind_another(_Line(), 1, 0, 2)
    assert [type(error) for error in errors] == [ConnectionError] * 3
    assert pipelining.execute((3,)) == 3


def test_a_caller_that_fails_alone_leaves_the_line_free() -> None:
    """Nobody waits for a turn that never comes."""
    line = _Line()
    line.open.set()
    pipelining = Pipelining(line.begin)
    with pytest.raises(ConnectionError):
        pipelining.execute((0,))
    assert pipelining.execute((1,)) == 1


def test_the_turn_is_passed_on() -> None:
    """Who comes while the second call is on its way is sent with the third."""
    sent: list[list[Any]] = []
    steps = threading.Semaphore(0)

    def send(commands: list[Command]) -> list[Any]:
        sent.append([command[0] for command in commands])
        assert steps.acquire(timeout=10)
        return sent[-1]

    pipelining = Pipelining(lambda commands: OnItsWay(lambda: send(commands)))
    with ThreadPoolExecutor(5) as threads:
        first = threads.submit(pipelining.execute, (1,))
        wait_for(lambda: len(sent) == 1)
        second = [threads.submit(pipelining.execute, (number,)) for number in (2, 3)]
        wait_for(lambda: len(pipelining._waiting) == 2)
        steps.release()
        wait_for(lambda: len(sent) == 2)
        third = [threads.submit(pipelining.execute, (number,)) for number in (4, 5)]
        wait_for(lambda: len(pipelining._waiting) == 2)
        steps.release(2)
        assert [asked.result(10) for asked in (first, *second, *third)] == [1, 2, 3, 4, 5]
    assert [sorted(numbers) for numbers in sent] == [[1], [2, 3], [4, 5]]
