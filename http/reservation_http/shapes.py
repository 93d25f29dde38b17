"""Schemas that generators make good types of.

Most of them make a class of what has a name, and nothing useful of alternatives that only list required members:
the body of a hold would be of any type. What is valid stays the same.
"""

from typing import Any, get_args

from reservation.fields import Adjacent, JobStatus, JobType, Priority, SeatStatus, TicketStatus
from reservation.webhook_models import DeliveryStatus, WebhookType

#: Words that occur in several places, each a type of its own name instead of one for each place.
_WORDS = {
    "Adjacent": Adjacent,
    "DeliveryStatus": DeliveryStatus,
    "JobStatus": JobStatus,
    "JobType": JobType,
    "Priority": Priority,
    "SeatStatus": SeatStatus,
    "TicketStatus": TicketStatus,
    "WebhookType": WebhookType,
}
_NAMES = {get_args(words): name for name, words in _WORDS.items()}


def named(schemas: dict[str, Any]) -> dict[str, Any]:
    """The same schemas, with names for words and for alternatives."""
    found: dict[str, Any] = {}
    for name, schema in schemas.items():
        found |= _alternatives(name, _words(schema, found))
    return dict(sorted(found.items()))


def _words(schema: Any, found: dict[str, Any]) -> Any:
    """The schema with references to words that have a name, which is put among those that were found."""
    if isinstance(schema, list):
        return [_words(each, found) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if (name := _NAMES.get(tuple(schema.get("enum", ())))) is not None:
        found[name] = {"type": "string", "enum": schema["enum"], "title": name}
        rest = {word: value for word, value in schema.items() if word not in ("enum", "type", "title")}
        return {"$ref": f"#/components/schemas/{name}", **rest}
    return {word: _words(value, found) for word, value in schema.items()}


def _alternatives(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A schema of which one of several members has to be there: one schema for each of them, and one for all."""
    word = next((word for word in ("oneOf", "anyOf") if word in schema), None)
    if word is None:
        return {name: schema}
    members = [each["required"][0] for each in schema[word]]
    rest = {key: value for key, value in schema.items() if key not in (word, "description", "title", "required")}
    parts = {}
    for member in members:
        others = set(members) - {member} if word == "oneOf" else set()
        title = f"{name}By{member[0].upper()}{member[1:]}"
        parts[title] = {
            **rest,
            "title": title,
            "description": schema["description"],
            "required": [*schema.get("required", ()), member],
            "properties": {key: value for key, value in schema["properties"].items() if key not in others},
        }
    all_of_them = [{"$ref": f"#/components/schemas/{title}"} for title in parts]
    return {name: {word: all_of_them, "title": name, "description": schema["description"]}, **parts}
