"""Logs: structlog, JSON lines for machines, columns for a terminal. No user's UUID in full."""

import logging
import re
import sys
from contextlib import suppress
from typing import Any, TextIO, cast

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from reservation.settings import Settings

# With or without hyphens, and whatever it adjoins.
_UUID = re.compile(r"([0-9a-f]{8})-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE)


def mask_users(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Shortens every UUID to its first eight digits, whoever logged it: a user's is a credential.

    The request id is left alone: a balancer's is often a UUID, and it must be found again.
    """
    for name, value in event.items():
        if isinstance(value, str) and len(value) >= 32 and name != "request_id":
            event[name] = _UUID.sub(r"\1…", value)
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


def configure(settings: Settings, process: str) -> None:
    """Sends all logs of this process to standard output.

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
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        mask_users,
    ]
    last: Processor = structlog.processors.JSONRenderer(_json) if as_json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[*before, last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, _Output())),
        cache_logger_on_first_use=True,
    )
    # What libraries log goes the same way.
    handler = logging.StreamHandler(cast(TextIO, _Output()))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *before],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    # One line for nearly every request under load, and nothing in it to act on.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
