"""What passes by itself, and what is a mistake of ours."""

import pytest
import redis

from reservation.clients import is_transient, translated
from reservation.errors import StateUnavailable


@pytest.mark.parametrize(
    "error",
    [
        redis.ConnectionError("refused"),
        redis.TimeoutError("no reply"),
        redis.exceptions.ReadOnlyError("READONLY You can't write against a read only replica."),
        redis.exceptions.OutOfMemoryError("OOM command not allowed when used memory > 'maxmemory'."),
        redis.ResponseError("MISCONF Redis is configured to save RDB snapshots"),
        redis.ResponseError("BUSY Redis is busy running a script."),
        redis.ResponseError("LOADING Redis is loading the dataset in memory"),
        redis.ResponseError(
            "Error running script (call to f_0123): @user_script:12: @user_script: 12: -OOM command not"
        ),
        redis.ResponseError("Error running script (call to f_0123): @user_script:1: -READONLY You can't write"),
    ],
)
def test_what_passes_by_itself(error: redis.RedisError) -> None:
    """Is told as 503; of an error in a script Redis 6.2 makes a text of its own."""
    assert is_transient(error)
    assert isinstance(translated(error), StateUnavailable)


@pytest.mark.parametrize(
    "error",
    [redis.ResponseError("WRONGTYPE Operation against a key"), redis.ResponseError("ERR user_script:3: a nil value")],
)
def test_what_does_not(error: redis.RedisError) -> None:
    """Is logged as what it is."""
    assert translated(error) is error
