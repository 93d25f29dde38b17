"""The dashboard and the alerts: of what is really exported, and each alert fires."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from actors.figures import Readings
from actors.gauges import ServiceGauges
from actors.queue import Queue
from reservation.metrics import exposition, registry
from reservation.store import Store

ROOT = Path(__file__).parents[2]
ALERTS, CASES, DASHBOARD = ROOT / "docker/alerts.yml", ROOT / "tests/unit/alerts.yml", ROOT / "docker/grafana.json"
MANUAL = ROOT / "docs/operations.md"

#: What Prometheus makes itself.
_OWN = {"up"}
#: Names in an expression: not in quotes, braces or brackets, and not what aggregates by labels.
_LEFT_OUT = re.compile(r'"[^"]*"|\{[^}]*\}|\[[^]]*\]|\b(by|on|without|ignoring) *\([^)]*\)')
_NAME = re.compile(r"\b[a-z_][a-z0-9_]*\b(?! *\()")
_KEYWORDS = {"and", "or", "unless", "offset", "bool"}
#: After a number: 1m, 5s.
_IN_QUOTES = re.compile(r"\b\d+[a-z]+\b")


def _names(expression: str) -> set[str]:
    """The metrics that an expression asks for."""
    bare = _IN_QUOTES.sub("", _LEFT_OUT.sub(" ", expression))
    return {name for name in _NAME.findall(bare) if name not in _KEYWORDS}


def _alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _dashboard() -> Iterator[str]:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    for part in (*dashboard["panels"], *dashboard["annotations"]["list"]):
        yield from (target["expr"] for target in part.get("targets", [part]))


def test_names_are_found_in_expressions() -> None:
    """Or nothing below could fail."""
    found = _names('max by (a) (x_total{b="c_d"}) / on (e) sum(rate(y[5m] offset 1m)) > 0.25 unless absent(z)')
    assert found == {"x_total", "y", "z"}


def test_what_is_asked_for_is_exported(store: Store, queue: Queue) -> None:
    """Nothing has to have happened yet, except for what a request or a server makes: there the kind is known."""
    shown, _ = exposition(registry(ServiceGauges(Readings(store, queue, webhooks=True))), "")
    exported: set[str] = set()
    for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", shown.decode(), re.MULTILINE):
        exported |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    asked = {
        name for expression in (*_dashboard(), *(rule["expr"] for rule in _alerts())) for name in _names(expression)
    }
    assert len(asked) > 15
    assert asked - _OWN <= exported
    assert all(name.startswith("reservation_") for name in exported)


def test_the_dashboard_shows_them_all(store: Store, queue: Queue) -> None:
    """Whoever adds a metric wants it to be seen."""
    shown, _ = exposition(registry(ServiceGauges(Readings(store, queue, webhooks=True))), "")
    asked = "\n".join(_dashboard())
    names = re.findall(r"^# TYPE (\w+) ", shown.decode(), re.MULTILINE)
    assert [name for name in names if name not in asked and not name.endswith("_created")] == []


def test_the_manual_has_them_all(store: Store, queue: Queue) -> None:
    """Each metric, and what to do about each alert; and none that there is not."""
    shown, _ = exposition(registry(ServiceGauges(Readings(store, queue, webhooks=True))), "")
    # Where one process has no folder, each counter comes with its time of creation too.
    names = re.findall(r"^# TYPE (\w+) ", shown.decode(), re.MULTILINE)
    exported = {name for name in names if not name.endswith("_created")}
    (section,) = re.findall(r"^## Metrics\n(.*?)^## ", MANUAL.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    rows = "\n".join(line for line in section.splitlines() if line.startswith("|"))
    assert set(re.findall(r"`(reservation_\w+)`", rows)) == exported
    assert set(re.findall(r"`(Reservation\w+)`", rows)) == {rule["alert"] for rule in _alerts()}


def test_each_alert_is_shown_to_fire() -> None:
    """By the cases for promtool; and says who has to hurry, and what is the matter."""
    cases = [case for test in yaml.safe_load(CASES.read_text())["tests"] for case in test["alert_rule_test"]]
    for rule in _alerts():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]
        fires = {bool(case["exp_alerts"]) for case in cases if case["alertname"] == rule["alert"]}
        assert fires == {True, False}, rule["alert"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed: tests/packages installs it")
@pytest.mark.parametrize("command", [("check", "rules", ALERTS), ("test", "rules", CASES)])
def test_promtool_agrees(command: tuple[str, ...]) -> None:
    """With the rules, and with what they do."""
    done = subprocess.run(["promtool", *map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
