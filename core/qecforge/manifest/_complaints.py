"""What pydantic found wrong, in words: one complaint for each place, where, got, expected."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from qecforge.contracts.refusals import expected
from qecforge.errors import did_you_mean, nearest, one_line
from qecforge.manifest._yaml import Node, plain, shown

__all__ = ["Complaint", "Path", "complaints", "unknown_key"]

Path: TypeAlias = tuple[str | int, ...]
"""Keys and indices from a section down to a value."""


@dataclass(frozen=True)
class Complaint:
    """One thing that is wrong, at a path below the section; `at_key`: the key itself, not its value."""

    path: Path
    text: str
    at_key: bool = False


def complaints(error: ValidationError, model: type[BaseModel], node: Node) -> list[Complaint]:
    """One complaint for each offending place. Of a union only the branch that was meant is heard."""
    details = _of_meant_branches(error.errors(include_url=False), node)
    by_path: dict[Path, list[ErrorDetails]] = {}
    for detail in details:
        by_path.setdefault(_real_path(detail, node), []).append(detail)
    deepest = {path: each for path, each in by_path.items() if not any(_above(path, other) for other in by_path)}
    misspelt = _misspelt(deepest)
    return [_complaint(path, each, model, node) for path, each in deepest.items() if path not in misspelt]


def _misspelt(by_path: Mapping[Path, list[ErrorDetails]]) -> set[Path]:
    """Missing keys that are there under a name much like theirs: the unknown key is complaint enough."""
    missing = {path for path, details in by_path.items() if details[0]["type"] == "missing"}
    unknown = [path for path, details in by_path.items() if details[0]["type"] == "extra_forbidden"]
    return {
        (*path[:-1], name)
        for path in unknown
        for name in nearest(str(path[-1]), [str(other[-1]) for other in missing if other[:-1] == path[:-1]])
    }


def _above(path: Path, other: Path) -> bool:
    return len(path) < len(other) and other[: len(path)] == path


def _real_path(detail: ErrorDetails, node: Node) -> Path:
    """The location without what pydantic adds for unions and validators."""
    path: list[str | int] = []
    for index, part in enumerate(detail["loc"]):
        last = index == len(detail["loc"]) - 1
        if isinstance(part, str) and part in node.entries:
            path.append(part)
            node = node.entries[part].node
        elif isinstance(part, int) and part < len(node.items):
            path.append(part)
            node = node.items[part]
        elif last and isinstance(part, str) and detail["type"] == "missing":
            path.append(part)
    return tuple(path)


def _of_meant_branches(details: list[ErrorDetails], node: Node) -> list[ErrorDetails]:
    """Without the complaints of union branches that fit worse than another branch.

    A location such as `('p', 'LogSpace', 'log_space', 1)` names the branch after the real path. Branches that refuse
    the value as a whole, or whose keys differ, fit worse than one that only dislikes a value inside.
    """
    groups: dict[tuple[Any, ...], dict[Any, list[ErrorDetails]]] = {}
    for detail in details:
        if (split := _branch_at(detail, node)) is not None:
            groups.setdefault(detail["loc"][:split], {}).setdefault(detail["loc"][split], []).append(detail)
    dropped: set[int] = set()
    for prefix, branches in groups.items():
        misfits = {branch: _misfit(each, len(prefix)) for branch, each in branches.items()}
        least = min(misfits.values())
        dropped |= {id(detail) for branch, each in branches.items() if misfits[branch] > least for detail in each}
    return [detail for detail in details if id(detail) not in dropped]


def _branch_at(detail: ErrorDetails, node: Node) -> int | None:
    """Index of the first location part that names a union's branch and not a key or index."""
    for index, part in enumerate(detail["loc"]):
        if isinstance(part, str) and part in node.entries:
            node = node.entries[part].node
        elif isinstance(part, int) and part < len(node.items):
            node = node.items[part]
        elif detail["type"] == "missing" and index == len(detail["loc"]) - 1:
            return None
        else:
            return index
    return None


_WHOLE = re.compile(r"_type$|_parsing$|^literal_error$|^enum$")


def _misfit(details: list[ErrorDetails], depth: int) -> tuple[int, int]:
    """How badly a branch fits: 2 refuses the whole value, 1 wants other keys, 0 dislikes something inside."""
    shallow = [detail for detail in details if len(detail["loc"]) <= depth + 2]
    whole = any(len(detail["loc"]) == depth + 1 and _WHOLE.search(detail["type"]) for detail in shallow)
    keys = any(detail["type"] in ("missing", "extra_forbidden") for detail in shallow)
    return (2 if whole else 1 if keys else 0), 0 if whole else len(details)


def _complaint(path: Path, details: list[ErrorDetails], model: type[BaseModel], node: Node) -> Complaint:
    """The complaints about one place, joined: of a union each branch may have one."""
    first = details[0]
    if first["type"] == "missing" and isinstance(first["loc"][-1], int):
        given = plain(_below(node, path))
        return Complaint(path, f"got {shown(given)}, expected more items (item {first['loc'][-1]} is missing)")
    if first["type"] == "missing":
        return Complaint(path, f"is missing{_described(model, path)}: add it")
    if first["type"] == "extra_forbidden":
        known = [name for detail in details for name in _keys(model, path[:-1], detail["loc"])]
        return Complaint(path, unknown_key(path[-1] if path else "", known), at_key=True)
    if first["type"] in ("value_error", "assertion_error"):
        return _from_validator(path, first, model)
    given = plain(_below(node, path)) if not path or first["loc"][-1] == path[-1] else first["input"]
    numeric = isinstance(given, bool) and first["type"] in _NUMERIC
    expectations = ["a number"] if numeric else list(dict.fromkeys(expected(detail) for detail in details))
    return Complaint(path, f"got {shown(given)}, expected {' or '.join(expectations)}{_described(model, path)}")


def unknown_key(key: object, known: Iterable[str]) -> str:
    """What to say about a key that is not known."""
    names = list(dict.fromkeys(known))
    return (
        f"unknown key.{did_you_mean(str(key), names)} Known: {', '.join(names)}"
        if names
        else "unknown key, none is known here: remove it"
    )


def _from_validator(path: Path, detail: ErrorDetails, model: type[BaseModel]) -> Complaint:
    """A validator's own words; at the field that they begin with (`n: …`, `n[0]: …`, `n is …`, `n = …`), if any."""
    error = detail.get("ctx", {}).get("error")
    text = one_line(str(error) if error is not None else detail["msg"])
    names = {name for branch in _models_at(model, path) for name in _names(branch)}
    if (found := re.match(r"(\w+)(?:\[(\d+)\])?(: | is | = )", text)) and found[1] in names:
        item = () if found[2] is None else (int(found[2]),)
        return Complaint((*path, found[1], *item), text[found.end() :] if found[3] == ": " else text)
    return Complaint(path, text)


_NUMERIC = ("greater_than", "greater_than_equal", "less_than", "less_than_equal", "multiple_of")


def _described(model: type[BaseModel], path: Path) -> str:
    """The description of the field at a path, in brackets."""
    if not path or not isinstance(path[-1], str):
        return ""
    for branch in _models_at(model, path[:-1]):
        field = _names(branch).get(path[-1])
        if field is not None and field.description:
            text = one_line(field.description).rstrip(".")
            return f" ({text if len(text) <= 120 else text[:117] + '...'})"
    return ""


def _keys(model: type[BaseModel], path: Path, loc: tuple[int | str, ...]) -> list[str]:
    """Keys that may stand at a path; where the location names one of a union's branches, that one's."""
    models = list(_models_at(model, path))
    named = [each for each in models if each.__name__ in loc]
    return [name for each in named or models for name in _names(each)]


def _names(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """A model's fields by the key that a manifest uses."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _models_at(model: type[BaseModel], path: Path) -> Iterator[type[BaseModel]]:
    """The models that the value at a path may be."""
    if not path:
        yield model
        return
    field = _names(model).get(str(path[0]))
    if field is not None:
        rest = tuple(part for part in path[1:] if isinstance(part, str))
        for below in _models_in(field.annotation):
            yield from _models_at(below, rest)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a type mentions."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models_in(argument)


def _below(node: Node, path: Path) -> Node:
    """The node at a real path."""
    for part in path:
        node = node.entries[part].node if isinstance(part, str) else node.items[part]
    return node
