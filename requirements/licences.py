"""`make licences`: writes docs/dependencies.md, the packages of the locks and their licences, as they say themselves.

python requirements/licences.py [--check]

With --check nothing is written: it fails if a package is missing, or its licence is not one of those that are allowed.
"""

import re
import sys
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "dependencies.md"
#: For whom each lock is, in the order in which packages are listed.
LOCKS = {
    "image": "In the image",
    "tracing": "In one with `TRACING=on`, too",
    "up": "With `make up`, too",
    "dev": "For tests and checks",
    "bench": "For charts",
    "browser": "For tests of the pages",
    "generators": "For clients that are generated",
}
#: Licences that let the service be used, changed and shipped under terms of one's own; of parts of them, each.
ALLOWED = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "LGPL-3.0-or-later", "MIT", "MIT-0",
    "MIT-CMU", "MPL-2.0", "PSF-2.0", "Zlib", "ZPL-2.1",
}  # fmt: skip
#: Of packages for another Python or system than the one that this runs on: looked up by hand.
ELSEWHERE = {"async-timeout": "Apache-2.0", "colorama": "BSD-3-Clause"}
#: Of packages that say nothing: looked up by hand in their files. axe-core itself, which this one carries, is MPL-2.0.
UNSAID = {"axe-playwright-python": "MIT AND MPL-2.0"}
#: What packages call their licence, where that is no SPDX expression.
SPELLED = {
    "apache software license": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache-2.0": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "isc license (iscl)": "ISC",
    "isc": "ISC",
    "mit": "MIT",
    "mit license": "MIT",
    "the mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "mpl-2.0": "MPL-2.0",
    "gnu lesser general public license v3 or later (lgplv3+)": "LGPL-3.0-or-later",
    "gnu library or lesser general public license (lgpl)": "LGPL-3.0-or-later",
    "lgplv3+": "LGPL-3.0-or-later",
    "psf": "PSF-2.0",
    "psf-2.0": "PSF-2.0",
    "python software foundation license": "PSF-2.0",
    "zope public license": "ZPL-2.1",
    "zpl-2.1": "ZPL-2.1",
}

HEAD = """# Dependencies and their licences

Written by `make licences` from the locks in `requirements/` and what the installed packages say of themselves; the
build fails when a package is missing here or has a licence that is not on its list. Versions and hashes are in the
locks. [Why each is there](decisions/0004-dependencies.md).

Dramatiq is LGPL-3.0-or-later. It is used as a library, unchanged and replaceable: whoever passes the image on passes
its licence on with it, as pip installs it. What its licence asks of the service's own code is no more than that.
"""


def packages(lock: str) -> dict[str, str]:
    """Names and versions in a lock."""
    text = (HERE / f"{lock}.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", text, re.MULTILINE))


def licence(name: str) -> str | None:
    """A package's licence as an SPDX expression, or in its own words; None if it is not installed here."""
    try:
        said = metadata.metadata(name).json
    except metadata.PackageNotFoundError:
        return None
    if expression := said.get("license_expression"):
        return str(expression)
    if name in UNSAID:
        return UNSAID[name]
    classifiers = [c.rpartition(" :: ")[2] for c in said.get("classifier", []) if c.startswith("License :: ")]
    own = [c for c in classifiers if c not in ("OSI Approved", "DFSG approved")]
    if not own:
        own = str(said.get("license") or "unknown").strip().splitlines()[:1]
    return " AND ".join(sorted({SPELLED.get(name.lower(), name) for name in own}))


def refused(expression: str) -> bool:
    """Whether an expression has a licence that is not allowed. Where there is nothing but a choice, one has to be."""
    named = [part.strip() for part in re.split(r" AND | OR | WITH [A-Za-z0-9.-]+", re.sub(r"[()]", "", expression))]
    fit = [name in ALLOWED for name in named if name]
    return not (any(fit) if " AND " not in expression else all(fit))


def rows() -> dict[str, dict[str, str]]:
    """Names and licences, by lock; what was listed before where a package is for another Python or system."""
    page = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    before = {**dict(re.findall(r"^\| ([a-z0-9._-]+) \| (.+) \|$", page, re.MULTILINE)), **ELSEWHERE}
    listed: dict[str, dict[str, str]] = {}
    seen: set[str] = set()
    for lock in LOCKS:
        new = {name: licence(name) or before.get(name, "unknown") for name in packages(lock) if name not in seen}
        listed[lock] = dict(sorted(new.items()))
        seen |= set(new)
    return listed


def main() -> int:
    """Writes or checks the page."""
    listed = rows()
    wrong = [f"{n}: {text}" for found in listed.values() for n, text in found.items() if refused(text)]
    text = HEAD
    for lock, found in listed.items():
        text += f"\n## {LOCKS[lock]}\n\n| package | licence |\n|---|---|\n"
        text += "".join(f"| {name} | {terms} |\n" for name, terms in found.items())
    for line in wrong:
        print(f"not allowed: {line}", file=sys.stderr)
    if "--check" in sys.argv:
        if stale := not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
            print(f"{PAGE.name}: out of date; run `make licences`", file=sys.stderr)
        return int(bool(wrong or stale))
    PAGE.write_text(text, encoding="utf-8")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
