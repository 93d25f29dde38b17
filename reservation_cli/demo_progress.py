"""How a demo goes, live on a terminal, in a line now and then elsewhere."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

#: How often the display changes: on a terminal, and as lines elsewhere, seconds.
_LIVE_S, _LINE_S = 0.125, 2.0


class Progress(ABC):
    """What is shown from entering until leaving."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()

    @abstractmethod
    def bars(self) -> Iterable[tuple[str, int, int]]:
        """Names, how many there are, and of how many."""

    @abstractmethod
    def counts(self) -> str:
        """The other figures, in a line."""

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._show())

    async def __aexit__(self, *error: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _show(self) -> None:
        if not self._console.is_terminal:
            while True:
                await asyncio.sleep(_LINE_S)
                done = (f"{name} {count:,} of {total:,}" for name, count, total in self.bars())
                self._console.print(f"{self._line()}; {', '.join(done)}", soft_wrap=True)
        # Refreshed from here: a thread of its own would compete with the buyers for the interpreter.
        with Live(get_renderable=self._picture, console=self._console, auto_refresh=False) as live:
            while True:
                live.refresh()
                await asyncio.sleep(_LIVE_S)

    def _picture(self) -> Group:
        grid = Table.grid(padding=(0, 2))
        for name, count, total in self.bars():
            grid.add_row(name, ProgressBar(total, min(count, total), width=40), f"{count:,} of {total:,}")
        return Group(grid, Text(self._line(), style="dim"))

    def _line(self) -> str:
        return f"{time.monotonic() - self._started:4.1f} s: {self.counts()}"
