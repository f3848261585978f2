"""What pydantic would have liked a value to be, in a few words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import ErrorDetails

from qecforge.errors import one_line

__all__ = ["expected", "refusal"]

_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "tuple": "a list",
    "set": "a list without repetitions",
    "frozen_set": "a list without repetitions",
    "dict": "a mapping",
    "model": "a mapping",
    "model_attributes": "a mapping",
    "dataclass": "a mapping",
    "none_required": "null",
    "path": "a path",
}

_BOUNDS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than": lambda ctx: f"more than {_number(ctx['gt'])}",
    "greater_than_equal": lambda ctx: f"{_number(ctx['ge'])} or more",
    "less_than": lambda ctx: f"less than {_number(ctx['lt'])}",
    "less_than_equal": lambda ctx: f"{_number(ctx['le'])} or less",
    "multiple_of": lambda ctx: f"a multiple of {_number(ctx['multiple_of'])}",
    "finite_number": lambda ctx: "a finite number",
    "literal_error": lambda ctx: _listed(ctx["expected"]),
    "enum": lambda ctx: _listed(ctx["expected"]),
    "union_tag_invalid": lambda ctx: _listed(ctx["expected_tags"]),
    "union_tag_not_found": lambda ctx: f"the key {ctx['discriminator']}",
    "too_short": lambda ctx: f"{ctx['min_length']} or more items, got {ctx['actual_length']}",
    "too_long": lambda ctx: f"at most {ctx['max_length']} items",
    "string_too_short": lambda ctx: f"text of {ctx['min_length']} or more characters",
    "string_too_long": lambda ctx: f"text of at most {ctx['max_length']} characters",
    "string_pattern_mismatch": lambda ctx: f"text that matches {ctx['pattern']}",
}


def _number(value: Any) -> str:
    """A bound as one would write it: 1 and not 1.0."""
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
    return str(int(value) if whole else value)


def _listed(alternatives: str) -> str:
    return " or ".join(alternatives.replace(" or ", ", ").split(", "))


def expected(detail: ErrorDetails) -> str:
    """What the value should have been, such as `1 or more`."""
    kind = detail["type"]
    if kind in _BOUNDS:
        return _BOUNDS[kind](detail.get("ctx", {}))
    if kind in _KINDS:
        return _KINDS[kind]
    stem = re.sub(r"_(type|parsing|from_float|parsing_size|string|sub_type|unicode)$", "", kind)
    if stem in _KINDS:
        return _KINDS[stem]
    return one_line(re.sub(r"^(Input|Value) should (be|have) ", "", detail["msg"]))


def refusal(detail: ErrorDetails) -> str:
    """What was got and what is expected; a validator's own words where it is one that refuses."""
    if detail["type"] in ("value_error", "assertion_error"):
        error = detail.get("ctx", {}).get("error")
        return one_line(str(error) if error is not None else detail["msg"])
    if detail["type"] == "extra_forbidden":
        return f"is no setting, got {one_line(repr(detail['input']), 60)}"
    return f"got {one_line(repr(detail['input']), 60)}, expected {expected(detail)}"
