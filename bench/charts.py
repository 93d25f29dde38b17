"""Charts of a saved run, for docs/performance.md.

python -m bench.charts [short|full]
"""

import sys
from pathlib import Path
from typing import Any

from bench import results

_FOLDER = Path(__file__).parent.parent / "docs" / "charts"
_OURS, _THEIRS, _BOUND = "#2563eb", "#9ca3af", "#dc2626"


def draw(content: dict[str, Any]) -> None:
    """Draws them all."""
    import matplotlib as mpl

    mpl.use("svg")
    # The same run gives the same file; text stays text.
    mpl.rcParams.update(
        {"svg.hashsalt": "reservation", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False}
    )
    mpl.rcParams.update({"axes.spines.right": False, "figure.constrained_layout.use": True})
    _FOLDER.mkdir(exist_ok=True)
    _ratios(content)
    _costs(content)
    _open_loop(content)
    _storm(content)


def _save(figure: Any, name: str) -> None:
    from matplotlib import pyplot

    figure.savefig(_FOLDER / f"{name}.svg", metadata={"Date": None})
    pyplot.close(figure)


def _ratios(content: dict[str, Any]) -> None:
    """What was measured beside a yardstick, as a multiple of it, with the target."""
    from matplotlib import pyplot

    rows = [row for row in content["rows"] if row.beside and row.best == "higher"]
    figure, axes = pyplot.subplots(figsize=(7, 0.55 * len(rows) + 0.9))
    for place, row in enumerate(reversed(rows)):
        low, high = min(row.ratios), max(row.ratios)
        axes.barh(place, row.judged, color=_OURS, height=0.55)
        axes.plot([low, high], [place, place], color="black", linewidth=1)
        axes.plot([row.target, row.target], [place - 0.38, place + 0.38], color=_BOUND, linewidth=2)
        axes.text(high + 0.03, place, f"{row.judged:.2f} x {row.yardstick}", va="center")
    axes.set_yticks(range(len(rows)), [row.case for row in reversed(rows)])
    axes.set_xlim(0, max(max(row.ratios) for row in rows) + 1)
    axes.set_xlabel("ratio to the yardstick of the same round; red: the target; line: least and most")
    _save(figure, "ratios")


def _costs(content: dict[str, Any]) -> None:
    """What a hold costs each part."""
    from matplotlib import pyplot

    # The others only wait.
    costs = {role: cost for role, cost in content["series"]["cpu_us_per_hold"].items() if cost >= 5}
    figure, axes = pyplot.subplots(figsize=(7, 1.6))
    left = 0.0
    shades = ["#1e3a8a", "#2563eb", "#93c5fd", "#d97706", "#fcd34d", "#9ca3af"]
    for shade, (role, cost) in zip(shades, costs.items(), strict=False):
        axes.barh(0, cost, left=left, color=shade, label=f"{role} {cost:.0f}")
        left += cost
    axes.set_yticks([])
    axes.set_xlabel("processor time of a hold from its request to its result read, microseconds")
    axes.legend(ncols=5, loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False)
    _save(figure, "costs")


def _open_loop(content: dict[str, Any]) -> None:
    """Latency by percentile from the open loop."""
    from matplotlib import pyplot

    times = content["series"]["open_loop_ms"]
    figure, axes = pyplot.subplots(figsize=(7, 2.6))
    axes.plot(range(1, 100), times, color=_OURS)
    axes.axhline(60, color=_BOUND, linewidth=1)
    axes.text(1, 61, "target for the 99th: 60 ms", color=_BOUND, va="bottom")
    axes.set_xlabel("percentile of the holds")
    axes.set_ylabel("accept to result, ms")
    axes.set_ylim(0, max(70, times[-1] * 1.1))
    _save(figure, "open-loop")


def _storm(content: dict[str, Any]) -> None:
    """Holds that have ended and those that were said to have, over time."""
    from matplotlib import pyplot

    storm = content["series"]["storm"]
    figure, axes = pyplot.subplots(figsize=(7, 2.6))
    for name, color in (("due", _THEIRS), ("news", _OURS)):
        times = storm[name]
        share = [10_000 * (i + 1) / len(times) for i in range(len(times))]
        axes.step(
            times, share, color=color, where="post", label={"due": "ended", "news": "freed, with the news of it"}[name]
        )
    axes.set_xlabel("seconds since the first of 10,000 holds ended")
    axes.set_ylabel("holds")
    axes.legend(frameon=False)
    _save(figure, "storm")


if __name__ == "__main__":
    draw(results.load(sys.argv[1] if len(sys.argv) > 1 else "full"))
