"""What is fuzzed besides made-up ids: an event that there is, its seats and webhooks, and jobs that were accepted."""

import atexit
import itertools
import json
import os
import re
import zlib
from collections import Counter, deque
from pathlib import Path
from typing import Any

import schemathesis
from pydantic import ValidationError

from reservation.ids import EVENT_ID_PATTERN, MAX_GROUP, MAX_SEATS, MIN_SEATS, SEAT_ID_PATTERN, UUID_PATTERN
from reservation.outside import MAX_URL
from reservation.requests import NewLayout
from reservation.webhook_models import URL_PATTERN
from reservation_http import repeats
from reservation_http.exchange import MAX_BODY

#: A user, an event of 50 seats, and a file for what was answered.
_USER, _EVENT, _TALLY = (os.environ.get(name, "") for name in ("FUZZED_USER", "FUZZED_EVENT", "FUZZ_TALLY"))
_IS_SEAT, _IS_EVENT, _IS_USER, _IS_KEY, _IS_URL = (
    re.compile(pattern).search
    for pattern in (SEAT_ID_PATTERN, EVENT_ID_PATTERN, UUID_PATTERN, repeats.KEY_PATTERN, URL_PATTERN)
)
_LAYOUT = {"sections": [{"name": "Stalls", "rows": [{"seats": 12, "count": 4}, {"name": "Box", "seats": 2}]}]}
_jobs: deque[str] = deque(maxlen=50)
#: Events with a waiting room, and tickets of theirs.
_rooms: deque[str] = deque(maxlen=50)
_tickets: deque[tuple[str, str]] = deque(maxlen=50)
#: Seats that the user was to hold.
_held: deque[str] = deque(maxlen=1)
#: Integers that a body may have.
_INTEGERS = ("totalSeats", "opensAt", "closesAt", "notBefore", "admitPerMinute", "admissionTtl", "quantity")
#: When sales may begin and end, ms.
_TIMES = range(1_000_000_000_000, 4_102_444_800_001)
_webhooks: deque[str] = deque(maxlen=5)
#: Where nobody listens.
_RECEIVER = "http://127.0.0.1:9/"
_numbers = itertools.count()
_answers: Counter[tuple[str, int]] = Counter()


def _is_allowed(url: str) -> bool:
    return len(url) <= MAX_URL and _IS_URL(url) is not None


def _choice(value: object, among: int) -> int:
    """A number for a value, always the same: what Hypothesis tries again has to be what it was."""
    return zlib.crc32(repr(value).encode()) % among


def _fits_the_schema(layout: object) -> bool:
    """Whether a layout is one to the schema, which cannot say how many seats and rows it has in all, nor that no two
    may have one name."""
    try:
        NewLayout.model_validate(_whole(layout))
    except ValidationError as error:
        return all(e["type"] == "value_error" and e["loc"][-1:] != ("name",) for e in error.errors())
    return True


def _whole(value: Any) -> Any:
    """The same with floats as integers that are whole, as JSON Schema takes them."""
    if isinstance(value, dict):
        return {name: _whole(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _are_seats(ids: list[Any]) -> bool:
    """Whether they could be several seats, each named once."""
    return (
        2 <= len(ids) <= MAX_GROUP
        and len({*map(repr, ids)}) == len(ids)
        and all(isinstance(each, str) and _IS_SEAT(each) for each in ids)
    )


@schemathesis.hook
def map_path_parameters(context: schemathesis.HookContext, path_parameters: Any) -> Any:
    """Every other id is one that there is: a path may hold any text, so none that was valid becomes wrong."""
    if not isinstance(path_parameters, dict) or not _EVENT:
        return path_parameters
    known = {"event_id": _EVENT, "seat_id": f"{_EVENT}-{1 + _choice(path_parameters, 50)}"}
    if _jobs:
        known["job_id"] = _jobs[_choice(path_parameters, len(_jobs))]
    if _rooms and context.operation is not None and context.operation.path.endswith("/queue"):
        known["event_id"] = _rooms[_choice(path_parameters, len(_rooms))]
    if _tickets and "ticket" in path_parameters and _choice(path_parameters, 2):
        event_id, ticket = _tickets[_choice(path_parameters, len(_tickets))]
        return {"event_id": event_id, "ticket": ticket}
    if _webhooks:
        known["webhook_id"] = _webhooks[_choice(path_parameters, len(_webhooks))]
    return {name: known.get(name, value) if _choice(value, 2) else value for name, value in path_parameters.items()}


@schemathesis.hook
def filter_body(context: schemathesis.HookContext, body: Any) -> bool:
    """What is too large is 413 whatever else is wrong with it, and that is no refusal to the checks."""
    return not isinstance(body, dict | list) or len(json.dumps(body, default=repr)) <= MAX_BODY


@schemathesis.hook
def map_body(context: schemathesis.HookContext, body: Any) -> Any:
    """Every seat that could be one is mostly one that there is. A float is no integer here, which JSON Schema cannot
    say: to it, 10.0 is one."""
    parts: list[Any] = [body, body.get("waitingRoom")] if isinstance(body, dict) else []
    for part in filter(lambda part: isinstance(part, dict), parts):
        for name in _INTEGERS:
            if isinstance(number := part.get(name), float) and number.is_integer():
                part[name] = int(number)
    if (
        isinstance(body, dict)
        and isinstance(body.get("eventId"), str)
        and _IS_EVENT(body["eventId"])
        and _choice(body, 4)
    ):
        body["eventId"] = _EVENT
    if isinstance(body, dict) and isinstance(ids := body.get("ids"), list) and _are_seats(ids):
        # Of one event, which JSON Schema cannot say.
        body["ids"] = [f"{_EVENT}-{1 + (_choice(ids, 50) + place) % 50}" for place in range(len(ids))]
    if (
        isinstance(body, dict)
        and isinstance(body.get("id"), str)
        and _IS_SEAT(body["id"])
        and (way := _choice(body, 4))
    ):
        body["id"] = f"{_EVENT}-{1 + _choice(body['id'], 50)}"
        # Of one user, whose few seats go through all that a seat can. Who is left out is not put in.
        if way > 1 and ("UUID" not in body or (isinstance(body["UUID"], str) and _IS_USER(body["UUID"]))):
            body["id"] = f"{_EVENT}-{1 + _choice(body['id'], 6)}"
            body |= {"UUID": _USER} if "UUID" in body else {}
            # What is held is found too seldom by chance to be reserved now and then.
            if _held and context.operation is not None and context.operation.path == "/seats/reserve":
                body["id"] = _held[-1]
    return body


@schemathesis.hook
def after_call(
    context: schemathesis.HookContext, case: schemathesis.Case[Any], response: schemathesis.Response
) -> None:
    """Remembers jobs, waiting rooms, tickets and webhooks, and counts answers."""
    answer: Any = response.json() if response.status_code in (201, 202) else {}
    if "jobId" in answer:
        _jobs.append(str(answer["jobId"]))
        body: Any = case.body
        if case.path == "/seats/hold" and isinstance(body, dict) and body.get("UUID", _USER) == _USER:
            _held.append(str(body.get("id") or body["ids"][0]))
    if "waitingRoom" in answer:
        _rooms.append(str(answer["id"]))
    if "ticket" in answer:
        _tickets.append((answer["event"], answer["ticket"]))
    if "secret" in answer:
        _webhooks.append(str(answer["id"]))
    _answers[f"{case.method} {case.path}", response.status_code] += 1


@atexit.register
def _tell() -> None:
    """How often each operation answered with each status, for whoever has started this."""
    if _TALLY:
        rows = [[operation, status, times] for (operation, status), times in sorted(_answers.items())]
        Path(_TALLY).write_text(json.dumps(rows))


def _put_right(case: schemathesis.Case[Any], body: dict[str, Any]) -> None:
    """Sales end after they begin, and not yet, or all that is asked later would be refused; several seats are of one
    event, and those that are blocked of that in the path. No schema can say so."""
    if type(body.get("closesAt")) is int and body["closesAt"] in _TIMES:
        body["closesAt"] = _TIMES[-1]
    if type(body.get("opensAt")) is int and body["opensAt"] == _TIMES[-1]:
        body["opensAt"] -= 1
    event, ids = (case.path_parameters or {}).get("event_id"), body.get("ids")
    if isinstance(ids, list) and _are_seats(ids) and len({each.partition("-")[0] for each in ids}) > 1:
        body["ids"] = [f"{_EVENT}-{number}" for number in range(1, len(ids) + 1)]
    if not (case.path.endswith("block") and isinstance(event, str) and _IS_EVENT(event) and isinstance(ids, list)):
        return
    if all(isinstance(each, str) and _IS_SEAT(each) for each in ids) and len(set(ids)) == len(ids):
        body["ids"] = [f"{event}-{number}" for number in range(1, len(ids) + 1)]


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    """A key belongs to one body: 422 for another is right, and no finding. That a URL's host is there is more than its
    pattern says, and it should not be a stranger's; how many seats a layout has, is more than a schema can say."""
    body: Any = case.body
    if isinstance(body, dict) and "layout" in body and _fits_the_schema(body["layout"]):
        body["layout"] = _LAYOUT
        if type(seats := body.get("totalSeats")) is int and MIN_SEATS <= seats <= MAX_SEATS:
            body["totalSeats"] = 50
    if isinstance(body, dict) and isinstance(url := body.get("url"), str) and _is_allowed(url):
        body["url"] = _RECEIVER
    if isinstance(body, dict):
        _put_right(case, body)
    headers: Any = case.headers or {}
    key = headers.get(repeats.HEADER)
    scenario = getattr(case.meta.phase.data, "scenario", None) if case.meta else None
    # What is changed is looked at anew, and what was left out on purpose would be put in again.
    if isinstance(key, str) and _IS_KEY(key) and getattr(scenario, "name", "") != "MISSING_PARAMETER":
        # The answer that made a webhook comes again, also once that was removed.
        once = f" {next(_numbers)}" if case.path.endswith("/webhooks") else ""
        headers[repeats.HEADER] = str(zlib.crc32(f"{case.path} {case.body!r}{once}".encode(errors="replace")))
