"""What stands for a server in the tests of what is sent together."""

from collections.abc import Callable
from typing import Any


class OnItsWay:
    """Commands on their way, whose replies are made when they are asked for.

    Arguments:
        replies: makes them.
    """

    def __init__(self, replies: Callable[[], list[Any]]) -> None:
        self._replies = replies

    def replies(self) -> list[Any]:
        return self._replies()
