"""How the OpenAPI documents are written: JSON schemas in the dialect of each version, and YAML."""

from collections.abc import Sequence
from typing import Any

import yaml
from apispec import APISpec
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema


class Schemas31(GenerateJsonSchema):
    """JSON schemas as an OpenAPI document wants them: members without a value are left out of
    answers, so `null` is no value of theirs."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        json_schema = super().default_schema(schema)
        if json_schema.get("default", ...) in (None, "", []):
            del json_schema["default"]
        return json_schema


class Schemas30(Schemas31):
    """The same in the dialect of OpenAPI 3.0 (JSON Schema draft wright-00): one `example`, no `const`, `nullable`."""

    def generate(self, schema: core_schema.CoreSchema, mode: JsonSchemaMode = "validation") -> JsonSchemaValue:
        schema_30: JsonSchemaValue = _to_30(super().generate(schema, mode))
        return schema_30

    def generate_definitions(self, inputs: Sequence[Any]) -> Any:
        refs, definitions = super().generate_definitions(inputs)
        return refs, {name: _to_30(schema) for name, schema in definitions.items()}


def _to_30(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_to_30(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    # Where properties are listed, names are not keywords.
    changed = {
        name: {k: _to_30(v) for k, v in value.items()} if name == "properties" else _to_30(value)
        for name, value in schema.items()
    }
    if isinstance(changed.get("type"), list):  # what may be null says so itself: see Schemas31
        changed["type"] = next(kind for kind in changed["type"] if kind != "null")
        changed["nullable"] = True
    if "const" in changed:
        changed["enum"] = [changed.pop("const")]
    if isinstance(changed.get("type"), list):
        (changed["type"],) = (kind for kind in changed["type"] if kind != "null")
        changed["nullable"] = True
    if isinstance(changed.get("examples"), list):
        changed["example"] = changed.pop("examples")[0]
    return changed


class _Dumper(yaml.SafeDumper):
    """Block style throughout: text of several lines as it is, and nothing by reference."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)


_Dumper.add_representer(str, _Dumper.represent_str)


def to_yaml(spec: APISpec) -> str:
    """A document as YAML, in the order it was made."""
    return yaml.dump(spec.to_dict(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
