"""Removes what installs packages from the image's Python. pip would leave itself half there, or refuse where the
system's package manager put it."""

import shutil
import sys
import sysconfig
from pathlib import Path

TOOLS = ("pip", "setuptools", "wheel", "ensurepip", "pkg_resources", "_distutils_hack")

scripts = {Path(sysconfig.get_path("scripts")), Path("/usr/bin"), Path("/usr/local/bin")}
for folder in {Path(name) for name in sys.path if name}:
    for tool in TOOLS:
        for found in (folder / tool, *folder.glob(f"{tool}-*.dist-info"), *folder.glob(f"{tool}-*.egg-info")):
            shutil.rmtree(found, ignore_errors=True)
for folder in scripts:
    for pattern in ("pip", "pip[0-9]*", "wheel", "easy_install*"):
        for found in folder.glob(pattern):
            found.unlink()
