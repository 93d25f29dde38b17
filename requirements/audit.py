"""`make audit`: looks up every pinned package among the known vulnerabilities, with pip-audit.

Exits with 0 if there are none but those in exceptions.toml, with 1 if there are, and with 2 if nothing can be said:
where the advisories cannot be reached, pip-audit finds none.
"""

import datetime
import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LOCKS = ("dev", "bench", "up", "image", "build")
#: A package with advisories: who does not find them finds nothing.
CANARY = "jinja2==2.4.1"
CLEAN, VULNERABLE, UNKNOWN = 0, 1, 2


class NotAudited(Exception):
    """Raised when the advisories could not be asked."""


def look_up(requirements: Path) -> list[dict[str, Any]]:
    """What is known about each package of a file. Raises NotAudited."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(requirements), "--format", "json"]
    done = subprocess.run(
        [*command, "--disable-pip", "--no-deps", "--progress-spinner", "off"],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        raise NotAudited((done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]) from None
    if skipped := [package["name"] for package in found if "skip_reason" in package]:
        raise NotAudited(f"not known to the service: {', '.join(skipped[:5])} and {max(0, len(skipped) - 5)} more")
    return found


def require_answers() -> None:
    """Raises NotAudited where a package that has advisories seems to have none."""
    with tempfile.TemporaryDirectory() as folder:
        canary = Path(folder) / "canary.txt"
        canary.write_text(f"{CANARY}\n")
        if not any(package["vulns"] for package in look_up(canary)):
            raise NotAudited(f"nothing is said about {CANARY}, which has advisories")


def findings(packages: list[dict[str, Any]], excepted: dict[str, dict[str, Any]], today: datetime.date) -> list[str]:
    """A line for each advisory that is not excepted, or no longer."""
    lines = []
    for package in packages:
        for advisory in package["vulns"]:
            names = {advisory["id"], *advisory.get("aliases", ())}
            allowed = next((excepted[name] for name in names if name in excepted), None)
            if allowed is None or allowed["until"] < today:
                fixed = ", ".join(advisory["fix_versions"]) or "nowhere yet"
                lines.append(f"{package['name']} {package['version']}: {advisory['id']}, fixed in {fixed}")
    return lines


def main() -> int:
    """Audits every lock."""
    entries = tomllib.loads((HERE / "exceptions.toml").read_text(encoding="utf-8")).get("advisory", [])
    excepted = {entry["id"]: entry for entry in entries}
    wrong: set[str] = set()
    try:
        require_answers()
        for name in LOCKS:
            wrong |= set(findings(look_up(HERE / f"{name}.txt"), excepted, datetime.datetime.now(datetime.UTC).date()))
    except NotAudited as error:
        print(f"NOT AUDITED: {error}", file=sys.stderr)
        return UNKNOWN
    for line in sorted(wrong):
        print(line, file=sys.stderr)
    print(f"{len(wrong)} advisories that are not excepted; {len(excepted)} excepted")
    return VULNERABLE if wrong else CLEAN


if __name__ == "__main__":
    sys.exit(main())
