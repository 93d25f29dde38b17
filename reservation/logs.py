"""Logs: structlog, JSON lines for machines, columns for a terminal. No user's UUID in full."""

import atexit
import logging
import os
import re
import socket
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, TextIO, cast

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from reservation import tracing
from reservation.settings import Settings

# With or without hyphens, and whatever it adjoins.
# (Where case is to be ignored, looking takes a third longer, and there is something to look at in each line.)
_UUID = re.compile(r"([0-9a-fA-F]{8})-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}")

#: Names of what stays whole: a balancer's is often a UUID, a trace's looks like one, and both must be found again; a
#: job's is none, and is in most lines.
_WHOLE = {"request_id", "trace_id", "job_id"}

#: How long a line for machines may take until it is written, seconds.
_COLLECT_S = 0.05
#: Bytes of a copy's file, and files before it that are kept.
_COPY_BYTES, _COPIES_KEPT = 20_000_000, 2


def mask_users(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Shortens every UUID to its first eight digits, whoever logged it: a user's is a credential.

    The ids of request, trace and job are left alone.
    """
    for name, value in event.items():
        if isinstance(value, str) and len(value) >= 32 and name not in _WHOLE:
            event[name] = masked(value)
    return event


def masked(text: str) -> str:
    """A text with every UUID shortened to its first eight digits."""
    return _UUID.sub(r"\1…", text)


def name_trace(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Says which trace a line belongs to."""
    event.update(tracing.ids())
    return event


def _json(value: Any, **_: Any) -> str:
    return orjson.dumps(value, default=repr).decode()


class _Output:
    """Standard output, of which no failure is an error: a disk that is full must not end what logs, nor turn an
    answer into another."""

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            sys.stdout.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            sys.stdout.flush()


class _Collected(_Output):
    """The same, written by a thread of its own, several times a second: a line for each request is a system
    call and a switch of threads for each, which cost a request a tenth of its time (docs/performance.md)."""

    def __init__(self, copy: "_Copy | None" = None) -> None:
        self._texts: deque[str] = deque()
        self._copy = copy
        threading.Thread(target=self._run, name="log", daemon=True).start()
        atexit.register(self.drain)

    def write(self, text: str) -> None:
        self._texts.append(text)

    def flush(self) -> None:
        """Does nothing: that is what the thread is for."""

    def drain(self) -> None:
        """Writes what there is."""
        texts = []
        with suppress(IndexError):
            while True:
                texts.append(self._texts.popleft())
        if texts:
            super().write("".join(texts))
            super().flush()
            if self._copy is not None:
                self._copy.handle(logging.makeLogRecord({"msg": "".join(texts)}))

    def _run(self) -> None:
        while True:
            time.sleep(_COLLECT_S)
            self.drain()


class _Copy(RotatingFileHandler):
    """The lines once more, in a file of this process's own, which it alone may thus put aside when it is large."""

    terminator = ""

    def __init__(self, folder: Path, process: str) -> None:
        # The host's name is the container's: of those that share the folder each has a file.
        path = folder / f"{process}-{socket.gethostname()}-{os.getpid()}.log"
        super().__init__(path, maxBytes=_COPY_BYTES, backupCount=_COPIES_KEPT, delay=True)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Does nothing: as with standard output, no failure is an error. The next lines try again."""


def configure(settings: Settings, process: str) -> None:
    """Sends all logs of this process to standard output; lines for machines to a file in LOG_COPY_DIR, too.

    Arguments:
        process: the name each line carries, e.g. `api`.
    """
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stdout.isatty())
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]

    def name_process(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["process"] = process
        return event

    before: list[Processor] = [
        name_process,
        structlog.contextvars.merge_contextvars,
        name_trace,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        mask_users,
    ]
    copy = _Copy(settings.log_copy_dir, process) if settings.log_copy_dir is not None and as_json else None
    output = cast(TextIO, _Collected(copy) if as_json else _Output())
    last: Processor = structlog.processors.JSONRenderer(_json) if as_json else structlog.dev.ConsoleRenderer()

    class Lines(structlog.make_filtering_bound_logger(level)):  # type: ignore[misc]  # made at run time
        """Writes what `before` and `last` make of most lines, in a third of the time: there is one for each request."""

        def _proxy_to_logger(self, method_name: str, event: str = "", **fields: Any) -> None:
            if "exc_info" in fields or "stack_info" in fields:
                super()._proxy_to_logger(method_name, event, **fields)
                return
            line = {"process": process, "level": method_name, "timestamp": datetime.now(UTC).isoformat()[:-6] + "Z"}
            if "request_id" not in fields:  # a line that has it, has all that there is to say
                line.update(structlog.contextvars.get_contextvars())
            line.update(tracing.ids())
            line.update(self._context, event=event, **fields)
            output.write(_json(mask_users(None, method_name, line)) + "\n")

    structlog.configure(
        processors=[*before, last],
        wrapper_class=Lines if as_json else structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(output),
        cache_logger_on_first_use=True,
    )
    # What libraries log goes the same way.
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *before],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    # One line for nearly every request under load, and nothing in it to act on.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
