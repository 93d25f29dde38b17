"""What the `onsale` demo shows: how it goes, its figures, and what was found."""

from collections.abc import Iterable, Sequence
from statistics import median

from rich.console import Console

from reservation_cli.demo_progress import Progress
from reservation_cli.demo_report import percentile, table
from reservation_cli.onsale_buyer import Tally
from reservation_cli.onsale_check import Finding

#: Lines that are shown of what is wrong with one thing.
_SHOWN = 5


class OnsaleProgress(Progress):
    """How the opening night goes.

    Arguments:
        tally: what is shown.
        seats: seats on sale.
        buyers: groups in all.
    """

    def __init__(self, console: Console, tally: Tally, seats: int, buyers: int) -> None:
        super().__init__(console)
        self._tally = tally
        self._seats = seats
        self._buyers = buyers

    def bars(self) -> Iterable[tuple[str, int, int]]:
        """Groups that came in, seats that are sold, and groups that are gone."""
        yield "groups let in", len(self._tally.admitted), self._buyers
        yield "seats sold", self._tally.reserved - self._tally.cancelled, self._seats
        yield "groups done", self._tally.done, self._buyers

    def counts(self) -> str:
        """What became of seats."""
        tally = self._tally
        return (
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
