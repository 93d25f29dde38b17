"""What the `onsale` demo shows: how it goes, its figures, and what was found."""

import asyncio
import time
from collections.abc import Sequence
from statistics import median

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from reservation_cli.demo_report import percentile, table
from reservation_cli.onsale_buyer import Tally
from reservation_cli.onsale_check import Finding

#: How often the display changes: on a terminal, and as lines elsewhere, seconds.
_LIVE_S, _LINE_S = 0.125, 2.0
#: Lines that are shown of what is wrong with one thing.
_SHOWN = 5


class Progress:
    """How the sale goes, live on a terminal, in a line now and then elsewhere.

    Arguments:
        tally: what is shown.
        seats: seats on sale.
        buyers: groups in all.
    """

    def __init__(self, console: Console, tally: Tally, seats: int, buyers: int) -> None:
        self._console = console
        self._tally = tally
        self._seats = seats
        self._buyers = buyers
        self._started = time.monotonic()

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._show())

    async def __aexit__(self, *error: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _show(self) -> None:
        if not self._console.is_terminal:
            while True:
                await asyncio.sleep(_LINE_S)
                self._console.print(self._counts(), soft_wrap=True)
        # Refreshed from here: a thread of its own would compete with the buyers for the interpreter.
        with Live(get_renderable=self._bars, console=self._console, auto_refresh=False) as live:
            while True:
                live.refresh()
                await asyncio.sleep(_LIVE_S)

    def _bars(self) -> Group:
        bars = Table.grid(padding=(0, 2))
        for name, count, total in (
            ("groups let in", len(self._tally.admitted), self._buyers),
            ("seats sold", self._tally.reserved - self._tally.cancelled, self._seats),
            ("groups done", self._tally.done, self._buyers),
        ):
            bars.add_row(name, ProgressBar(total, min(count, total), width=40), f"{count:,} of {total:,}")
        return Group(bars, Text(self._counts(), style="dim"))

    def _counts(self) -> str:
        tally = self._tally
        return (
            f"{time.monotonic() - self._started:4.1f} s: {len(tally.admitted):,} of {self._buyers:,} groups let in; "
            f"seats: {tally.held:,} held, {tally.reserved:,} reserved, {tally.released:,} released, "
            f"{tally.cancelled:,} cancelled"
        )


def figures(console: Console, tally: Tally, repeated: int) -> None:
    """Prints what happened.

    Arguments:
        repeated: messages of webhooks that came again.
    """
    outcome = {
        "groups let in": len(tally.admitted),
        "groups seated": tally.groups.total(),
        "of them not next to one another": tally.apart,
        "seats held": tally.held,
        "holds refreshed": tally.refreshed,
        "seats released": tally.released,
        "seats reserved": tally.reserved,
        "reservations cancelled": tally.cancelled,
        "groups that walked away": tally.abandoned,
        "groups that got nothing": tally.empty_handed,
        "messages of webhooks that came twice": repeated,
    }
    console.print()
    table(console, ["Outcome", ""], outcome.items())
    table(console, ["Groups of", "seated"], [(str(size), count) for size, count in sorted(tally.groups.items())])
    table(console, ["Refused", "why", ""], [(*what, count) for what, count in tally.refused.most_common()])
    holds = [
        (name, len(took), round(median(took)), round(percentile(sorted(took), 0.95)))
        for name, took in sorted(tally.took_ms.items(), reverse=True)
    ]
    table(console, ["Holds, ms from 202 to verdict", "jobs", "p50", "p95"], holds)


def conclusion(console: Console, findings: Sequence[Finding]) -> bool:
    """Prints what was checked; returns whether all of it is as it should be."""
    for finding in findings:
        style = "red" if finding.wrong else "green"
        console.print(f"{finding.name}: {finding.checked}; {len(finding.wrong):,} wrong", style=style, soft_wrap=True)
        for line in finding.wrong[:_SHOWN]:
            console.print(f"  {line}", style="red", soft_wrap=True)
        if len(finding.wrong) > _SHOWN:
            console.print(f"  … and {len(finding.wrong) - _SHOWN:,} more", style="red")
    wrong = sum(len(finding.wrong) for finding in findings)
    console.print(
        "Everything agrees with everything else." if not wrong else f"{wrong:,} things do not agree.",
        style="bold red" if wrong else "bold green",
    )
    return not wrong
