"""The locks in requirements/: what is installed, to the byte, and nothing beside it."""

import configparser
import datetime
import importlib.util
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "requirements"
#: Extras of setup.cfg that each lock has, and whether it has what builds the package.
LOCKS = {
    "image": ([], False),
    "up": (["embedded"], True),
    "dev": (["embedded", "dev", "fuzz", "supply"], True),
    "bench": (["embedded", "dev", "bench"], True),
    "browser": (["embedded", "dev", "browser"], True),
    "generators": (["embedded", "dev", "generators"], True),
}


def entries(lock: str) -> dict[str, Requirement]:
    """What a lock pins, by name."""
    text = (FOLDER / f"{lock}.txt").read_text(encoding="utf-8")
    lines = [line.partition(" \\")[0] for line in text.splitlines() if line and line[0] not in " #"]
    return {canonicalize_name(found.name): found for found in map(Requirement, lines)}


def program(name: str) -> ModuleType:
    """A program of that folder."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def declared(extras: list[str], build: bool) -> list[Requirement]:
    """What setup.cfg and pyproject.toml ask for."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    texts = [config["options"]["install_requires"], *(config["options.extras_require"][extra] for extra in extras)]
    lines = [line for text in texts for line in text.splitlines() if line.strip()]
    if build:
        lines += tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_what_is_declared(lock: str) -> None:
    """Otherwise: make lock."""
    found = entries(lock)
    for wanted in declared(*LOCKS[lock]):
        (pinned,) = found[canonicalize_name(wanted.name)].specifier
        assert wanted.specifier.contains(pinned.version), f"{wanted} is not {pinned}"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.name)
def test_every_file_that_is_installed_is_known(path: Path) -> None:
    """By version and hash, and from wherever the installer is told to look."""
    text = path.read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=\S)", re.sub(r"(?m)^\s*#.*\n?", "", text).strip())
    for block in blocks:
        assert re.match(r"[a-z0-9._-]+==[^\s;]+( ;[^\\]+)? \\\n", block), block[:200]
        assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}", block)) >= 1
    assert not re.search(r"https?://|file:|--index|--find-links|--trusted|@ ", text)


def test_locks_agree() -> None:
    """A package has one version in all of them, so that what is tested is what is shipped."""
    of_all = entries("dev")
    for lock in ("image", "up", "bench", "build"):
        for name, pinned in entries(lock).items():
            assert of_all.get(name, pinned).specifier == pinned.specifier, name
    assert set(entries("image")) <= set(entries("up")) <= set(entries("dev"))


def test_what_builds_the_package_is_locked() -> None:
    """As pyproject.toml has it."""
    (wanted,) = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    assert (FOLDER / "build.in").read_text(encoding="utf-8").strip() == wanted
    (pinned,) = entries("build")["setuptools"].specifier
    assert Requirement(wanted).specifier.contains(pinned.version)


@pytest.mark.parametrize(
    ("expression", "refused"),
    [
        ("MIT", False),
        ("GPL-3.0-only", True),
        ("unknown", True),
        ("GPL-3.0-only OR MIT", False),
        ("AGPL-3.0 OR GPL-3.0", True),
        ("MIT AND GPL-3.0-only", True),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", False),
        ("GPL-3.0-only AND (Apache-2.0 OR MIT)", True),
    ],
)
def test_licences_that_are_refused(expression: str, refused: bool) -> None:
    """Of several, each has to be allowed; of a choice, one."""
    assert program("licences").refused(expression) is refused


def test_every_package_has_its_licence_listed() -> None:
    """In docs/dependencies.md."""
    listed = set(re.findall(r"^\| ([a-z0-9._-]+) \| .+ \|$", (ROOT / "docs/dependencies.md").read_text("utf-8"), re.M))
    assert listed == {name for lock in LOCKS for name in entries(lock)} | {"package"}


# The audit ----------------------------------------------------------------------------------------------------------

ADVISORY: dict[str, Any] = {"id": "PYSEC-2026-1", "aliases": ["CVE-2026-1"], "fix_versions": ["2.0"]}
PACKAGES: list[dict[str, Any]] = [{"name": "x", "version": "1.0", "vulns": [ADVISORY]}]
TODAY = datetime.date(2026, 6, 1)


@pytest.mark.parametrize(
    ("excepted", "number"),
    [
        ({}, 1),
        ({"PYSEC-2026-1": TODAY}, 0),
        ({"CVE-2026-1": TODAY + datetime.timedelta(days=1)}, 0),
        ({"CVE-2026-1": TODAY - datetime.timedelta(days=1)}, 1),
        ({"CVE-2026-2": TODAY}, 1),
    ],
)
def test_an_exception_is_for_one_advisory_and_for_a_while(excepted: dict[str, datetime.date], number: int) -> None:
    """Then it has to be thought of again."""
    known = {name: {"until": until} for name, until in excepted.items()}
    assert len(program("audit").findings(PACKAGES, known, TODAY)) == number


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ([], 2),
        ([{"name": "jinja2", "skip_reason": "not found"}], 2),
        ([{"name": "jinja2", "version": "2.4.1", "vulns": []}], 2),
        ([{"name": "jinja2", "version": "2.4.1", "vulns": [ADVISORY]}], 1),
    ],
)
def test_an_audit_that_cannot_be_made_does_not_pass(
    monkeypatch: pytest.MonkeyPatch, said: list[dict[str, Any]], status: int
) -> None:
    """Where the advisories cannot be reached, or none is told of a package that has some, nothing is clean."""
    audit = program("audit")

    def look_up(path: Path) -> list[dict[str, Any]]:
        if not said or "skip_reason" in said[0]:
            raise audit.NotAudited("nobody there")
        return said

    monkeypatch.setattr(audit, "look_up", look_up)
    assert audit.main() == status


def test_what_pip_audit_skips_was_not_audited(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It calls that a success."""
    audit = program("audit")
    fake = tmp_path / "python"
    fake.write_text('#!/bin/sh\necho \'{"dependencies": [{"name": "x", "skip_reason": "not found"}]}\'\n')
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    with pytest.raises(audit.NotAudited, match="not known"):
        audit.look_up(tmp_path / "x.txt")
    fake.write_text("#!/bin/sh\necho 'no connection' >&2\nexit 1\n")
    with pytest.raises(audit.NotAudited, match="no connection"):
        audit.look_up(tmp_path / "x.txt")
