"""What was measured: rows with their rounds, the table, the file."""

import json
import math
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from rich.table import Table

#: Where the figures go.
FOLDER = Path(__file__).parent / "results"
#: The document with the table of the last full run.
DOCS = FOLDER.parent.parent / "docs" / "performance.md"
#: The model on paper: holds a second, how busy a processor may be, and how many a machine has.
_LOADS, _BUSY, _CORES = (1_000, 10_000, 100_000), 0.7, 8


@dataclass
class Row:
    """A figure, measured in several rounds, with what it is held against.

    Attributes:
        case: what was measured.
        unit: of the rounds.
        rounds: one figure each.
        beside: of each round, the yardstick's figure in the same minute; empty if there is none.
        yardstick: what that is.
        target: the bound, of the ratio if there is a yardstick, else of the figure; None if there is none.
        best: whether a figure is better the higher or the lower it is.
        note: how it came about, in a few words.
    """

    case: str
    unit: str
    rounds: list[float]
    best: Literal["higher", "lower"]
    target: float | None = None
    beside: list[float] = field(default_factory=list)
    yardstick: str = ""
    note: str = ""

    @property
    def ratios(self) -> list[float]:
        return [ours / theirs for ours, theirs in zip(self.rounds, self.beside, strict=True)] if self.beside else []

    @property
    def judged(self) -> float:
        """What the target is about: the median of the ratios, or of the rounds."""
        return statistics.median(self.ratios or self.rounds)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None if there is none."""
        if self.target is None:
            return None
        return self.judged >= self.target if self.best == "higher" else self.judged <= self.target


@dataclass
class Report:
    """A run of the benchmark."""

    mode: str
    rows: list[Row] = field(default_factory=list)
    series: dict[str, Any] = field(default_factory=dict)

    def save(self) -> Path:
        """Writes the figures with what they were measured on."""
        FOLDER.mkdir(exist_ok=True)
        path = FOLDER / f"{self.mode}.json"
        content = {
            "mode": self.mode,
            "date": date.today().isoformat(),  # noqa: DTZ011 - the day on this machine
            "commit": _output("git", "describe", "--always", "--dirty"),
            "machine": machine(),
            "versions": versions(),
            "rows": [asdict(row) for row in self.rows],
            "series": self.series,
        }
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        return path


def load(mode: str) -> dict[str, Any]:
    """A saved run. Its rows are Row."""
    content: dict[str, Any] = json.loads((FOLDER / f"{mode}.json").read_text(encoding="utf-8"))
    content["rows"] = [Row(**row) for row in content["rows"]]
    return content


def table(rows: Sequence[Row]) -> Table:
    """The rows for a terminal."""
    shown = Table(title="min / median / max of the rounds")
    for name in ("case", "measured", "unit", "yardstick", "ratio", "target", ""):
        shown.add_column(name, justify="left" if name in ("case", "unit") else "right")
    for row in rows:
        shown.add_row(*_cells(row), {True: "[green]met[/]", False: "[red]not met[/]", None: ""}[row.met])
    return shown


def markdown(content: dict[str, Any]) -> str:
    """The rows of a saved run as a table of Markdown, with what they were measured on."""
    lines = [
        f"`make bench{'-full' if content['mode'] == 'full' else ''}`, {content['date']}, "
        f"{content['machine']['processor']}, {content['machine']['cores']} cores, "
        + ", ".join(f"{name} {number}" for name, number in content["versions"].items())
        + ". Min / median / max of the rounds; each round beside its yardstick.",
        "",
        "| case | measured | unit | yardstick | ratio | target | |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in content["rows"]:
        met = {True: "met", False: "**not met**", None: ""}[row.met]
        lines.append("| " + " | ".join([*_cells(row), met]) + " |")
        if row.note:
            lines[-1] = lines[-1].replace(f"| {row.case} |", f"| {row.case}: {row.note} |", 1)
    return "\n".join(lines) + "\n"


def model(content: dict[str, Any]) -> str:
    """What a load takes, on paper, as a table of Markdown: what a hold costs each part, and the processes and
    processors that makes."""
    costs = content["series"]["cpu_us_per_hold"]
    parts = [("api", "API"), ("worker", "workers"), ("redis", "Redis, state"), ("queue", "Redis, queue")]
    total = sum(costs[role] for role, _ in parts)
    rows = [(f"{name}: processes", costs[role], 1) for role, name in parts]
    rows += [("processors in all", total, 1), (f"machines of {_CORES} processors", total, _CORES)]
    lines = [
        f"| part | µs a hold | {' | '.join(f'{load:,} holds/s' for load in _LOADS)} |",
        "|---|---|" + "---|" * len(_LOADS),
    ]
    for name, cost, cores in rows:
        needs = [math.ceil(load * cost / (_BUSY * 1e6) / cores) for load in _LOADS]
        lines.append(f"| {name} | {cost:.0f} | " + " | ".join(f"{need:,}" for need in needs) + " |")
    return "\n".join(lines) + "\n"


def write_docs(content: dict[str, Any]) -> None:
    """Puts the tables into docs/performance.md."""
    text = DOCS.read_text(encoding="utf-8")
    for name, table in (("results", markdown(content)), ("model", model(content))):
        before, begin, rest = text.partition(f"<!-- {name}: written by the benchmark -->\n")
        _, end, after = rest.partition(f"<!-- end of {name} -->\n")
        text = f"{before}{begin}\n{table}\n{end}{after}"
    DOCS.write_text(text, encoding="utf-8")


def _cells(row: Row) -> list[str]:
    sign = "≥" if row.best == "higher" else "≤"
    target = "" if row.target is None else f"{sign} {_number(row.target)}" + (" ×" if row.beside else f" {row.unit}")
    beside = f"{_spread(row.beside)} ({row.yardstick})" if row.beside else ""
    return [row.case, _spread(row.rounds), row.unit, beside, _spread(row.ratios), target]


def _spread(figures: Sequence[float]) -> str:
    if len(figures) < 2:
        return _number(figures[0]) if figures else ""
    return " / ".join(map(_number, (min(figures), statistics.median(figures), max(figures))))


def _number(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.1f}" if figure >= 10 else f"{figure:.2f}"


def percentile(figures: Sequence[float], percent: int) -> float:
    """A percentile, 1 to 99."""
    return statistics.quantiles(figures, n=100, method="inclusive")[percent - 1]


def machine() -> dict[str, Any]:
    """What this runs on."""
    model = _from_file("/proc/cpuinfo", "model name") or platform.processor()
    memory_kb = int((_from_file("/proc/meminfo", "MemTotal") or "0").split()[0])
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory_kb / 1e6),
        "system": platform.platform(),
    }


def versions() -> dict[str, str]:
    """Of what takes part."""
    server = _output("redis-server", "--version")
    return {
        "Python": sys.version.split()[0],
        "Redis": next(part[2:] for part in server.split() if part.startswith("v=")),
        **{name: version(name) for name in ("dramatiq", "falcon", "redis", "waitress")},
    }


def _from_file(path: str, name: str) -> str | None:
    lines = Path(path).read_text(encoding="utf-8").splitlines() if Path(path).exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), None)


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
