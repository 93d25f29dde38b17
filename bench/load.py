"""wrk, the load generator: cheap beside what it measures, and scripted in Lua (`hold.lua`). The client package would
take the processor that the service needs: a third as many holds a second (docs/decisions/0028-clients.md)."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = Path(__file__).with_name("hold.lua")
#: Connections of a closed loop.
CONNECTIONS = 32
#: Connections of an open loop: more than can be busy, so that each hold is sent when it is due.
_OPEN_CONNECTIONS = 128


class LoadError(Exception):
    """Raised when the service answered what it should not have."""


@dataclass(frozen=True)
class Load:
    """What wrk did.

    Attributes:
        seconds: from the first request to the last answer that counts.
        accepted: jobs accepted.
        ended: jobs seen to have ended.
        held: of those, seats held.
        reads: looks at jobs.
        latencies_ms: for each job seen to have ended, from when its hold was sent, or due, to that look's answer.
    """

    seconds: float
    accepted: int
    ended: int
    held: int
    reads: int
    latencies_ms: list[float]


def run(
    url: str,
    mode: str,
    events: list[str],
    seats: int,
    *,
    holds: int = 0,
    seconds: float = 60,
    rate: float = 0,
    tokens: Path | None = None,
) -> Load:
    """Runs wrk with one thread. Raises LoadError for an answer that is no accepted job or its status.

    Arguments:
        url: of the service.
        mode: `accept`, `safe`, `follow` or `paced`; see hold.lua.
        events: whose seats are held, one after another.
        seats: of each event.
        holds: stops after so many; 0: when the time is up.
        seconds: longest run.
        rate: holds a second (`paced`).
        tokens: a file of them (`safe`).
    """
    connections = _OPEN_CONNECTIONS if mode == "paced" else CONNECTIONS
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "5s", "-s", str(_SCRIPT), url]
    arguments = [mode, str(holds), str(rate), str(seats), str(tokens or ""), *events]
    done = subprocess.run([*command, "--", *arguments], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    if found["errors"] or found["refused"] or found["socket_errors"]:
        raise LoadError(
            f"{found['errors']:.0f} errors, {found['refused']:.0f} refusals, {found['socket_errors']} of sockets; "
            f"the first: {found['first_error']}"
        )
    return Load(
        seconds=(found["finished"] - found["began"]) / 1000,
        accepted=int(found["accepted"]),
        ended=int(found["ended"]),
        held=int(found["held"]),
        reads=int(found["reads"]),
        latencies_ms=found["latencies"],
    )


def plain(url: str, seconds: float) -> float:
    """Requests a second of the yardstick's POST, with the same body as a hold. Raises LoadError."""
    load = run(url, "accept", ["k3v9x2m7qa"], 1_000_000, seconds=seconds)
    return load.accepted / load.seconds
