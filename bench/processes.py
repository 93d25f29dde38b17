"""What processes cost, as the system counts it (Linux's /proc)."""

import os
import resource
from pathlib import Path

from tests.e2e.conftest import below

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def roles(root: int) -> dict[str, list[int]]:
    """The processes of a service below a process, by what they do."""
    found: dict[str, list[int]] = {"api": [], "worker": [], "sweeper": [], "redis": [], "queue": []}
    for pid, line in below(root).items():
        words = line.split()
        if "reservation_cli" in words:
            role = words[words.index("reservation_cli") + 1]
            found.setdefault(role, []).append(pid)
        elif "-server" in words[0]:
            found["queue" if "/queue/" in line else "redis"].append(pid)
    return found


def cpu_s(pid: int) -> float:
    """Processor time that a process has used, seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND


def children_cpu_s() -> float:
    """Processor time of the children of this process that have ended, such as the load generator, seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def resident_mb(pid: int) -> float:
    """Memory that a process has in use, megabytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"process {pid} has ended")
