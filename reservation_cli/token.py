"""Tokens for trying things out: signed by whoever has the service's own key, which HS256 needs for checking too."""

import time
from collections.abc import Sequence

from reservation.settings import Settings, SettingsError
from reservation_http.tokens import Tokens


def issue(settings: Settings, user: str, scopes: Sequence[str], lasts_s: float) -> str:
    """A token that a service with these settings accepts. Raises SettingsError.

    Arguments:
        user: its subject.
        scopes: what it allows.
        lasts_s: for how many seconds.
    """
    tokens = Tokens.of(settings)
    if tokens is None:
        raise SettingsError("AUTH_MODE: is none, so nobody needs a token")
    if settings.jwt_algorithm != "HS256":
        raise SettingsError(f"JWT_ALGORITHM: a token for {settings.jwt_algorithm} comes from its issuer")
    return tokens.sign({"sub": user, "scope": " ".join(scopes), "exp": int(time.time() + lasts_s)})
