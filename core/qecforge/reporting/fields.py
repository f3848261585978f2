"""The fields of a config model as tables, read from its JSON Schema: name, type, default, description."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qecforge.reporting.tables import Column, Table

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["config_schema", "fields_table", "nested_tables", "type_words"]

COLUMNS = (Column("field"), Column("type"), Column("default"), Column("description"))

_LIMITS = {"minimum": ">= ", "exclusiveMinimum": "> ", "maximum": "<= ", "exclusiveMaximum": "< "}


def config_schema(config: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of a config model, with the defaults that factories make, which pydantic leaves out."""
    schema = config.model_json_schema()
    for name, field in config.model_fields.items():
        if field.default_factory is not None:
            default = field.get_default(call_default_factory=True, validated_data={})
            schema["properties"][field.alias or name]["default"] = _plain(default)
    return schema


def fields_table(schema: Mapping[str, Any]) -> Table:
    """A row for each property of an object schema, in its order.

    Args:
        schema: As `config_schema` gives it, references into its own `$defs`.

    Returns:
        Columns `field`, `type`, `default` (JSON, `required` where there is none) and `description`.
    """
    definitions = schema.get("$defs", {})
    rows = []
    for name, described in schema.get("properties", {}).items():
        required = name in schema.get("required", ())
        rows.append(
            {
                "field": name,
                "type": type_words(described, definitions),
                "default": "required" if required else _default(described),
                "description": described.get("description", ""),
            }
        )
    return Table(COLUMNS, rows)


def nested_tables(schema: Mapping[str, Any]) -> dict[str, Table]:
    """A table for each object that a field's type names, by that name."""
    definitions = schema.get("$defs", {})
    return {
        name: fields_table({**described, "$defs": definitions})
        for name, described in definitions.items()
        if described.get("properties")
    }


def type_words(described: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """A schema in words, such as `integer, >= 2`, `one of "h", "cx"` or `list of number`."""
    if "$ref" in described:
        name = described["$ref"].rsplit("/", 1)[-1]
        target = definitions.get(name, {})
        return name if "properties" in target else type_words(target, definitions)
    for union in ("anyOf", "oneOf"):
        if union in described:
            return " or ".join(dict.fromkeys(type_words(option, definitions) for option in described[union]))
    if "const" in described:
        return json.dumps(described["const"])
    if "enum" in described:
        return "one of " + ", ".join(json.dumps(value) for value in described["enum"])
    kind = described.get("type", "any")
    if kind == "array":
        return _array(described, definitions)
    if kind == "object" and isinstance(described.get("additionalProperties"), Mapping):
        return "mapping to " + type_words(described["additionalProperties"], definitions)
    limits = [f"{sign}{described[key]}" for key, sign in _LIMITS.items() if key in described]
    return ", ".join([kind, *limits])


def _array(described: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "prefixItems" in described:
        return "list [" + ", ".join(type_words(item, definitions) for item in described["prefixItems"]) + "]"
    items = described.get("items")
    return "list of " + type_words(items, definitions) if isinstance(items, Mapping) else "list"


def _plain(value: Any) -> Any:
    """JSON values of a default."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple, set, frozenset)) else value


def _default(described: Mapping[str, Any]) -> str:
    if "default" not in described:
        return ""
    value = described["default"]
    return json.dumps(value, ensure_ascii=False)
