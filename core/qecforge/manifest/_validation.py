"""A configuration model filled from a YAML node, and its canonical JSON form."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError

from qecforge.errors import ManifestError, PluginError, UserError, one_line
from qecforge.manifest._complaints import Complaint, Path, complaints
from qecforge.manifest._yaml import JSONValue, Node, Place, plain, shown

__all__ = ["canonical_json", "config_values", "dotted", "unfit_teacher", "validated"]

M = TypeVar("M", bound=BaseModel)


def validated(model: type[M], node: Node, path: Path, owner: str) -> M:
    """`node` as an instance of `model`.

    Args:
        path: Of the node in the manifest.
        owner: Who is to blame if the model itself fails: `ppo (qecforge 0.1.0)`.

    Raises:
        ManifestError: at the place of each offending key (`ManifestError.all`).
        PluginError: the model cannot be used: a validator crashed, or its JSON form does not give it back.
    """
    values = plain(node)
    try:
        config = model.model_validate_json(json.dumps(values))
    except ValidationError as error:
        raise _joined(complaints(error, model, node), node, path) from error
    except UserError as error:
        raise node.place.error(one_line(str(error)), dotted(path)) from error
    except Exception as error:
        raise PluginError(
            f"{owner} failed while it checked `{dotted(path)}`: {type(error).__name__}: {one_line(str(error))}. "
            "Report it to the plugin's authors."
        ) from error
    dumped = config_values(config, owner)
    if coerced := list(_coerced(values, dumped, ())):
        raise _joined(coerced, node, path)
    _check_round_trip(config, dumped, owner)
    return config


def config_values(config: BaseModel, owner: str) -> dict[str, Any]:
    """A configuration as JSON values, defaults filled in; sets in a fixed order.

    Raises:
        PluginError: it holds what JSON cannot.
    """
    try:
        values = config.model_dump(mode="json", by_alias=True, warnings="error")
        ordered = _ordered(values, config.model_dump(mode="python", by_alias=True, warnings=False))
        canonical_json(ordered)
    except (PydanticSerializationError, ValueError) as error:
        raise PluginError(
            f"{owner}: its configuration has no canonical JSON form: {one_line(str(error))}. "
            "Report it to the plugin's authors."
        ) from error
    return typing.cast("dict[str, Any]", ordered)


def canonical_json(values: Any) -> str:
    """The one JSON text of these values: sorted keys, no spaces, shortest floats. Raises `ValueError` for NaN, inf."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def unfit_teacher(theirs: str, ours: str) -> str | None:
    """Why a teacher cannot be quantized for a run: its environment or reward is another. None where neither is.

    Args:
        theirs, ours: Canonical texts of the two runs.
    """
    sections = ("environment", "reward")
    got, expected = ({section: json.loads(text)[section] for section in sections} for text in (theirs, ours))
    difference = _first_difference(got, expected, ())
    if difference is None:
        return None
    path, there, here = difference
    return (
        f"is from another environment (its {dotted(path)} is {shown(there)}, this run's is {shown(here)}): name a "
        "teacher that was trained in this one"
    )


def _first_difference(theirs: JSONValue, ours: JSONValue, path: Path) -> tuple[Path, JSONValue, JSONValue] | None:
    """Path and both values of the first setting that two canonical forms have otherwise; plugins come before what they
    are given."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in sorted(theirs.keys() & ours.keys(), key=lambda key: (key != "plugin", key)):
            found = _first_difference(theirs[key], ours[key], (*path, key))
            if found is not None:
                return found
    return None if theirs == ours else (path, theirs, ours)


def dotted(path: Sequence[str | int]) -> str:
    """A path as messages show it: `environment.edges[3]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def _ordered(values: Any, python: Any) -> Any:
    """JSON values with each list that was a set sorted."""
    if isinstance(values, dict) and isinstance(python, Mapping) and len(values) == len(python):
        pairs = zip(values.items(), python.values(), strict=True)
        return {key: _ordered(value, original) for (key, value), original in pairs}
    if isinstance(values, list):
        if isinstance(python, set | frozenset):
            return sorted(values, key=canonical_json)
        if isinstance(python, list | tuple) and len(values) == len(python):
            return [_ordered(value, original) for value, original in zip(values, python, strict=True)]
    return values


def _check_round_trip(config: BaseModel, dumped: dict[str, Any], owner: str) -> None:
    """Runs are rebuilt from their canonical form, in other processes and years: it must say all."""
    try:
        again = type(config).model_validate_json(canonical_json(dumped))
        same = config_values(again, owner) == dumped
    except ValueError as error:
        raise PluginError(
            f"{owner}: its configuration cannot be read back from its own JSON form: {one_line(str(error))}. "
            "Report it to the plugin's authors."
        ) from error
    if not same:
        raise PluginError(
            f"{owner}: its configuration changes when read back from its own JSON form. "
            "Report it to the plugin's authors."
        )


def _joined(found: list[Complaint], node: Node, path: Path) -> ManifestError:
    """The complaints as one error, with the message of what stands first in the file."""
    errors = [_place(node, each.path, each.at_key).error(each.text, dotted((*path, *each.path))) for each in found]
    return ManifestError.joined(sorted(errors, key=lambda each: (each.line or 0, each.column or 0)))


def _place(node: Node, path: Path, at_key: bool) -> Place:
    """Where a path stands: its value (or its key), or the nearest parent that is there."""
    place = node.place
    for index, part in enumerate(path):
        if isinstance(part, str) and part in node.entries:
            entry = node.entries[part]
            place = entry.key_place if at_key and index == len(path) - 1 else entry.node.place
            node = entry.node
        elif isinstance(part, int) and part < len(node.items):
            node = node.items[part]
            place = node.place
        else:
            break
    return place


def _coerced(values: JSONValue, dumped: Any, path: Path) -> Iterator[Complaint]:
    """Where text or a truth value was taken for a number, or the reverse: pydantic would let it pass."""
    if isinstance(values, dict) and isinstance(dumped, dict):
        for key in values.keys() & dumped.keys():
            yield from _coerced(values[key], dumped[key], (*path, key))
    elif isinstance(values, list) and isinstance(dumped, list) and len(values) == len(dumped):
        for index, (value, after) in enumerate(zip(values, dumped, strict=True)):
            yield from _coerced(value, after, (*path, index))
    elif isinstance(dumped, bool) and isinstance(values, str | int | float) and not isinstance(values, bool):
        yield Complaint(path, f"got {shown(values)}, expected true or false")
    elif isinstance(dumped, int | float) and not isinstance(dumped, bool):
        if isinstance(values, bool):
            yield Complaint(path, f"got {shown(values)}, expected a number")
        elif isinstance(values, str) and _is_number(values, dumped):
            yield Complaint(path, f"got the text {shown(values)}, expected a number: remove the quotes")


def _is_number(text: str, number: float) -> bool:
    try:
        return float(text) == number
    except ValueError:
        return False
