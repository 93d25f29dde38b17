"""Problem details (RFC 9457): every error answers `application/problem+json` with a stable `type`."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import falcon
import falcon.asgi
import orjson
import structlog

from reservation.errors import ReservationError, StateUnavailable
from reservation_http.errors import RequestError

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"


class Kind(NamedTuple):
    """A kind of problem: its slug, HTTP status and title, an example of its detail and its own members, and what to do
    about it, which its page says."""

    slug: str
    status: int
    title: str
    detail: str
    remedy: str
    example: dict[str, object] = {}  # noqa: RUF012 - never changed
    retryable: bool = False


#: Every kind there is. The OpenAPI documents list them, so an answer that is not here is a defect.
KINDS = {
    kind.slug: kind
    for kind in (
        Kind(
            "malformed-json",
            400,
            "The body is not JSON",
            "The body cannot be read as JSON: expected value at line 1.",
            "Send one JSON object in UTF-8, in which no name occurs twice. NaN and Infinity are not JSON, and half a "
            "surrogate pair is no character.",
        ),
        Kind(
            "bad-request",
            400,
            "The request cannot be understood",
            "The request is malformed.",
            "It is not HTTP as RFC 9112 has it: look at what sends it.",
        ),
        Kind(
            "token-missing",
            401,
            "A token is needed",
            "Send a bearer token in the Authorization header.",
            "Get a token from the issuer that this service trusts and send it as Authorization: Bearer, a space, and "
            "the token.",
        ),
        Kind(
            "token-invalid",
            401,
            "The token is not accepted",
            "The token has expired.",
            "The detail says why. Get a new token; if that is refused too, its issuer, audience, algorithm or key is "
            "not what this service is configured for.",
        ),
        Kind(
            "scope-missing",
            403,
            "The token does not allow that",
            "The token needs the scope events:write.",
            "Ask the issuer for a token with the scope that the problem names.",
            {"scope": "events:write"},
        ),
        Kind(
            "user-mismatch",
            403,
            "Another user than the token's",
            "The UUID is not that of the token's user. It may be left out.",
            "Leave the UUID out: the token says who you are. You cannot act for somebody else.",
        ),
        Kind(
            "not-holder",
            403,
            "Not the holder",
            "Only the user who holds this seat may do that.",
            "Your hold has ended and somebody else has the seat, or it was never yours. Choose another seat.",
            {"currentStatus": "On hold"},
        ),
        Kind(
            "not-owner",
            403,
            "Not who reserved it",
            "Only the user who reserved this seat may do that.",
            "You have not reserved this seat, or cancelled that, and somebody else has it by now.",
            {"currentStatus": "Reserved"},
        ),
        Kind(
            "admission-required",
            403,
            "The event has a waiting room",
            "This event is entered through its waiting room.",
            "Draw a ticket at queueEndpoint, follow it, and send what it ends with in the header Admission. "
            "It is for one user and one event, and for a time.",
            {"queueEndpoint": "/events/k3v9x2m7qa/queue"},
        ),
        Kind(
            "not-found",
            404,
            "Not found",
            "There is no seat with this id.",
            "Check the id. A job's result is kept for a few minutes only.",
        ),
        Kind(
            "unknown-route",
            404,
            "No such path",
            "Nothing is served under this path.",
            "The paths there are stand in /openapi.yaml.",
        ),
        Kind(
            "method-not-allowed",
            405,
            "Method not allowed",
            "This path does not take this method.",
            "The Allow header lists the methods that it takes.",
        ),
        Kind(
            "seat-held",
            409,
            "The seat is on hold",
            "Another user holds this seat.",
            "Choose another seat, or try again: the hold may run out. Of several, conflicts are those to replace.",
            {"currentStatus": "On hold", "conflicts": [{"seatId": "k3v9x2m7qa-13", "status": "On hold"}]},
            True,
        ),
        Kind(
            "seat-reserved",
            409,
            "The seat is reserved",
            "This seat is reserved.",
            "It is sold. Choose another seat.",
            {"currentStatus": "Reserved"},
        ),
        Kind(
            "seat-blocked",
            409,
            "The seat is not for sale",
            "This seat is not for sale.",
            "The organisers have taken it out of the sale. Choose another seat.",
            {"currentStatus": "Blocked"},
        ),
        Kind(
            "sales-not-open",
            409,
            "Sales have not begun",
            "Sales have not begun.",
            "Try again at opensAt, counted down against serverTime. If the event has a waiting room, draw a ticket.",
            {"opensAt": 1767225600000, "serverTime": 1767225590000},
            True,
        ),
        Kind(
            "event-closed",
            409,
            "Sales have ended",
            "Sales have ended.",
            "No seat can be held any more, and no hold prolonged. What you hold can be reserved until the hold ends.",
            {"closesAt": 1767225600000, "serverTime": 1767225610000},
        ),
        Kind(
            "opening-fixed",
            409,
            "The opening cannot be changed",
            "Sales have begun, or tickets have been drawn, so that they can only begin earlier.",
            "Change opensAt before, and before the waiting room has its first ticket. closesAt can always be changed.",
        ),
        Kind(
            "limit-reached",
            409,
            "Too many seats on hold",
            "You hold 6 seats of this event; the limit is 6.",
            "Reserve or release a seat that you hold, or wait until one of your holds runs out.",
            {"limit": 6, "held": 6, "requested": 1},
            True,
        ),
        Kind(
            "no-seats-together",
            409,
            "Not so many free seats next to one another",
            "Free seats next to one another: at most 3, of 57.",
            "Ask for fewer, with adjacent as preferred, or again: holds may run out.",
            {"largestBlock": 3, "free": 57},
            True,
        ),
        Kind(
            "too-few-seats",
            409,
            "Not so many free seats",
            "Free seats: 1.",
            "Ask for fewer, or again: holds may run out.",
            {"largestBlock": 1, "free": 1},
            True,
        ),
        Kind(
            "not-on-hold",
            409,
            "The seat is not on hold",
            "This seat is not on hold. Hold it first.",
            "Your hold has run out, or there was none. Hold the seat again.",
            {"currentStatus": "Available"},
        ),
        Kind(
            "not-reserved",
            409,
            "The seat is not reserved",
            "This seat is not reserved.",
            "The reservation was cancelled already, or there was none.",
            {"currentStatus": "Available"},
        ),
        Kind(
            "hold-ceiling",
            409,
            "The hold cannot be prolonged",
            "This hold cannot be prolonged any further.",
            "Reserve the seat before expiresAt; from then on anybody can hold it.",
            {"currentStatus": "On hold", "expiresAt": 1767225660000},
        ),
        Kind(
            "delay-too-long",
            409,
            "Too late to be carried out",
            "This is too late for it to be carried out.",
            "Give a notBefore of latest or earlier: a reservation has to begin before its hold ends.",
            {"latest": 1767225660000},
        ),
        Kind(
            "reserve-pending",
            409,
            "A reservation is under way",
            "A reservation of this seat is under way.",
            "Read the job of the reservation. It is decided at reservingUntil at the latest.",
            {"currentStatus": "On hold", "reservingUntil": 1767225900000},
            True,
        ),
        Kind(
            "webhook-limit",
            409,
            "Too many webhooks",
            "An event may have 5 webhooks.",
            "Remove one that is not needed any more.",
            {"limit": 5},
        ),
        Kind(
            "webhooks-off",
            409,
            "No webhooks here",
            "This service sends no webhooks.",
            "Its operators have not switched them on (WEBHOOKS). Follow the event's stream instead.",
        ),
        Kind(
            "idempotency-key-in-use",
            409,
            "The first request is still being answered",
            "The first request with this Idempotency-Key is still being answered.",
            "Send it again a little later: it is answered as the first one then.",
            {},
            True,
        ),
        Kind(
            "body-too-large",
            413,
            "The body is too large",
            "A body may have 16,384 bytes.",
            "No request needs so much. Send only the members that the reference describes.",
        ),
        Kind(
            "unsupported-media-type",
            415,
            "Not JSON",
            "Send the body as application/json.",
            "Send Content-Type: application/json, and the body uncompressed and in UTF-8.",
        ),
        Kind(
            "invalid-request",
            422,
            "The request is not valid",
            "totalSeats: Input should be a valid integer",
            "errors names each member that is wrong, and says why.",
            {"errors": [{"field": "totalSeats", "message": "Input should be a valid integer"}]},
        ),
        Kind(
            "idempotency-key-reused",
            422,
            "The key was used for another request",
            "This Idempotency-Key was sent before with another request. Choose a new one.",
            "Make a new key for each thing that you want done; send the same one only with the same request again.",
        ),
        Kind(
            "rate-limited",
            429,
            "Too many requests",
            "Too many requests: 600 in 60 s are allowed.",
            "Wait for as many seconds as Retry-After says. Ask for jobs at growing intervals.",
            {"policy": "user", "limit": 600},
            True,
        ),
        Kind(
            "head-too-large",
            431,
            "The request's head is too large",
            "A request's head may have 8,192 bytes.",
            "Send fewer or shorter headers and cookies, or a shorter URL.",
        ),
        Kind(
            "internal-error",
            500,
            "Internal error",
            "Something went wrong here. It has been logged.",
            "It is a defect of the service. Tell its operators the X-Request-ID of the answer.",
        ),
        Kind(
            "not-implemented",
            501,
            "Not implemented",
            "This transfer encoding is not implemented.",
            "Send the body with Content-Length or chunked.",
        ),
        Kind(
            "queue-full",
            503,
            "Too many are waiting",
            "Too many requests are waiting.",
            "Try again after as many seconds as Retry-After says.",
            {"limit": 20000},
            True,
        ),
        Kind(
            "feed-full",
            503,
            "Too many are watching",
            "Too many are watching.",
            "Connect again after as many seconds as Retry-After says. Until then, read the seats now and then.",
            {},
            True,
        ),
        Kind(
            "state-unavailable",
            503,
            "Temporarily unavailable",
            "The service cannot reach its data at the moment.",
            "Try again after as many seconds as Retry-After says, with the same Idempotency-Key. If a jobId is given, "
            "the job may have been accepted: read its statusEndpoint first.",
            {},
            True,
        ),
    )
}

#: What only a job can end with, for or against: `result.error`, and what it means.
VERDICTS = {
    "hold-expired": "The hold ended before the reservation was carried out. Hold the seat again.",
    "seat-unknown": "The event is gone, and the seat with it.",
    "deadline-passed": "The job was not carried out in time, and nothing was changed. Send the request again.",
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
    if error.retry_after_s:
        resp.set_header("Retry-After", str(error.retry_after_s))
    if isinstance(error, RequestError):
        resp.set_headers(error.headers)
    if isinstance(error, StateUnavailable) and error.__cause__ is not None:  # else nothing was sent
        log.warning("state unavailable", error=str(error.__cause__))


#: Falcon's own errors that have a kind of their own.
_OF_STATUS = {404: "unknown-route", 405: "method-not-allowed", 413: "body-too-large", 415: "unsupported-media-type"}


def _on_http_error(
    visit: Callable[[falcon.Request], None],
    req: falcon.Request,
    resp: falcon.Response,
    error: falcon.HTTPError,
    params: dict[str, Any],
) -> None:
    """What Falcon refuses before a resource is asked. It counts like what one refuses."""
    try:
        visit(req)
    except ReservationError as limited:
        _on_reservation_error(req, resp, limited, params)
        return
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


def handle_errors(app: falcon.App[falcon.Request, falcon.Response], visit: Callable[[falcon.Request], None]) -> None:
    """Makes every error of an app a problem.

    Arguments:
        visit: counts a request that no resource is asked about; raises RateLimited.
    """
    app.add_error_handler(Exception, _on_exception)
    app.add_error_handler(falcon.HTTPError, partial(_on_http_error, visit))
    app.add_error_handler(ReservationError, _on_reservation_error)


def handle_errors_async(app: "falcon.asgi.App[falcon.asgi.Request, falcon.asgi.Response]") -> None:
    """The same for an ASGI app, where nothing counts what no resource is asked about."""

    async def on_reservation_error(req: Any, resp: Any, error: ReservationError, params: dict[str, Any]) -> None:
        _on_reservation_error(req, resp, error, params)

    async def on_http_error(req: Any, resp: Any, error: falcon.HTTPError, params: dict[str, Any]) -> None:
        _on_http_error(lambda _: None, req, resp, error, params)

    async def on_exception(req: Any, resp: Any, error: Exception, params: dict[str, Any]) -> None:
        _on_exception(req, resp, error, params)

    app.add_error_handler(Exception, on_exception)
    app.add_error_handler(falcon.HTTPError, on_http_error)
    app.add_error_handler(ReservationError, on_reservation_error)
