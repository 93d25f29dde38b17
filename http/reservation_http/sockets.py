"""Sockets to listen on, and as many connections as a process may have."""

import errno
import resource
import socket

import structlog

log = structlog.get_logger()

#: Files that a process may have open beside its connections.
OTHER_FILES = 200


class ListenError(Exception):
    """Raised when the service cannot listen where it shall. Its text names the setting."""


def listen(host: str, port: int, setting: str) -> socket.socket:
    """A listening socket; processes that inherit it share its connections. Raises ListenError.

    Arguments:
        setting: which has the port.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ListenError(f"{setting}: {port} is in use; set another, as in {setting}={port + 10}") from None
        name = setting if error.errno == errno.EACCES else "HOST"
        raise ListenError(f"{name}: cannot listen on {host}:{port}: {error.strerror}") from None


def room_for(wanted: int, setting: str, others: int = OTHER_FILES) -> int:
    """So many connections as this process may have open, at most `wanted`; lets it have them if it can.

    Arguments:
        setting: which has the number.
        others: files that it may have open beside them.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + others
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    possible = wanted if soft == resource.RLIM_INFINITY else min(wanted, soft - others)
    if possible < wanted:
        log.warning(f"fewer connections than {setting}: see ulimit -n", limit=wanted, possible=possible)
    return max(possible, 10)
