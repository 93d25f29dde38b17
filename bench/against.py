"""Holds a second beside those of another version, end to end: what a change costs.

    python -m bench.against OTHER [ROUNDS]

OTHER is the `reservation` command of another checkout, in its own virtual environment. Both services run at once, and
a closed loop of 32 connections has each in turn for a second, so that what the machine does meanwhile happens to both.
On a shared machine the rates of single rounds differ by a tenth; the processor time of a hold says more.
"""

import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median

from rich.console import Console

from bench import load
from bench.processes import cpu_s, roles
from bench.servers import Client, Service
from reservation_cli.supervisor import Child

#: Of a round, seconds; seats of its events; and more of these than anybody holds in a second.
_SECONDS, _SEATS, _EVENTS = 1.0, 1_000, 4


class Version(Service):
    """A version of the service.

    Arguments:
        folder: for data and logs.
        program: its `reservation` command; empty: of this one.

    Attributes:
        rates: holds a second, of each round.
        spent_s: processor time by role, in all rounds.
    """

    def __init__(self, folder: Path, program: str) -> None:
        # Or its parts would be imported from where this one is run.
        super().__init__(folder, PYTHONSAFEPATH="1")
        self._program = program
        self._child: Child | None = None
        self.rates: list[float] = []
        self.spent_s: dict[str, float] = {}
        self._held = 0

    def role(self, *arguments: str, **settings: str) -> Child:
        """A process of the service, not started."""
        child = super().role(*arguments, **settings)
        self._child = replace(child, command=[self._program, *arguments]) if self._program else child
        return self._child

    def take_a_turn(self, client: Client, *, counts: bool) -> None:
        """Holds seats for a second. Raises LoadError."""
        events, before = client.create_events(_EVENTS, _SEATS), self._spent()
        done = load.run(self.url, "follow", events, _SEATS, seconds=_SECONDS)
        if counts:
            self.rates.append(done.ended / done.seconds)
            self._held += done.ended
            for role, used in self._spent().items():
                self.spent_s[role] = self.spent_s.get(role, 0) + used - before[role]

    def _spent(self) -> dict[str, float]:
        if self._child is None or self._child.process is None:
            raise RuntimeError("it has not been started")
        return {role: sum(map(cpu_s, pids)) for role, pids in roles(self._child.process.pid).items()}

    def hold_us(self, role: str = "") -> float:
        """Processor time of a hold, microseconds; of one role, or of all."""
        return (self.spent_s[role] if role else sum(self.spent_s.values())) / self._held * 1e6


def main(other: str, rounds: int) -> None:
    """Measures both and prints them."""
    out = Console(width=120)
    with tempfile.TemporaryDirectory(prefix="reservation-") as folder, ExitStack() as stack:
        before, now = versions = [Version(Path(folder, name), of) for name, of in (("other", other), ("this", ""))]
        clients = [stack.enter_context(version.up()) for version in versions]
        both = list(zip(versions, clients, strict=True))
        status = stack.enter_context(out.status(""))
        for number in range(rounds + 1):
            status.update(f"round {number} of {rounds}")
            for version, client in both if number % 2 else reversed(both):
                version.take_a_turn(client, counts=number > 0)  # the first round warms up
    for name, version in (("other", before), ("this", now)):
        parts = ", ".join(f"{role} {version.hold_us(role):.0f}" for role in sorted(version.spent_s))
        rate = len(version.rates) / sum(1 / rate for rate in version.rates)
        out.print(f"{name:5} {rate:5,.0f} holds/s, median {median(version.rates):,.0f}; processor, µs a hold: {parts}")
    ratios = sorted(b / a for a, b in zip(before.rates, now.rates, strict=True))
    out.print(
        f"ratio  median {median(now.rates) / median(before.rates):.3f}; of the rounds {ratios[rounds // 4]:.2f} / "
        f"{median(ratios):.3f} / {ratios[-rounds // 4]:.2f}; processor {now.hold_us() / before.hold_us():.3f}"
    )


if __name__ == "__main__":
    main(str(Path(sys.argv[1]).resolve()), int(sys.argv[2]) if len(sys.argv) > 2 else 60)
