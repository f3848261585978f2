"""The fields of a config model as a table, read from its JSON Schema: name, type, default, description."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from qecforge.reporting.tables import Column, Table

__all__ = ["fields_table", "type_words"]

COLUMNS = (Column("field"), Column("type"), Column("default"), Column("description"))

_LIMITS = {"minimum": ">= ", "exclusiveMinimum": "> ", "maximum": "<= ", "exclusiveMaximum": "< "}


def fields_table(schema: Mapping[str, Any]) -> Table:
    """A row for each property of an object schema, in its order.

    Args:
        schema: As `pydantic.BaseModel.model_json_schema()` gives it, references into its own `$defs`.

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


def _default(described: Mapping[str, Any]) -> str:
    if "default" not in described:
        return ""
    value = described["default"]
    return "none" if value is None else json.dumps(value, ensure_ascii=False)
