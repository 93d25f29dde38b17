"""The service as compose runs it, from what a fresh clone would have."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.e2e.conftest import clean_environment, free_port

_ROOT = Path(__file__).parents[2]
_V2, _V1 = ["docker", "compose"], ["docker-compose"]


def compose_command() -> list[str] | None:
    """How compose is called here; None where it or its engine does not answer."""
    if not _answers("docker", "info"):
        return None
    return next((command for command in (_V2, _V1) if _answers(*command, "version")), None)


class Stack:
    """A project of its own, with ports of its own, in a folder of its own. On leaving, all of it goes.

    Arguments:
        command: how compose is called.

    Attributes:
        url: where HAProxy is.
        port: its port.
        prometheus: where Prometheus is.
        folder: where compose runs, as in a fresh clone.
    """

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self.folder = Path(tempfile.mkdtemp(prefix="reservation-compose-"))
        self.port, prometheus = free_port(), free_port()
        self.url, self.prometheus = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{prometheus}"
        # A network that no other stack on this engine has.
        front = f"10.{128 + secrets.randbelow(127)}.{secrets.randbelow(256)}"
        self._environment = clean_environment(
            COMPOSE_PROJECT_NAME=f"drill{secrets.token_hex(4)}",
            COMPOSE_PROFILES="monitoring,webhooks",
            PYTHON_VERSION=os.environ.get("PYTHON_VERSION") or _python(),
            PORT=str(self.port),
            PROMETHEUS_PORT=str(prometheus),
            METRICS_TOKEN=secrets.token_hex(16),
            REDIS_PASSWORD=secrets.token_hex(16),
            FRONT_NETWORK=front,
            # To a receiver on this host.
            WEBHOOKS="on",
            WEBHOOK_ALLOW_PRIVATE="on",
            # On, with bounds that only `hostile` comes to.
            RATE_LIMITS="on",
            **dict.fromkeys(("RATE_LIMIT_USER", "RATE_LIMIT_ADDRESS", "RATE_LIMIT_JOBS"), "10000000/minute"),
        )

    def __enter__(self) -> "Stack":
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        for name in subprocess.run(listed, cwd=_ROOT, check=True, capture_output=True, text=True).stdout.split("\0"):
            if name and (_ROOT / name).is_file():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(_ROOT / name, self.folder / name)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # Lines in logs/ are not ours to remove, but a container's.
        clear = ["run", "--rm", "--no-deps", "--entrypoint", "sh", "prepare", "-c", "chmod 777 /logs && rm -rf /logs/*"]
        self.compose(*clear, check=False)
        self.compose("down", "--volumes", "--remove-orphans", "--rmi", "local", "--timeout", "5", check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def compose(self, *arguments: str, check: bool = True) -> str:
        """Runs compose; returns what it printed."""
        return self.run(*self._command, *arguments, check=check)

    def docker(self, *arguments: str) -> str:
        """Runs docker; returns what it printed."""
        return self.run("docker", *arguments)

    def run(self, *command: str, check: bool = True) -> str:
        """Runs what compose's files belong to; returns what it printed."""
        done = subprocess.run(command, cwd=self.folder, env=self._environment, capture_output=True, text=True)
        if check and done.returncode:
            raise RuntimeError(
                f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
            )
        return done.stdout

    def containers(self, *services: str) -> list[dict[str, Any]]:
        """What the engine knows of those that run, of these services or of all."""
        ids = self.compose("ps", "-q", *services).split()
        found: list[dict[str, Any]] = json.loads(self.docker("inspect", *ids)) if ids else []
        return [container for container in found if container["State"]["Running"]]

    def host(self) -> str:
        """The address at which those that are on the network behind HAProxy reach this host."""
        (network,) = json.loads(self.docker("network", "inspect", f"{self._environment['COMPOSE_PROJECT_NAME']}_back"))
        return str(network["IPAM"]["Config"][0]["Gateway"])

    def healthy(self, *services: str) -> int:
        """How many of them say that they are."""
        states = [container["State"].get("Health", {}).get("Status") for container in self.containers(*services)]
        return states.count("healthy")

    def kill(self, service: str) -> str:
        """Kills one container's first process from outside, as a crash would: stopped by docker it would not start
        again. Returns the container's id."""
        container = self.containers(service)[0]
        os.kill(container["State"]["Pid"], signal.SIGKILL)
        return str(container["Id"])


def service_of(container: dict[str, Any]) -> str:
    """The service that a container is of."""
    return str(container["Config"]["Labels"]["com.docker.compose.service"])


def _python() -> str:
    """The newest Python whose image is here already; else the newest."""
    for version in ("3.13", "3.12", "3.11"):
        image = f"python:{version}-slim-bookworm"
        if _answers("docker", "image", "inspect", image):
            return version
    return "3.13"


def _answers(*command: str) -> bool:
    return shutil.which(command[0]) is not None and not subprocess.run(command, capture_output=True).returncode
