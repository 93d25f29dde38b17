"""What the demo shows: how the on-sale goes, its figures, and what the audit found."""

from collections.abc import Iterable
from math import ceil

from rich import box
from rich.console import Console
from rich.table import Table

from reservation_cli.demo_audit import Audit
from reservation_cli.demo_buyer import Tally
from reservation_cli.demo_client import Pool
from reservation_cli.demo_progress import Progress

Row = tuple[str | int, ...]

#: Findings of the audit that are shown, of each kind.
_FINDINGS = 5
#: The measurements, by their names in Pool.latencies_ms.
_LATENCIES = {
    "accept": "POST to 202",
    "hold done": "hold: 202 to result",
    "hold seen": "hold: 202 to result, as polled",
    "reserve done": "reserve: 202 to result",
    "reserve seen": "reserve: 202 to result, as polled",
}
#: The percentiles that are shown; the last is the maximum.
_SHARES = (0.5, 0.95, 0.99, 1)


class RushProgress(Progress):
    """How the rush goes.

    Arguments:
        tally: what is shown.
        seats: seats on sale.
        buyers: buyers in all.
    """

    def __init__(self, console: Console, tally: Tally, seats: int, buyers: int) -> None:
        super().__init__(console)
        self._tally = tally
        self._seats = seats
        self._buyers = buyers

    def bars(self) -> Iterable[tuple[str, int, int]]:
        """Seats that are sold, and buyers who are gone."""
        yield "seats sold", self._tally.reservations, self._seats
        yield "buyers done", self._tally.done, self._buyers

    def counts(self) -> str:
        """What buyers did."""
        tally = self._tally
        return (
            f"{tally.holds:,} holds, {tally.refused.total():,} refusals, {tally.reservations:,} reservations, "
            f"{tally.abandoned:,} walked away"
        )


def figures(console: Console, tally: Tally, pool: Pool, seats: int, free: int) -> None:
    """Prints what happened.

    Arguments:
        seats: seats that were on sale.
        free: seats that are free in the end.
    """
    outcome = {
        "seats sold": tally.reservations,
        "seats on hold, neither reserved nor run out yet": seats - tally.reservations - free,
        "seats free": free,
        "buyers who walked away from their holds": tally.abandoned,
        "buyers who got nothing": tally.empty_handed,
        "holds refreshed": tally.refreshed,
    }
    table(console, ["Outcome", ""], outcome.items())
    table(console, ["Refused", "why", ""], [(*what, count) for what, count in tally.refused.most_common()])
    table(console, ["Sent again after", ""], pool.repeated.most_common())
    latencies: list[Row] = []
    for name, meaning in _LATENCIES.items():
        if samples := sorted(pool.latencies_ms[name]):
            latencies.append((meaning, *(round(percentile(samples, share)) for share in _SHARES)))
    table(console, ["Latency, ms", "p50", "p95", "p99", "max"], latencies)


def table(console: Console, headings: list[str], rows: Iterable[Row]) -> None:
    """Prints a table, unless it is empty."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, heading in enumerate(headings):
        is_text = number == 0 or heading == "why"
        table.add_column(heading, justify="left" if is_text else "right", min_width=7 if number else 40)
    for row in rows:
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else cell for cell in row))
    if table.rows:
        console.print(table)
        console.print()


def percentile(samples: list[float], share: float) -> float:
    """The nearest-rank percentile of samples in ascending order.

    Arguments:
        share: 0.95 for the 95th.
    """
    return samples[max(ceil(share * len(samples)) - 1, 0)]


def findings(console: Console, found: Audit) -> None:
    """Prints what the audit found."""
    for title, lines in (
        ("two owners", found.two_owners),
        ("mismatch", found.mismatches),
        ("never ended", found.never_ended),
    ):
        for line in lines[:_FINDINGS]:
            console.print(f"  {title}: {line}", style="red")
        if len(lines) > _FINDINGS:
            console.print(f"  {title}: … and {len(lines) - _FINDINGS:,} more", style="red")
    jobs = f"{len(found.never_ended):,} never ended" if found.never_ended else "all ended"
    console.print(
        f"Audit: {found.seats:,} seats, {found.sold:,} sold, {len(found.two_owners):,} with two owners, "
        f"{len(found.mismatches):,} {'mismatch' if len(found.mismatches) == 1 else 'mismatches'}; "
        f"{found.jobs:,} jobs, {jobs}.",
        style="bold green" if found.passed else "bold red",
        soft_wrap=True,
    )
