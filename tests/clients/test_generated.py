"""Clients that strangers generate from the OpenAPI documents: they compile, and sell a seat of a service that runs."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.e2e.conftest import Service
from tests.web import JWT, bearer

HERE = Path(__file__).parent
SPEC = HERE.parents[1] / "spec"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """One that asks for tokens, as the documents say."""
    with tempfile.TemporaryDirectory(prefix="reservation-") as folder:
        tokens = {name.upper(): str(value) for name, value in JWT.items()}
        running = Service(Path(folder), WORKER_PROCESSES="1", **tokens)
        yield running
        running.close()


def _run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """What it prints; fails, with that, if it does."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def _access(service: Service) -> dict[str, str]:
    """Where it is, and the tokens of an organiser and of somebody else."""
    tokens = [
        bearer(str(uuid4()), *scopes)["Authorization"].removeprefix("Bearer ") for scopes in (["events:write"], [])
    ]
    return {"API": str(service.http.base_url).rstrip("/"), "TOKEN": tokens[0], "OTHER_TOKEN": tokens[1]}


@pytest.mark.parametrize("document", ["openapi.yaml", "openapi-3.0.yaml"])
def test_a_generated_python_client_sells_a_seat(service: Service, tmp_path: Path, document: str) -> None:
    """By openapi-python-client, of either document; nothing of it is left out, and no body is of any type."""
    generator = Path(sys.executable).with_name("openapi-python-client")
    options = ["--meta", "none", "--output-path", "generated", "--fail-on-warning"]
    path = {"PATH": f"{generator.parent}{os.pathsep}{os.environ['PATH']}"}  # it has ruff format what it writes
    _run(generator, "generate", "--path", SPEC / document, *options, cwd=tmp_path, **path)
    shutil.copy(HERE / "python" / "smoke.py", tmp_path)
    assert not [p.name for p in (tmp_path / "generated" / "api").rglob("*.py") if "body: Any" in p.read_text("utf-8")]
    # Silent about what they import: `__exit__` of its client class is not typed as strictly as all else.
    mypy = [sys.executable, "-m", "mypy", "--strict", "--follow-imports", "silent", "--config-file="]
    _run(*mypy, "smoke.py", "generated/models", "generated/api", cwd=tmp_path)
    assert _run(sys.executable, "smoke.py", cwd=tmp_path, **_access(service)) == "Reserved\n"


def test_a_generated_typescript_client_sells_a_seat(service: Service, tmp_path: Path) -> None:
    """By openapi-typescript and openapi-fetch, as strictly as can be."""
    shutil.copytree(HERE / "typescript", tmp_path, dirs_exist_ok=True, symlinks=True)
    binaries = tmp_path / "node_modules" / ".bin"
    # Otherwise it takes what has a default for what has to be sent.
    options = ["--default-non-nullable", "false", "--output", "generated/api.d.ts"]
    _run(binaries / "openapi-typescript", SPEC / "openapi.yaml", *options, cwd=tmp_path)
    _run(binaries / "tsc", "--outDir", "built", cwd=tmp_path)
    assert _run("node", "built/smoke.js", cwd=tmp_path, **_access(service)) == "Reserved 2\n"
