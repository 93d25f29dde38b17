"""Problem details (RFC 9457): every error answers `application/problem+json` with a stable `type`."""

from typing import Any, NamedTuple

import falcon
import orjson
import structlog

from reservation.errors import ReservationError, StateUnavailable, Unavailable

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"


class Kind(NamedTuple):
    """A kind of problem: its slug, HTTP status, title, and an example of its own members."""

    slug: str
    status: int
    title: str
    detail: str
    example: dict[str, object] = {}  # noqa: RUF012 - never changed
    retryable: bool = False


#: Every kind there is. The OpenAPI documents list them, so an answer that is not here is a defect.
KINDS = {
    kind.slug: kind
    for kind in (
        Kind(
            "malformed-json", 400, "The body is not JSON", "The body cannot be read as JSON: expected value at line 1."
        ),
        Kind("bad-request", 400, "The request cannot be understood", "The request is malformed."),
        Kind(
            "not-holder",
            403,
            "Not the holder",
            "Only the user who holds this seat may do that.",
            {"currentStatus": "On hold"},
        ),
        Kind("not-found", 404, "Not found", "There is no seat with this id."),
        Kind("unknown-route", 404, "No such path", "Nothing is served under this path."),
        Kind("method-not-allowed", 405, "Method not allowed", "This path does not take this method."),
        Kind(
            "seat-held", 409, "The seat is on hold", "Another user holds this seat.", {"currentStatus": "On hold"}, True
        ),
        Kind("seat-reserved", 409, "The seat is reserved", "This seat is reserved.", {"currentStatus": "Reserved"}),
        Kind(
            "limit-reached",
            409,
            "Too many seats on hold",
            "You hold 6 seats of this event; the limit is 6.",
            {"limit": 6, "held": 6},
            True,
        ),
        Kind(
            "not-on-hold",
            409,
            "The seat is not on hold",
            "This seat is not on hold. Hold it first.",
            {"currentStatus": "Available"},
        ),
        Kind(
            "reserve-pending",
            409,
            "A reservation is under way",
            "A reservation of this seat is under way.",
            {"currentStatus": "On hold", "reservingUntil": 1767225900000},
            True,
        ),
        Kind("body-too-large", 413, "The body is too large", "A body may have 16,384 bytes."),
        Kind("head-too-large", 431, "The request's head is too large", "A request's head may have 8,192 bytes."),
        Kind("not-implemented", 501, "Not implemented", "This transfer encoding is not implemented."),
        Kind("unsupported-media-type", 415, "Not JSON", "Send the body as application/json."),
        Kind(
            "invalid-request",
            422,
            "The request is not valid",
            "totalSeats: Input should be a valid integer",
            {"errors": [{"field": "totalSeats", "message": "Input should be a valid integer"}]},
        ),
        Kind("internal-error", 500, "Internal error", "Something went wrong here. It has been logged."),
        Kind(
            "queue-full",
            503,
            "Too many are waiting",
            "Too many requests are waiting.",
            {"limit": 20000},
            True,
        ),
        Kind(
            "state-unavailable",
            503,
            "Temporarily unavailable",
            "The service cannot reach its data at the moment.",
            {},
            True,
        ),
    )
}


def body(slug: str, detail: str, fields: dict[str, object], *, retryable: bool) -> dict[str, object]:
    """A problem's members.

    Arguments:
        slug: a key of KINDS.
        detail: for people, about this occurrence.
        fields: the members that programs need.
        retryable: whether the same request may succeed later.
    """
    kind = KINDS[slug]
    return {
        "type": f"/problems/{slug}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "retryable": retryable,
        **fields,
    }


class InvalidRequest(ReservationError):
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


class MalformedJson(ReservationError):
    """Raised when a body is not JSON."""

    slug, status = "malformed-json", 400


class UnsupportedMediaType(ReservationError):
    """Raised when a body says that it is something other than JSON, or says nothing."""

    slug, status = "unsupported-media-type", 415


class BodyTooLarge(ReservationError):
    """Raised when a body is larger than any request needs."""

    slug, status = "body-too-large", 413


def _answer(resp: falcon.Response, problem: dict[str, object], status: int) -> None:
    resp.status = status
    resp.content_type = MEDIA_TYPE
    resp.data = orjson.dumps(problem)
    resp.set_header("Cache-Control", "no-store")


def _on_reservation_error(
    req: falcon.Request, resp: falcon.Response, error: ReservationError, params: dict[str, Any]
) -> None:
    """A refusal of the domain, or bad input."""
    problem = body(error.slug, error.detail, error.fields, retryable=error.retryable)
    _answer(resp, problem, error.status)
    if isinstance(error, Unavailable):
        resp.set_header("Retry-After", str(error.retry_after_s))
    if isinstance(error, StateUnavailable) and error.__cause__ is not None:  # else nothing was sent
        log.warning("state unavailable", error=str(error.__cause__))


#: Falcon's own errors that have a kind of their own.
_OF_STATUS = {404: "unknown-route", 405: "method-not-allowed", 413: "body-too-large", 415: "unsupported-media-type"}


def _on_http_error(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, params: dict[str, Any]) -> None:
    """What Falcon refuses before a resource is asked."""
    slug = _OF_STATUS.get(error.status_code, "bad-request" if error.status_code < 500 else "internal-error")
    kind = KINDS[slug]
    _answer(resp, body(slug, kind.detail, {}, retryable=False), kind.status)
    if error.headers:
        resp.set_headers(error.headers)


def _on_exception(req: falcon.Request, resp: falcon.Response, error: Exception, params: dict[str, Any]) -> None:
    """A mistake of ours: logged whole, told in one sentence."""
    log.error("unhandled exception", exc_info=error, method=req.method, path=req.path)
    kind = KINDS["internal-error"]
    _answer(resp, body(kind.slug, kind.detail, {}, retryable=False), kind.status)


def handle_errors(app: falcon.App[falcon.Request, falcon.Response]) -> None:
    """Makes every error of an app a problem."""
    app.add_error_handler(Exception, _on_exception)
    app.add_error_handler(falcon.HTTPError, _on_http_error)
    app.add_error_handler(ReservationError, _on_reservation_error)
