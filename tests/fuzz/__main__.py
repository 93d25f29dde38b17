"""`make fuzz`: what schemathesis makes of the document, sent to the WSGI application and to the running service, with
all its checks. Nothing may be answered with 5xx, or in a way that the document does not describe.

python -m tests.fuzz --cases 250
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import httpx
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from reservation import embedded
from tests.e2e.conftest import Process, free_port
from tests.web import JWT, bearer

#: Who asks, and what has to have been answered at least once: otherwise the cases are of no use.
_USER = "0b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70"
_NEEDED = {
    "POST /events/create": {201, 400, 415, 422},
    "GET /events": {200, 422},
    "GET /events/{event_id}": {200, 404},
    "PATCH /events/{event_id}": {200, 404, 422},
    "POST /events/{event_id}/block": {204, 404, 422},
    "POST /events/{event_id}/unblock": {204, 404, 422},
    "GET /events/{event_id}/layout": {200, 404},
    "GET /events/{event_id}/seats": {200, 404},
    "GET /events/{event_id}/holds": {200, 404},
    "GET /seats/list/{event_id}": {200, 404, 422},
    "GET /seats/get/{seat_id}": {200, 404},
    "POST /seats/hold": {202, 404, 422},
    "POST /seats/best-available": {202, 404, 422},
    "POST /seats/refresh": {200, 404, 409, 422},
    "POST /seats/release": {204, 404, 422},
    "POST /seats/reserve": {202, 404, 409, 422},
    "GET /seats/job/{job_id}/status": {200, 404},
    "POST /events/{event_id}/webhooks": {201, 404, 409, 422},
    "GET /events/{event_id}/webhooks": {200, 404},
    "PATCH /events/{event_id}/webhooks/{webhook_id}": {200, 404, 422},
    "DELETE /events/{event_id}/webhooks/{webhook_id}": {404},
    "GET /events/{event_id}/webhooks/{webhook_id}/deliveries": {200, 404},
}
#: Counted, though nobody is refused for it: the limits are part of what is tried.
_LIMITS = {
    "RATE_LIMITS": "on",
    **{f"RATE_LIMIT_{name}": "100000000/minute" for name in ("USER", "ADDRESS", "EVENTS", "JOBS")},
}
#: They go to this machine, where nobody listens.
_WEBHOOKS = {"WEBHOOKS": "on", "WEBHOOK_ALLOW_PRIVATE": "on"}
_ROOT = Path(__file__).parents[2]

console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)


@contextmanager
def _service(folder: Path, mode: str) -> Iterator[tuple[dict[str, str], str, dict[str, str]]]:
    """A service whose callers are known in this way: its settings, its address, and the headers of a caller."""
    values = {**_LIMITS, "PORT": str(free_port()), "AUTH_MODE": mode, "LOCK_EXPIRATION_TIME": "5", **_WEBHOOKS}
    headers = {}
    if mode == "jwt":
        values |= {name.upper(): str(value) for name, value in JWT.items()}
        headers = bearer(_USER, "events:write", "seats:read", "seats:vip", "ops:read", exp=time.time() + 86_400)
    process = Process("up", cwd=folder, **values)
    try:
        process.wait_for_line("Ctrl-C stops it", 60)
        yield values, f"http://127.0.0.1:{values['PORT']}", headers
        said = (folder / "logs/server.log").read_text() + process.output
        if mistakes := [line for line in said.splitlines() if "unhandled exception" in line or "Traceback" in line]:
            raise click.ClickException(f"the service's own log tells of {len(mistakes)} mistakes: {mistakes[0][:2000]}")
    finally:
        process.stop()


def _run(
    what: str, command: list[str], folder: Path, environment: dict[str, str]
) -> tuple[bool, dict[str, dict[int, int]]]:
    """Runs one half; returns whether it passed, and what was answered how often."""
    tally = folder / "tally.json"
    tally.unlink(missing_ok=True)
    environment = {**os.environ, **environment, "FUZZ_TALLY": str(tally), "PYTHONPATH": str(_ROOT)}
    done = subprocess.run([sys.executable, *command], cwd=folder, env=environment, check=False)
    answers: dict[str, dict[int, int]] = defaultdict(dict)
    for operation, status, times in json.loads(tally.read_text()) if tally.exists() else []:
        answers[operation][status] = times
    table = Table("operation", "cases", "answers", title=what, box=MARKDOWN, title_justify="left")
    shown: dict[str, Counter[int]] = defaultdict(Counter)
    for operation, statuses in answers.items():
        shown[operation if operation in _NEEDED else "other methods, health"].update(statuses)
    for operation, statuses in shown.items():
        told = ", ".join(f"{status}: {times}" for status, times in sorted(statuses.items()))
        table.add_row(operation, f"{sum(statuses.values()):,}", told)
    console.print(table)
    return done.returncode == 0, answers


@click.command(help=__doc__)
@click.option("--cases", type=click.IntRange(10), default=250, show_default=True, help="Of each operation, each time.")
@click.option("--seed", type=int, default=None, help="Makes the same cases again.")
def main(cases: int, seed: int | None) -> None:
    """Both ways of knowing who asks, the application and the service."""
    seed = time.time_ns() % 1_000_000 if seed is None else seed
    console.print(f"seed {seed}")
    passed = True
    total: dict[str, Counter[int]] = defaultdict(Counter)
    for mode in ("none", "jwt"):
        with tempfile.TemporaryDirectory(prefix="reservation-") as name, _service(Path(name), mode) as running:
            folder, (values, url, headers) = Path(name), running
            new = {"name": "Opening night", "totalSeats": 50}
            event = httpx.post(f"{url}/events/create", json=new, headers=headers).json()["id"]
            # The application on the same data, so that workers carry out its jobs.
            state, queue = (embedded.url(folder / "var" / part) for part in ("redis", "queue"))
            environment = {
                **values,
                "REDIS_URL": state,
                "BROKER_URL": queue,
                "FUZZED_EVENT": event,
                "FUZZED_USER": _USER,
                "FUZZ_CASES": str(cases),
                "FUZZ_HEADERS": json.dumps(headers),
                "SCHEMATHESIS_HOOKS": "tests.fuzz.hooks",
            }
            app = [
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:cacheprovider",
                "-c",
                str(_ROOT / "pyproject.toml"),
                f"--hypothesis-seed={seed}",
            ]
            server = ["-m", "schemathesis.cli", "run", f"{url}/openapi.json", "--checks", "all", "--seed", str(seed)]
            server += ["--max-examples", str(cases), "--continue-on-failure"]
            for header in headers.items():
                server += ["--header", ": ".join(header)]
            for what, command in (
                ("the application", [*app, str(_ROOT / "tests/fuzz/app.py")]),
                ("the running service", server),
            ):
                well, answers = _run(f"AUTH_MODE={mode}: {what}", command, folder, environment)
                passed &= well
                for operation, statuses in answers.items():
                    total[operation].update(statuses)
    wrong = [
        f"{name} never answered {status}" for name, needed in _NEEDED.items() for status in needed - set(total[name])
    ]
    wrong += [f"{name} answered {status}" for name, found in total.items() for status in found if status >= 500]
    for line in wrong:
        console.print(line, style="red")
    passed &= not wrong
    number = sum(map(Counter.total, total.values()))
    console.print(f"{number:,} cases, seed {seed}: {'no finding' if passed else 'see above'}")
    sys.exit(not passed)


if __name__ == "__main__":
    main()
