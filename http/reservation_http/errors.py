"""What the API refuses before the domain is asked, or for reasons that the domain does not know."""

from collections.abc import Mapping

from reservation.errors import ReservationError


class RequestError(ReservationError):
    """Root of these errors.

    Attributes:
        headers: of the answer, beyond those of every problem.
    """

    @property
    def headers(self) -> Mapping[str, str]:
        return {}


class InvalidRequest(RequestError):
    """Raised when a request breaks the rules of its schema.

    Attributes:
        errors: `{field, message}` for each.
    """

    slug, status = "invalid-request", 422

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__("; ".join(f"{e['field']}: {e['message']}" if e["field"] else e["message"] for e in errors))
        self.errors = errors

    @property
    def fields(self) -> dict[str, object]:
        return {"errors": self.errors}


class MalformedJson(RequestError):
    """Raised when a body is not JSON."""

    slug, status = "malformed-json", 400


class UnsupportedMediaType(RequestError):
    """Raised when a body says that it is something other than JSON, or says nothing."""

    slug, status = "unsupported-media-type", 415


class BodyTooLarge(RequestError):
    """Raised when a body is larger than any request needs."""

    slug, status = "body-too-large", 413


class TokenMissing(RequestError):
    """Raised when it has to be known who asks, and there is no token (RFC 6750, section 3)."""

    slug, status = "token-missing", 401

    def __init__(self) -> None:
        super().__init__("Send a bearer token in the Authorization header.")

    @property
    def headers(self) -> Mapping[str, str]:
        return {"WWW-Authenticate": 'Bearer realm="seats"'}


class TokenInvalid(RequestError):
    """Raised when a token is not accepted (RFC 6750, section 3.1)."""

    slug, status = "token-invalid", 401

    @property
    def headers(self) -> Mapping[str, str]:
        return {"WWW-Authenticate": f'Bearer realm="seats", error="invalid_token", error_description="{self.detail}"'}


class ScopeMissing(RequestError):
    """Raised when a token does not allow what is asked (RFC 6750, section 3.1).

    Attributes:
        scope: the one it would need.
    """

    slug, status = "scope-missing", 403

    def __init__(self, scope: str) -> None:
        super().__init__(f"The token needs the scope {scope}.")
        self.scope = scope

    @property
    def fields(self) -> dict[str, object]:
        return {"scope": self.scope}

    @property
    def headers(self) -> Mapping[str, str]:
        return {"WWW-Authenticate": f'Bearer realm="seats", error="insufficient_scope", scope="{self.scope}"'}


class UserMismatch(RequestError):
    """Raised when a body names another user than the token."""

    slug, status = "user-mismatch", 403

    def __init__(self) -> None:
        super().__init__("The UUID is not that of the token's user. It may be left out.")


class RateLimited(RequestError):
    """Raised when a caller sends too many requests.

    Arguments:
        policy: the name of the limit that was reached.
        quota: requests that it allows in its window.
        window_s: its window, seconds.
        retry_after_s: seconds until the next one is allowed.
    """

    slug, status, retryable = "rate-limited", 429, True

    def __init__(self, policy: str, quota: int, window_s: int, retry_after_s: int) -> None:
        super().__init__(f"Too many requests: {quota} in {window_s} s are allowed.")
        self.policy, self.quota, self.window_s, self.retry_after_s = policy, quota, window_s, retry_after_s

    @property
    def fields(self) -> dict[str, object]:
        return {"policy": self.policy, "limit": self.quota}

    @property
    def headers(self) -> Mapping[str, str]:
        """Those of draft-ietf-httpapi-ratelimit-headers-10."""
        return {
            "RateLimit-Policy": f'"{self.policy}";q={self.quota};w={self.window_s}',
            "RateLimit": f'"{self.policy}";r=0;t={self.retry_after_s}',
        }


class WebhooksOff(RequestError):
    """Raised when a webhook is asked for where there are none."""

    slug, status = "webhooks-off", 409

    def __init__(self) -> None:
        super().__init__("This service sends no webhooks.")


class FeedFull(RequestError):
    """Raised when as many watch already as the stream service takes."""

    slug, status, retryable, retry_after_s = "feed-full", 503, True, 5

    def __init__(self) -> None:
        super().__init__("Too many are watching.")
