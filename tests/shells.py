"""The client package in both its forms, so that one test is about both."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, cast

from reservation_client import AsyncClient, Client

#: What awaits, and what waits.
SHELLS = ["threads", "asyncio"]


class _Driven:
    """An AsyncClient that can be used like a Client: what it returns is awaited on a loop of its own."""

    def __init__(self, runner: asyncio.Runner, client: AsyncClient) -> None:
        self._runner = runner
        self._client = client

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*arguments: Any, **options: Any) -> Any:
            begun = method(*arguments, **options)
            if isinstance(begun, AsyncClient):
                return _Driven(self._runner, begun)
            if hasattr(begun, "__anext__"):
                return self._iterate(begun)
            return self._runner.run(begun)

        return call

    def _iterate(self, iterator: AsyncIterator[Any]) -> Iterator[Any]:
        async def following() -> tuple[bool, Any]:
            try:
                return True, await anext(iterator)
            except StopAsyncIteration:
                return False, None

        try:
            while (found := self._runner.run(following()))[0]:
                yield found[1]
        finally:
            self._runner.run(cast(Any, iterator).aclose())


@contextmanager
def connected(shell: str, url: str, **options: Any) -> Iterator[Client]:
    """A client of the service there, and closes it, and what it was given to send with."""
    http = options.get("http")
    if shell == "threads":
        with Client(url, **options) as client, http or nullcontext():
            yield client
        return
    with asyncio.Runner() as runner:
        awaited = AsyncClient(url, **options)
        try:
            yield cast(Client, _Driven(runner, awaited))
        finally:
            runner.run(awaited.aclose())
            if http is not None:
                runner.run(http.aclose())
