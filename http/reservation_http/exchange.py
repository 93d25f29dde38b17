"""Between HTTP and models: reading and checking requests, writing answers."""

from collections.abc import Callable
from typing import TypeVar

import falcon
from pydantic import BaseModel, ValidationError

from reservation.errors import InvalidId, NotFound
from reservation.ids import parse_uuid
from reservation_http.problems import BodyTooLarge, InvalidRequest, MalformedJson, UnsupportedMediaType

#: Largest body, bytes. The largest valid one, an event with a name of 200 four-byte characters,
#: escaped, has under 3,000.
MAX_BODY = 16_384

Model = TypeVar("Model", bound=BaseModel)
Id = TypeVar("Id")


def read_body(req: falcon.Request, model: type[Model]) -> Model:
    """The body as a model. Raises UnsupportedMediaType, BodyTooLarge, MalformedJson, InvalidRequest."""
    media_type = (req.content_type or "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMediaType("Send the body as application/json.")
    raw = req.bounded_stream.read(MAX_BODY + 1)
    if len(raw) > MAX_BODY:
        raise BodyTooLarge(f"A body may have {MAX_BODY:,} bytes.")
    if not raw:
        raise MalformedJson("The body is empty.")
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise _refusal(error) from None


def read_query(req: falcon.Request, model: type[Model]) -> Model:
    """The query parameters as a model. Raises InvalidRequest."""
    try:
        return model.model_validate(req.params)
    except ValidationError as error:
        raise _refusal(error) from None


def _refusal(error: ValidationError) -> InvalidRequest | MalformedJson:
    # The input is not repeated: it may hold a user's UUID.
    found = error.errors(include_url=False, include_input=False, include_context=False)
    if found[0]["type"] == "json_invalid":
        return MalformedJson(f"The body cannot be read as JSON: {found[0]['msg'].removeprefix('Invalid JSON: ')}.")
    return InvalidRequest(
        [
            {
                "field": ".".join(str(part) for part in e["loc"]),
                "message": e["msg"].removeprefix("Value error, "),
            }
            for e in found
        ]
    )


def path_id(parse: Callable[[str], Id], text: str) -> Id:
    """An id from a path. One that is malformed names nothing: raises NotFound."""
    try:
        return parse(text)
    except InvalidId:
        raise NotFound("There is nothing with this id.") from None


def caller(req: falcon.Request) -> str | None:
    """The user a reader says they are (`X-User-UUID`), or None. Raises InvalidRequest."""
    given = req.get_header("X-User-UUID")
    if given is None:
        return None
    try:
        return parse_uuid(given)
    except InvalidId as error:
        raise InvalidRequest([{"field": "X-User-UUID", "message": error.detail}]) from None


def write(resp: falcon.Response, model: BaseModel, status: int = 200) -> None:
    """Answers with a model; members without a value are left out."""
    resp.status = status
    resp.content_type = falcon.MEDIA_JSON
    resp.data = model.model_dump_json(by_alias=True, exclude_none=True).encode()


def private(resp: falcon.Response) -> None:
    """Marks an answer that differs by caller: no shared cache may keep it."""
    resp.set_header("Cache-Control", "private, no-cache")
    resp.append_header("Vary", "X-User-UUID")
