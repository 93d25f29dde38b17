"""The OpenAPI documents, made from what the resources validate with and say of themselves.

`operation` puts a description on a responder; `document` collects them with apispec. Nothing is
written twice: schemas come from the pydantic models, problems from `problems.KINDS`.
"""

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar, get_args

from apispec import APISpec, BasePlugin
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import JsonSchemaMode, models_json_schema

import reservation
from reservation.fields import ApiModel, Millis
from reservation.models import Conflict
from reservation.requests import Group, Holding, QueueEntry, Reserving, SeatAction
from reservation.webhook_models import Message, WebhookType
from reservation_http import repeats, shapes, waiting
from reservation_http.dialects import Schemas30, Schemas31
from reservation_http.problems import KINDS, MEDIA_TYPE, Kind, body

Responder = TypeVar("Responder", bound=Callable[..., None])

#: What every operation may answer, what one may that asks who is there, and what one with a body may.
_ALWAYS = ("internal-error",)
_TO_CALLERS = ("rate-limited",)
_WITH_BODY = (
    "malformed-json",
    "body-too-large",
    "unsupported-media-type",
    "invalid-request",
)
_WITH_KEY = ("idempotency-key-in-use", "idempotency-key-reused")
#: The bodies that name the user, unless a token does.
_OF_USERS = (SeatAction, Holding, Reserving, QueueEntry, Group)
#: Those of jobs, which may be VIP ones.
_IN_TURN = (Holding, Reserving, Group)
#: The same where tokens say who asks.
_TO_BEARERS = ("token-invalid",)
_WITHOUT_TOKEN = ("token-missing",)
_METHODS = ("get", "post", "patch", "delete")

#: What the statuses mean here. Not http.HTTPStatus: its phrases differ between versions of Python.
_DONE = {
    200: "OK",
    201: "Created",
    202: "In the queue",
    204: "Done",
    307: "Elsewhere",
    304: "Unchanged",
    503: "Unavailable",
}
_REFUSED = {
    400: "The request cannot be read",
    401: "It is not known who asks",
    403: "Not allowed",
    404: "Not found",
    409: "The state of what it is about forbids it, or a limit is reached",
    413: "The body is too large",
    415: "The body is not sent as JSON",
    422: "The request is not valid",
    429: "Too many requests",
    500: "Internal error",
    503: "Temporarily unavailable",
}

_TAGS = {
    "events": "What is sold, and what of it is free.",
    "seats": "Hold, refresh, release, reserve, cancel: a seat, or several, all or none.",
    "jobs": "How a hold or a reservation ended.",
    "webhooks": "What happens to seats, told to whoever asked for it.",
    "feed": "What happens to seats, as it happens. Nobody is told who did it.",
    "health": "For balancers, orchestrators and monitoring.",
    "operations": "For those who run the service.",
}
_ABOUT = """\
Sells numbered seats for events, and never sells one twice.

## In four steps

1. **Create an event** (`POST /events/create`), or pick one that is there.
2. **Hold a seat** (`POST /seats/hold`). It is yours for a limited time, a minute by default.
3. **Follow the job** that this answers with (`GET /seats/job/{job_id}/status`), and refresh the hold while you
   need more time.
4. **Reserve the seat** (`POST /seats/reserve`), and follow that job. It is yours for good.

Meanwhile `GET /events/{event_id}/stream` tells you of every change of every seat, as it happens.

## Jobs

Holds and reservations are carried out by workers. They are answered `202` with a job, or with a refusal where that is
certain at once. Every job ends by its `deadline`: as `completed`, with a verdict for or against in `result`, or as
`failed`, and then nothing was changed. From `202` on, a reservation keeps its seat however long the queue.

## Sending again

Give every POST an `Idempotency-Key` of its own. If you do not know what came of a request, send it again with the same
key and body: it is done once, and answered as the first time.

## Who you are

You are the subject of your bearer token, or, where the service takes no tokens, a UUID that only you know. Your `UUID`
is shown to you alone; everybody else sees that a seat is taken, not by whom.

## Times and errors

Times are epoch milliseconds; count down against `serverTime`. Errors are `application/problem+json` (RFC 9457):
programs go by `type`, and by `retryable` where sending the same again may help.

## What may change

Without notice there may be new paths, new members of answers, and new values of `status`, `cause`, `error` and `type`:
pass over what you do not know, and take a seat in a state that you do not know for one that cannot be had. What is
here stays as it is; what breaks it comes under `/v2`, twelve months before this may go, with `Deprecation` (RFC 9745)
and `Sunset` (RFC 8594). `docs/guide.md` of the source has all of it, under *What may change*."""


class Problem(ApiModel):
    """What went wrong (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: Annotated[str, Field(description="Stable name of the kind of problem.", examples=["/problems/seat-held"])]
    title: str
    status: int
    detail: Annotated[str, Field(description="For people.")]
    retryable: Annotated[bool, Field(description="Whether the same request may succeed later.")]
    current_status: Annotated[str | None, Field(description="The seat's status, where that decided.")] = None
    limit: Annotated[int | None, Field(description="The limit that was reached: seats, jobs or requests.")] = None
    held: Annotated[int | None, Field(description="Seats you hold.")] = None
    requested: Annotated[int | None, Field(description="Seats that would have been added.")] = None
    largest_block: Annotated[int | None, Field(description="Most free seats next to one another.")] = None
    free: Annotated[int | None, Field(description="Free seats.")] = None
    conflicts: Annotated[
        list[Conflict] | None, Field(description="Of several seats, those because of which it was done to none.")
    ] = None
    opens_at: Annotated[Millis | None, Field(description="When sales begin.")] = None
    closes_at: Annotated[Millis | None, Field(description="When they have ended.")] = None
    server_time: Millis | None = None
    queue_endpoint: Annotated[str | None, Field(description="Where tickets of the waiting room are drawn.")] = None
    reserving_until: Millis | None = None
    expires_at: Annotated[Millis | None, Field(description="When a hold ends that cannot be refreshed.")] = None
    errors: Annotated[
        list[dict[str, str]] | None, Field(description="`field` and `message` for each thing that is not valid.")
    ] = None
    scope: Annotated[str | None, Field(description="What the token would have to allow.")] = None
    policy: Annotated[str | None, Field(description="Which rate limit was reached.")] = None
    job_id: Annotated[str | None, Field(description="The job that may have been accepted all the same.")] = None
    status_endpoint: Annotated[str | None, Field(description="Where that job is read.")] = None


@dataclass(frozen=True)
class Operation:
    """What a responder says of itself; see `operation`."""

    id: str
    summary: str
    description: str
    tag: str
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    scope: str | None = None
    user_header: bool = False
    resumes: bool = False
    prefers_wait: bool = False
    owner: bool = False
    open: bool = False
    unkeyed: bool = False
    admission: bool = False
    security: str = ""
    text: dict[str, str] = field(default_factory=dict)
    answers: dict[int, type[BaseModel] | None] = field(default_factory=dict)
    headers: dict[int, dict[str, str]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def needs_token(self) -> bool:
        """Whether it is for nobody without one, where tokens say who asks."""
        return self.owner or self.body is not None or self.scope is not None

    @property
    def keyed(self) -> bool:
        """Whether it takes an `Idempotency-Key`."""
        return self.body is not None and not self.unkeyed

    def kinds(self, tokens: bool) -> list[Kind]:
        """Every problem this operation may answer with.

        Arguments:
            tokens: whether it is tokens that say who asks.
        """
        slugs = {*self.problems, *_ALWAYS, *(_WITH_BODY if self.body else ()), *(_WITH_KEY if self.keyed else ())}
        if not self.open:
            slugs.update(_TO_CALLERS)
        if tokens and not self.open:
            slugs.update(_TO_BEARERS)
            slugs.update(_WITHOUT_TOKEN if self.needs_token else ())
            slugs.update(["user-mismatch"] if self.body in _OF_USERS else ())
            slugs.update(["scope-missing"] if self.scope or self.body in _IN_TURN else ())
        return [kind for kind in KINDS.values() if kind.slug in slugs]

    def models(self) -> Iterable[tuple[type[BaseModel], JsonSchemaMode]]:
        """The models it takes and gives."""
        if self.body:
            yield self.body, "validation"
        for model in self.answers.values():
            if model:
                yield model, "serialization"


def operation(operation_id: str, summary: str, **rest: Any) -> Callable[[Responder], Responder]:
    """Describes a responder; its docstring is the description.

    Arguments:
        operation_id: the name generated clients give it.
        summary: what it does, in a line.
        rest: the other fields of `Operation`: tag, body and query models, the scope that a token
            needs, whether it shows a user to who is that user, whether it is about that user only, whether it is
            a stream that can be resumed, whether its answer may wait for a job to end, whether it asks nobody who
            they are, another security scheme that it may go by, whether it needs no `Idempotency-Key`, whether it
            asks who is admitted, examples of an answer that is text by media type, answers and headers by status,
            slugs of its own problems.
    """

    def describe(responder: Responder) -> Responder:
        description = inspect.cleandoc(responder.__doc__ or "").replace("\n", " ")
        responder.operation = Operation(operation_id, summary, description, **rest)  # type: ignore[attr-defined]  # functions take attributes
        return responder

    return describe


class _Resources(BasePlugin):
    """Lets apispec read operations off Falcon resources.

    Arguments:
        tokens: whether it is tokens that say who asks.
    """

    def __init__(self, tokens: bool) -> None:
        self._tokens = tokens

    def operation_helper(
        self, path: str | None = None, operations: dict[str, Any] | None = None, *, resource: Any = None, **_: Any
    ) -> None:
        """Describes the path's operations from its resource."""
        if operations is None or path is None:
            raise ValueError("apispec gave no path")
        for method in _METHODS:
            described: Operation | None = getattr(getattr(resource, f"on_{method}", None), "operation", None)
            if described is not None:
                operations[method] = _describe(described, path, self._tokens)


def _describe(op: Operation, path: str, tokens: bool) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": op.id,
        "summary": op.summary,
        "description": op.description,
        "tags": [op.tag],
        "parameters": [*_path_parameters(path), *_query_parameters(op.query)],
        "responses": {**_answers(op), **_problems(op, tokens)},
    }
    if tokens and not op.open:
        # Who reads may have a token, and is shown more then.
        bearer = {_BEARER: [op.scope] if op.scope else []}
        described["security"] = [bearer] if op.needs_token else [bearer, {}]
    if op.security:
        described["security"] = [{op.security: []}, {}]
    if (op.user_header or op.owner) and not tokens:
        described["parameters"].append(
            {
                "name": "X-User-UUID",
                "in": "header",
                "required": op.owner,
                "schema": {"type": "string", "format": "uuid"},
                "description": "You. UUIDs in the answer are shown if they are this one.",
            }
        )
    if op.resumes:
        described["parameters"].append(
            {
                "name": "Last-Event-ID",
                "in": "header",
                "schema": {"type": "string"},
                "description": "`id` of the last event that you have: go on from there.",
            }
        )
    if op.prefers_wait:
        described["parameters"].append(
            {
                "name": waiting.HEADER,
                "in": "header",
                "schema": {"type": "string"},
                "description": "`wait=10`: if the job ends within so many seconds, at most "
                f"{waiting.LONGEST_WAIT_S}, answer with the job, and 200 (RFC 7240). Otherwise, and at once where many "
                "wait, the answer is 202. Any other preference is ignored.",
            }
        )
    if op.admission:
        described["parameters"].append(
            {
                "name": "Admission",
                "in": "header",
                "schema": {"type": "string"},
                "description": "`admission` of your ticket, where the event has a waiting room.",
            }
        )
    if op.keyed:
        described["parameters"].append(
            {
                "name": repeats.HEADER,
                "in": "header",
                "schema": {"type": "string", "pattern": repeats.KEY_PATTERN},
                # No example: one that is filled in for whoever tries it out would be used twice.
                "description": "Of your choice, a new one for each thing that you want done, as in "
                '`"8e03978e-40d5-43dd-bc93-6894a57f9324"`. Sent again with the same key and body, within 24 hours '
                "unless configured otherwise, the request is answered as the first time, and done once.",
            }
        )
    if op.body:
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": _content(op.body)},
        }
    return described


def _content(model: type[BaseModel]) -> dict[str, Any]:
    from reservation_http.examples import example

    return {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}, "example": example(model)}


def _path_parameters(path: str) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _query_parameters(model: type[BaseModel] | None) -> list[dict[str, Any]]:
    if model is None:
        return []
    properties = model.model_json_schema(schema_generator=Schemas31)["properties"]
    return [
        {
            "name": name,
            "in": "query",
            "description": schema["description"],
            "schema": {k: v for k, v in schema.items() if k not in ("title", "description")},
        }
        for name, schema in properties.items()
    ]


def _answers(op: Operation) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    if op.text:
        about = {name: {"description": text, "schema": {"type": "string"}} for name, text in _headers(op, 200)}
        content = {kind: {"schema": {"type": "string"}, "example": text} for kind, text in op.text.items()}
        answers["200"] = {"description": _DONE[200], "headers": about, "content": content}
    for status, model in op.answers.items():
        text = {name: {"description": about, "schema": {"type": "string"}} for name, about in _headers(op, status)}
        answer = answers.setdefault(str(status), {"description": _DONE[status], "headers": text})
        if model:
            answer["content"] = {"application/json": _content(model), **answer.get("content", {})}
    return answers


def _headers(op: Operation, status: int) -> list[tuple[str, str]]:
    replayed = [("Idempotency-Replayed", "`true`: this is the answer to the first request with this key.")]
    return [
        ("X-Request-ID", "Names this request in the logs."),
        *(replayed if op.keyed else []),
        *op.headers.get(status, {}).items(),
    ]


def _problems(op: Operation, tokens: bool) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for kind in op.kinds(tokens):
        answer = answers.setdefault(
            str(kind.status),
            {
                "description": _REFUSED[kind.status],
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}},
            },
        )
        answer["content"][MEDIA_TYPE]["examples"][kind.slug] = {
            "summary": kind.title,
            "value": body(kind.slug, kind.detail, kind.example, retryable=kind.retryable),
        }
        for name, about in _PROBLEM_HEADERS.get(kind.status, {}).items():
            answer.setdefault("headers", {})[name] = about
    return answers


_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}}
_TEXT = {"schema": {"type": "string"}}
_PROBLEM_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"description": "As in RFC 6750.", **_TEXT}},
    409: _RETRY_AFTER,
    429: {
        **_RETRY_AFTER,
        "RateLimit": {"description": "The limit, what remains of it, and for how many seconds.", **_TEXT},
        "RateLimit-Policy": {"description": "The limit, its requests, and its seconds.", **_TEXT},
    },
    503: _RETRY_AFTER,
}

#: The names of the security schemes: of who asks, and of what collects metrics.
_BEARER, METRICS_TOKEN = "bearer", "metricsToken"


def document(routes: Sequence[tuple[str, object]], version: str = "3.1.0", *, tokens: bool = True) -> APISpec:
    """The document of a service.

    Arguments:
        routes: paths and their resources; those that describe no operation are left out.
        version: of OpenAPI: 3.1.0 or 3.0.3.
        tokens: whether it is tokens that say who asks.
    """
    spec = APISpec(
        title="Seat reservation",
        version=reservation.__version__,
        openapi_version=version,
        plugins=[_Resources(tokens)],
        info={"description": _ABOUT},
        externalDocs={"description": "Quick start", "url": "/docs/quickstart"},
        tags=[{"name": name, "description": about} for name, about in _TAGS.items()],
        servers=[{"url": "/"}],
    )
    described = [(path, resource) for path, resource in routes if any(_operations(resource))]
    wanted = dict.fromkeys(pair for _, resource in described for op in _operations(resource) for pair in op.models())
    generator = Schemas30 if version.startswith("3.0") else Schemas31
    if generator is Schemas31:  # 3.0 has no place for them
        spec.options["webhooks"] = {kind: {"post": _posted(kind)} for kind in get_args(WebhookType)}
        wanted[Message, "serialization"] = None
    _, schemas = models_json_schema(
        [*wanted, (Problem, "serialization")],
        ref_template="#/components/schemas/{model}",
        schema_generator=generator,
    )
    if tokens:
        about = (
            "A JSON Web Token. Its subject is the user; scopes are `events:write`, `seats:read`, `seats:vip` and "
            "`ops:read`."
        )
        scheme = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": about}
        spec.components.security_scheme(_BEARER, scheme)
    about = "`METRICS_TOKEN` of the service, where it has one."
    spec.components.security_scheme(METRICS_TOKEN, {"type": "http", "scheme": "bearer", "description": about})
    if not tokens:
        for model in _OF_USERS:
            schemas["$defs"][model.__name__].setdefault("required", []).append("UUID")
    for name, schema in shapes.named(schemas["$defs"]).items():
        spec.components.schema(name, schema)
    for path, resource in described:
        spec.path(path=path, resource=resource)
    return spec


def _posted(kind: str) -> dict[str, Any]:
    """What is posted to webhooks that asked for this type."""
    about = {
        "webhook-id": "Names the message: the same each time it is sent.",
        "webhook-timestamp": "When it was sent, epoch seconds.",
        "webhook-signature": "`v1,` and HMAC-SHA256 of `<webhook-id>.<webhook-timestamp>.<body>`, in base64.",
    }
    headers = [
        {"name": name, "in": "header", "required": True, "description": text, "schema": {"type": "string"}}
        for name, text in about.items()
    ]
    return {
        "operationId": "on" + "".join(part.capitalize() for part in kind.split(".")),
        "summary": kind,
        "description": "Signed as Standard Webhooks has it (https://www.standardwebhooks.com). It may come more than "
        "once, and in another order than it happened.",
        "tags": ["webhooks"],
        "parameters": headers,
        "requestBody": {"required": True, "content": {"application/json": _content(Message)}},
        "responses": {
            "2XX": {"description": "It has arrived, and is not sent again."},
            "410": {"description": "Nothing is wanted here any more: the webhook is disabled."},
            "default": {"description": "It has not, and is sent again later."},
        },
    }


def _operations(resource: object) -> Iterable[Operation]:
    for method in _METHODS:
        op = getattr(getattr(resource, f"on_{method}", None), "operation", None)
        if op is not None:
            yield op
