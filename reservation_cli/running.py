"""Which servers the commands that look at a running service talk to."""

import redis

from reservation import embedded
from reservation.connections import connect
from reservation.settings import Settings, SettingsError


def running(settings: Settings) -> Settings:
    """The settings, with the servers of `reservation up` where none is named. Raises SettingsError if it is not up."""
    if not settings.embedded:
        return settings
    state, queue = (embedded.url(settings.var_dir / name) for name in ("redis", "queue"))
    try:
        connect(state, connections=1).probe(("PING",))
    except redis.RedisError:
        raise SettingsError(
            f"REDIS_URL: is not set, nor is REDIS_HOST, and no `reservation up` runs with VAR_DIR={settings.var_dir}"
        ) from None
    return settings.model_copy(update={"redis_url": state, "broker_url": queue})
