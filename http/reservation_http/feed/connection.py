"""A client's connection, as uvicorn has it and a little closer to the wire."""

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Where the application finds the connection of a request.
_KEY = "reservation.connection"
#: How long a request's head may take to arrive, seconds; uvicorn waits for ever.
_HEAD_S = 10.0
#: Bytes that wait for a client to read them. One that has more to come is not waited for: it connects again, and goes
#: on where it was. A picture of 10,000 seats has 10 KB, a change 200 bytes.
_MOST_UNREAD = 256 * 1024


class Connection(HttpToolsProtocol):
    """Lets who tells everybody the same write it to each directly.

    By way of ASGI each of 5,000 clients would be a task to be woken, for each piece that is sent. What is
    written is what uvicorn would write of a body whose length is not known: chunks.
    """

    #: Called once when it is lost.
    on_lost: Callable[[], None] | None = None
    _late: asyncio.TimerHandle | None = None

    @staticmethod
    def of(scope: Any) -> "Connection":
        """That of a request."""
        found: Connection = scope["extensions"][_KEY]
        return found

    def connection_made(self, transport: Any) -> None:
        """Waits for a request, but not for ever."""
        super().connection_made(transport)
        self._expect_head()

    def on_message_begin(self) -> None:
        """Has the connection in the request."""
        super().on_message_begin()
        self.scope["extensions"] = {_KEY: self}  # type: ignore[dict-item]  # of this process alone
        self._expect_head()

    def on_headers_complete(self) -> None:
        """It has arrived."""
        self._stop_waiting()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Says so."""
        self._stop_waiting()
        super().connection_lost(exc)
        if self.on_lost is not None:
            self.on_lost()

    def write_chunk(self, data: bytes) -> bool:
        """Writes a chunk of the answer that is under way. Returns False, and is lost, if the client does not read."""
        if self.transport.is_closing():
            return True  # whoever waits for it is told
        if self.transport.get_write_buffer_size() > _MOST_UNREAD:
            self.transport.abort()
            return False
        self.transport.write(data)
        return True

    def _expect_head(self) -> None:
        self._stop_waiting()
        self._late = self.loop.call_later(_HEAD_S, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
