"""Between HTTP and models: reading and checking requests, writing answers."""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import falcon
import jiter
from pydantic import BaseModel, ValidationError

from reservation.errors import InvalidId, NotFound
from reservation_http.errors import BodyTooLarge, InvalidRequest, MalformedJson, UnsupportedMediaType
from reservation_http.middleware import hide_user

#: Largest body, bytes. An event with a name of 200 four-byte characters, escaped, has under 3,000; one with a layout
#: may name some 500 rows.
MAX_BODY = 16_384

#: Longest `Content-Type` that is looked at: the time to read one grows with the square of its length.
_LONGEST_TYPE = 100
#: Most things that an answer says are wrong with a request: it must not be much longer than the request.
_MOST_ERRORS = 20

Model = TypeVar("Model", bound=BaseModel)
Id = TypeVar("Id")


def read_body(req: falcon.Request, model: type[Model]) -> Model:
    """The body as a model. Raises UnsupportedMediaType, BodyTooLarge, MalformedJson, InvalidRequest."""
    if not _is_json(req.content_type or "") or req.get_header("Content-Encoding") is not None:
        raise UnsupportedMediaType("Send the body as application/json, in UTF-8 and not compressed.")
    raw = req.bounded_stream.read(MAX_BODY + 1)
    if len(raw) > MAX_BODY:
        raise BodyTooLarge(f"A body may have {MAX_BODY:,} bytes.")
    hide_user(req, raw)
    if not raw:
        raise MalformedJson("The body is empty.")
    try:
        # pydantic's own parser, asked to be strict: RFC 8259 leaves open which of two equal names counts (section 4).
        given = jiter.from_json(raw, allow_inf_nan=False, catch_duplicate_keys=True)
    except ValueError as error:
        said = str(error)
        if said.startswith("Detected duplicate key"):  # and repeats it
            said = f"a name occurs twice {said[said.rindex(' at line') + 1 :]}"
        raise MalformedJson(f"The body cannot be read as JSON: {said}.") from None
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise _refusal(error) from None


@lru_cache(64)
def _is_json(content_type: str) -> bool:
    """Whether a `Content-Type` is that of JSON, which is UTF-8 (RFC 8259, section 8.1)."""
    if len(content_type) > _LONGEST_TYPE:
        return False
    media_type, options = falcon.parse_header(content_type)
    return media_type.lower() == "application/json" and options.get("charset", "utf-8").lower() == "utf-8"


def read_query(req: falcon.Request, model: type[Model]) -> Model:
    """The query parameters as a model. Raises InvalidRequest."""
    try:
        return model.model_validate(req.params)
    except ValidationError as error:
        raise _refusal(error) from None


def _refusal(error: ValidationError) -> InvalidRequest:
    # The input is not repeated: it may hold a user's UUID.
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return InvalidRequest(
        [
            {
                "field": ".".join(str(part) for part in e["loc"]),
                "message": e["msg"].removeprefix("Value error, "),
            }
            for e in found[:_MOST_ERRORS]
        ]
    )


def digits(value: object) -> object:
    """Checks that a query parameter has digits alone, for pydantic to read. Raises ValueError."""
    # "+1", " 1", "1_0" and "1.0" are integers to Python or pydantic, but to nobody else.
    if not isinstance(value, str) or not value.isascii() or not value.isdigit():
        raise ValueError("Input should be digits")
    return value


def path_id(parse: Callable[[str], Id], text: str) -> Id:
    """An id from a path. One that is malformed names nothing: raises NotFound."""
    try:
        return parse(text)
    except InvalidId:
        raise NotFound("There is nothing with this id.") from None


def write(resp: falcon.Response, model: BaseModel, status: int = 200) -> None:
    """Answers with a model; members without a value are left out."""
    resp.status = status
    resp.content_type = falcon.MEDIA_JSON
    resp.data = as_json(model)


def as_json(model: BaseModel) -> bytes:
    """A model as clients see it."""
    return model.model_dump_json(by_alias=True, exclude_none=True).encode()


def private(resp: falcon.Response) -> None:
    """Marks an answer that differs by caller: no shared cache may keep it."""
    resp.set_header("Cache-Control", "private, no-cache")
    resp.append_header("Vary", "X-User-UUID, Authorization")
