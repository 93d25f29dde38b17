"""The folder in which the processes of a host write their figures (reservation.metrics).

The outermost of them makes it, before anything imports `prometheus_client`, and its children inherit it by environment.
It goes with that process; if that was killed, the next one to start removes it.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog

log = structlog.get_logger()

#: What `prometheus_client` goes by, and what says that it is one of ours: somebody else's has a life of its own.
VARIABLE, _OURS = "PROMETHEUS_MULTIPROC_DIR", "RESERVATION_TALLIES"
_PREFIX = "reservation-metrics-"
#: Locked by the process whose folder it is, for as long as it lives; and by whoever reads the figures or moves them.
_OWNER, _LOCK = "owner", "lock"
#: What dead processes have counted.
_DEAD = "dead"


@contextmanager
def shared() -> Iterator[bool]:
    """Has the folder for as long as the outermost process needs it. Yields whether that is this one."""
    given = os.environ.get(_OURS)
    if given is not None and given == os.environ.get(VARIABLE) and os.path.isdir(given):
        yield False
        return
    # In memory: the files are mapped, and whoever counts would wait for the disk now and then.
    parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()  # noqa: S108 - made with mkdtemp
    _remove_left(Path(parent))
    folder = tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent)
    owner = _own(Path(folder))
    before = {name: os.environ.pop(name) for name in (VARIABLE, _OURS) if name in os.environ}
    os.environ[VARIABLE] = os.environ[_OURS] = folder
    try:
        yield True
    finally:
        del os.environ[VARIABLE], os.environ[_OURS]
        os.environ.update(before)
        shutil.rmtree(folder, ignore_errors=True)
        os.close(owner)


@contextmanager
def held(folder: str, *, exclusive: bool) -> Iterator[None]:
    """Keeps the figures of dead processes where they are meanwhile: they are neither missed nor read twice."""
    descriptor = os.open(os.path.join(folder, _LOCK), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def retire(pid: int) -> None:
    """Adds what a dead process of this one's has counted to what others have, and forgets its gauges. In one file for
    all: a part that dies again and again must not make every scrape slower than the last. Never raises."""
    folder = os.environ.get(VARIABLE)
    if folder is None:
        return
    try:
        with held(folder, exclusive=True):
            _retire(Path(folder), pid)
    except Exception:  # whoever looks after the processes has better to do than to end
        log.exception("figures of a dead process not kept", pid=pid)


def _retire(folder: Path, pid: int) -> None:
    from prometheus_client.mmap_dict import MmapedDict
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]  # publishes few types
    for kind in ("counter", "histogram"):
        own = folder / f"{kind}_{pid}.db"
        if not own.exists():
            continue
        total = MmapedDict(str(folder / f"{kind}_{_DEAD}.db"))  # type: ignore[no-untyped-call]  # publishes few types
        try:
            for key, value, *_ in MmapedDict.read_all_values_from_file(str(own)):  # type: ignore[no-untyped-call]  # publishes few types
                total.write_value(key, total.read_value(key)[0] + value, 0.0)  # type: ignore[no-untyped-call]  # publishes few types
        finally:  # one that cannot be read would be in the way of every scrape
            total.close()  # type: ignore[no-untyped-call]  # publishes few types
            own.unlink()


def _own(folder: Path) -> int:
    """Marks a folder as that of this process. It has its mark only once that is locked."""
    descriptor = os.open(folder / f"{_OWNER}.new", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    (folder / f"{_OWNER}.new").rename(folder / _OWNER)
    return descriptor


def _remove_left(parent: Path) -> None:
    """Removes folders whose process was killed."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # it has none yet, is somebody else's, or its process lives
            descriptor = os.open(folder / _OWNER, os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)
