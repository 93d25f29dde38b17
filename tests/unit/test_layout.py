"""The layout: what would break every process started in the checkout, and which way imports go."""

import ast
import configparser
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_http_is_never_a_package() -> None:
    """A package called http at the top would shadow the standard library's."""
    assert not (ROOT / "http" / "__init__.py").exists()


def test_standard_http_is_importable_from_the_root() -> None:
    """urllib, which imports http.client, works in a process started in the checkout."""
    done = subprocess.run(
        [sys.executable, "-c", "import http.server, urllib.request; print(http.server.__file__)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(ROOT) not in done.stdout


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("reservation", {"actors", "reservation_http", "reservation_cli", "dramatiq", "falcon", "waitress"}),
        ("actors", {"reservation_http", "reservation_cli", "falcon", "waitress"}),
        ("http/reservation_http", {"reservation_cli"}),
        ("clients/python/reservation_client", {"reservation", "actors", "reservation_http", "reservation_cli"}),
    ],
)
def test_imports_point_one_way(package: str, forbidden: set[str]) -> None:
    """reservation_cli -> reservation_http -> actors -> reservation, and never back; the client stands alone."""
    modules = list((ROOT / package).rglob("*.py"))
    assert modules
    for path in modules:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names = {(node.module or "").partition(".")[0]}
            else:
                continue
            assert not names & forbidden, f"{path} imports {names & forbidden}"


def test_every_package_is_installed() -> None:
    """The list in setup.cfg is written by hand; an editable install would not notice what it lacks."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    inside = ["http/reservation_http", "clients/python/reservation_client"]
    roots = [ROOT / name for name in ("reservation", "actors", "reservation_cli", *inside)]
    found = {
        ".".join(path.parent.relative_to(root.parent).parts) for root in roots for path in root.rglob("__init__.py")
    }
    assert listed == found
