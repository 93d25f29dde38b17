"""Settings, from the environment and `.env`. `.env.example` describes each; a test keeps them equal."""

import os
import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

import limits
from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from reservation import urls

#: An origin as browsers send it (RFC 6454, section 6.2).
_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?").fullmatch

Port = Annotated[int, Field(ge=1, le=65535)]
Count = Annotated[int, Field(ge=1)]
#: A millisecond to a year: Redis counts in whole milliseconds.
Seconds = Annotated[float, Field(ge=0.001, le=31_536_000, allow_inf_nan=False)]


def _rate(text: str) -> str:
    try:
        (rate,) = limits.parse_many(text)
    except ValueError:
        rate = None
    if rate is None or rate.amount < 1:
        raise ValueError("must be a number of requests and a time, as in 600/minute or 20/10 seconds")
    return text


#: So many requests in so much time.
Rate = Annotated[str, AfterValidator(_rate)]


class SettingsError(Exception):
    """Raised when a setting has a value it cannot have. Its text is one line per setting."""


class Settings(BaseSettings):
    """What can be set. Durations are in seconds unless the name says otherwise."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True)

    # In development nobody is asked who they are, and nobody is slowed down
    environment: Literal["development", "production"] = "development"

    # What is sold, and for how long it is kept
    max_held_seats: Annotated[int, Field(ge=1, le=10_000)] = 6
    lock_expiration_time: Seconds = 60
    max_hold_time: Seconds | None = None
    job_result_ttl: Seconds = 300
    hold_job_deadline: Seconds = 30
    reserve_job_deadline: Seconds = 300
    max_open_jobs: Count = 20_000
    max_job_delay: Seconds = 86_400
    max_queued_messages: Count = 50_000
    changes_retention: Seconds = 86_400
    audit_key: SecretStr = SecretStr("")
    idempotency_ttl: Seconds = 86_400
    admission_ttl: Annotated[int, Field(ge=10, le=86_400)] = 600
    # Ten years at most; 0: for ever.
    event_retention: Annotated[float, Field(ge=0, le=315_360_000)] = 0
    archive_dir: Path | None = None

    # Redis
    redis_url: str | None = None
    redis_host: str | None = None
    redis_port: Port = 6379
    broker_url: str | None = None
    queue_shards: Annotated[int, Field(ge=1, le=64)] = 1

    # HTTP
    host: str = "127.0.0.1"
    port: Port = 3000
    api_processes: Count | None = None
    api_threads: Count = 16
    request_timeout: Seconds = 10
    connection_limit: Annotated[int, Field(ge=10, le=60_000)] = 2_000
    shutdown_delay: Annotated[float, Field(ge=0, le=600)] = 0
    cors_origins: str = ""

    # The live feed
    stream_port: Port | None = None
    stream_url: str = ""
    stream_processes: Count = 1
    stream_connection_limit: Annotated[int, Field(ge=10, le=60_000)] = 10_000
    stream_address_limit: Count = 500

    # Who may do what
    auth_mode: Literal["none", "jwt"] = "none"
    jwt_algorithm: Literal["HS256", "RS256", "ES256"] | None = None
    jwt_key: SecretStr = SecretStr("")
    jwt_key_file: Path | None = None
    jwt_jwks_file: Path | None = None
    jwt_audience: str | None = None
    jwt_issuer: str | None = None

    # How often
    rate_limits: Literal["auto", "on", "off"] = "auto"
    rate_limit_user: Rate = "600/minute"
    rate_limit_address: Rate = "3000/minute"
    rate_limit_events: Rate = "30/minute"
    rate_limit_jobs: Rate = "240/minute"
    trusted_proxies: str = ""

    # Workers and sweepers
    worker_processes: Count | None = None
    worker_threads: Count = 1
    worker_shutdown_timeout: Seconds = 10
    retry_min_delay: Seconds = 0.2
    retry_max_delay: Seconds = 5
    sweep_interval: Seconds = 1

    # Webhooks
    webhooks: Literal["off", "on"] = "off"
    webhook_allow_private: Literal["off", "on"] = "off"
    webhook_threads: Annotated[int, Field(ge=1, le=256)] = 16
    # Three days at least: attempts may go on for two.
    webhook_retention: Annotated[float, Field(ge=259_200, le=31_536_000)] = 259_200

    # Metrics
    metrics_host: str = "127.0.0.1"
    metrics_port: Port | None = None
    metrics_token: SecretStr = SecretStr("")

    # Traces; where they go is in the OTEL_* variables of OpenTelemetry
    tracing: Literal["off", "on"] = "off"

    # Logs and files
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "console", "json"] = "auto"
    log_copy_dir: Path | None = None
    heartbeat_file: Path | None = None
    log_dir: Path = Path("logs")
    var_dir: Path = Path("var")

    @field_validator(
        *("environment", "auth_mode", "rate_limits", "webhooks", "webhook_allow_private"),
        *("tracing", "log_level", "log_format"),
        mode="before",
    )
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        for network in _listed(value):
            ip_network(network)  # says what is wrong
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: str) -> str:
        origins = _listed(value)
        if wrong := [origin for origin in origins if not (_ORIGIN(origin) or origins == ["*"])]:
            raise ValueError(f"must be * or origins like https://tickets.example, separated by commas; not {wrong[0]}")
        return value

    @field_validator("stream_url")
    @classmethod
    def _base_url(cls, value: str) -> str:
        if value in ("", "/") or _ORIGIN(value):
            return value
        raise ValueError("must be / or an origin like https://live.tickets.example")

    @field_validator("redis_url", "broker_url")
    @classmethod
    def _redis_url(cls, value: str | None) -> str | None:
        if value is not None:
            _database(value)
        return value

    @field_validator("redis_host")
    @classmethod
    def _host_alone(cls, value: str | None) -> str | None:
        if value is not None and any(c in value for c in "/@? "):
            raise ValueError("must be a host's name or address alone; for a URL there is REDIS_URL")
        return value

    @property
    def embedded(self) -> bool:
        """Whether no server is named, so that `up` starts one of its own."""
        return self.redis_url is None and self.redis_host is None

    @property
    def state_url(self) -> str:
        """Where seats, jobs and events are. Raises SettingsError if no server is named."""
        if self.redis_url is not None:
            return self.redis_url
        if self.redis_host is not None:
            host = f"[{self.redis_host}]" if ":" in self.redis_host else self.redis_host
            return f"redis://{host}:{self.redis_port}/0"
        raise SettingsError(
            "REDIS_URL: is not set, nor is REDIS_HOST (only `reservation up` starts a server of its own)"
        )

    @property
    def queue_url(self) -> str:
        """Where the queue is: BROKER_URL, or the database after the state's on the same server; on the same cluster,
        beside the state."""
        state = _database(self.state_url)[1]
        # A server has 16 unless told otherwise; a cluster has one.
        return self.broker_url or urls.with_database(self.state_url, state + 1 if state != 15 else 14)

    @property
    def limits_url(self) -> str:
        """Where requests are counted: the database after the queue's. Not the queue's own, all of whose keys its
        maintenance looks at; and not beside the state, where each count would be written to the disk."""
        if _is_cluster(self.queue_url):
            return self.queue_url
        queue = _database(self.queue_url)[1]
        numbers = (queue + 1, *range(16))
        taken = (_database(self.queue_url), _database(self.state_url))
        candidates = (urls.with_database(self.queue_url, number % 16) for number in numbers)
        return next(url for url in candidates if _database(url) not in taken)

    @property
    def counts_requests(self) -> bool:
        """Whether requests are counted, and too many refused."""
        return self.rate_limits == "on" or (self.rate_limits == "auto" and self.environment == "production")

    @property
    def networks(self) -> list[IPv4Network | IPv6Network]:
        """The proxies whose word about the client's address counts."""
        return [ip_network(part) for part in _listed(self.trusted_proxies)]

    @property
    def origins(self) -> list[str]:
        """Of the pages whose scripts may read answers; `*` for all."""
        return _listed(self.cors_origins)

    @property
    def reachable_host(self) -> str:
        """Where to connect, from this machine, to what listens on HOST."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - binds nothing

    @property
    def stream_at(self) -> int:
        """The port of the stream service: STREAM_PORT, or the one beside PORT."""
        return self.stream_port or (self.port + 1 if self.port < 65535 else self.port - 1)

    @property
    def api_url(self) -> str:
        """The API's address from this machine."""
        return self._url(self.port)

    @property
    def stream_base(self) -> str:
        """The stream service's address from this machine."""
        return self._url(self.stream_at)

    def _url(self, port: int) -> str:
        host = self.reachable_host
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def hold_ms(self) -> int:
        return round(self.lock_expiration_time * 1000)

    @property
    def max_hold_ms(self) -> int:
        """How long a hold may last however often it is refreshed: MAX_HOLD_TIME, or as long as ten holds."""
        return 10 * self.hold_ms if self.max_hold_time is None else round(self.max_hold_time * 1000)

    @property
    def result_ttl_ms(self) -> int:
        return round(self.job_result_ttl * 1000)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _database(url: str) -> tuple[str, int]:
    """A URL's server, spelled in one way, and its logical database. Raises ValueError."""
    target = urls.parse(url)
    return target.server, target.database


def _is_cluster(url: str) -> bool:
    return urls.parse(url).kind == "cluster"


def load(**overrides: Any) -> Settings:
    """Reads the settings. Raises SettingsError naming each variable that is wrong.

    Arguments:
        overrides: values that win over the environment, by field name.
    """
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        raise SettingsError("\n".join(map(_line, error.errors()))) from None
    if settings.embedded and settings.broker_url:
        raise SettingsError("BROKER_URL: is set, but neither REDIS_URL nor REDIS_HOST is")
    if settings.max_hold_ms < settings.hold_ms:
        raise SettingsError("MAX_HOLD_TIME: is less than LOCK_EXPIRATION_TIME, which is how long a hold lasts")
    if 0 < settings.event_retention < settings.idempotency_ttl:
        # Who sent a request again would be answered with what is no more.
        raise SettingsError("EVENT_RETENTION: is less than IDEMPOTENCY_TTL; it is that or more, or 0")
    if settings.archive_dir is not None and not settings.event_retention:
        raise SettingsError("ARCHIVE_DIR: is set, but EVENT_RETENTION is not, so no event is ever removed")
    shared = not settings.embedded and _database(settings.queue_url) == _database(settings.state_url)
    if shared and not _is_cluster(settings.state_url):
        raise SettingsError("BROKER_URL: is the same database as REDIS_URL; the queue needs one of its own")
    return settings


def _line(error: ErrorDetails) -> str:
    name = ".".join(str(part) for part in error["loc"]).upper()
    return f"{name}: {error['msg'].removeprefix('Value error, ')} (it is {masked(str(error['input']))!r})"


def masked(url: str) -> str:
    """A URL as it may be shown: without user and password, wherever they stand in it."""
    return re.sub(r"(\w*(?:username|password))=[^&]*", r"\1=***", re.sub(r"//.*@", "//***@", url))


def cores() -> int:
    """Processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
