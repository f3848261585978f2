"""Dotted paths into a manifest: `agent.total_steps=1000` and `sweep: {agent.total_steps: [1000, 2000]}`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qecforge.errors import ManifestError
from qecforge.manifest._choice import Gathered
from qecforge.manifest._complaints import unknown_key
from qecforge.manifest._sections import SECTIONS, SHORTHAND, SWEPT
from qecforge.manifest._yaml import Entry, Node, Place, mapping, parse_yaml, plain, shown

__all__ = ["Point", "overridden", "points"]


@dataclass(frozen=True)
class Point:
    """One combination of a sweep.

    Attributes:
        values: What it sets, by dotted path.
        root: The manifest with these values in place.
        place: Where its last value stands.
    """

    values: Mapping[str, Any]
    root: Node
    place: Place


def overridden(root: Node, overrides: Sequence[str], gathered: Gathered) -> Node:
    """The manifest with `path=value` texts applied in order; values are YAML, a section without one is taken away.

    Args:
        gathered: Is given what is wrong: not `path=value`, a value that is not YAML, a path that leads nowhere or that
            the sweep sets.
    """
    for text in overrides:
        with gathered:
            root = _overridden(root, text)
    return root


def _overridden(root: Node, text: str) -> Node:
    place = Place.in_parameter("overrides")
    path, equals, value = text.partition("=")
    path = path.strip()
    if not equals or not path:
        raise place.error(f"got {shown(text)}, expected PATH=VALUE, such as agent.total_steps=1000")
    head, dot, rest = path.partition(".")
    if head not in SECTIONS:
        raise place.error(unknown_key(head, SECTIONS), path)
    for swept in _entries(root.get("sweep")):
        if head != "sweep" and _overlap(swept, path):
            raise place.error(f"the manifest sweeps {swept}: set 'sweep.{swept}=[...]'", path)
    if not dot and not value.strip():
        return root.without(head)
    parts = [head, rest] if head == "sweep" and dot else path.split(".")
    return _replaced(root, parts, Entry(place, _value(value, place, path)), path)


def points(root: Node, limit: int) -> Iterator[Point]:
    """Every combination of the sweep, the last key's values changing fastest; without a sweep the manifest itself.

    Raises:
        ManifestError: the sweep is empty or not a mapping to lists, or sets what cannot be swept, or the same twice.
    """
    sweep = root.entries.get("sweep")
    if sweep is None:
        yield Point({}, root, root.place)
        return
    axes = _axes(sweep.node)
    combinations = 1
    for _, node in axes:
        combinations *= len(node.items)
    if combinations > limit:
        raise sweep.key_place.error(
            f"gives {combinations} combinations for each seed, expected at most {limit}: shorten its lists", "sweep"
        )
    bare = root.without("sweep")
    for chosen in itertools.product(*(node.items for _, node in axes)):
        point = bare
        for (path, _), value in zip(axes, chosen, strict=True):
            key_place = sweep.node.entries[path].key_place
            point = _replaced(point, path.split("."), Entry(key_place, value), path)
        values = {path: plain(value) for (path, _), value in zip(axes, chosen, strict=True)}
        yield Point(values, point, chosen[-1].place)


def _axes(sweep: Node) -> list[tuple[str, Node]]:
    if not isinstance(sweep.value, dict):
        raise sweep.place.error(
            f"got {shown(plain(sweep))}, expected a mapping such as {{agent.learning_rate: [3.0e-4, 1.0e-3]}}", "sweep"
        )
    if not sweep.value:
        raise sweep.place.error("the sweep is empty: list values for a path, or remove `sweep`", "sweep")
    axes: list[tuple[str, Node]] = []
    gathered = Gathered()
    for path, entry in sweep.value.items():
        with gathered:
            axes.append((path, _axis(path, entry, [other for other, _ in axes])))
    gathered.refuse()
    return axes


def _axis(path: str, entry: Entry, others: Sequence[str]) -> Node:
    """The list of values for one path."""
    where = f"sweep.{path}"
    head = path.partition(".")[0]
    if head == "seeds":
        raise entry.key_place.error("seeds are not swept: list them under `seeds`", where)
    if head not in SWEPT:
        raise entry.key_place.error(unknown_key(head, SWEPT), where)
    if not isinstance(entry.node.value, tuple):
        raise entry.node.place.error(f"got {shown(plain(entry.node))}, expected a list of values", where)
    if not entry.node.items:
        raise entry.node.place.error("the list is empty: give one value or more, or remove the path", where)
    for other in others:
        if _overlap(other, path):
            raise entry.key_place.error(f"overlaps with sweep.{other}: keep one of them", where)
    return entry.node


def _replaced(node: Node, parts: Sequence[str], entry: Entry, path: str) -> Node:
    """`node` with the value at a path put in; mappings on the way are made where absent."""
    head, rest = parts[0], parts[1:]
    if not head or not all(parts):
        raise entry.key_place.error("the path has an empty part, expected names with dots between", path)
    if rest:
        below = node.get(head)
        if below is None or below.value is None:
            below = mapping({}, entry.key_place)
        elif isinstance(below.value, str) and head in SHORTHAND:
            below = mapping({"plugin": Entry(below.place, below)}, below.place)
        elif not isinstance(below.value, dict):
            raise entry.key_place.error(f"{head} is {shown(plain(below))}, which has no keys: set it as a whole", path)
        entry = Entry(
            node.entries[head].key_place if head in node.entries else entry.key_place,
            _replaced(below, rest, entry, path),
        )
    return node.with_entry(head, entry)


def _overlap(path: str, other: str) -> bool:
    """Whether one of two dotted paths contains the other."""
    return path == other or path.startswith(f"{other}.") or other.startswith(f"{path}.")


def _entries(node: Node | None) -> Iterable[str]:
    return node.entries if node is not None else ()


def _value(text: str, place: Place, path: str) -> Node:
    """A value given on the command line, where line and column say nothing."""
    if not text.strip():
        return Node(None, place)
    try:
        return _moved(parse_yaml(text), place)
    except ManifestError as error:
        raise place.error(str(error).partition(" ")[2], path) from error


def _moved(node: Node, place: Place) -> Node:
    """The node as standing at one place."""
    if isinstance(node.value, dict):
        return mapping({key: Entry(place, _moved(each.node, place)) for key, each in node.value.items()}, place)
    if isinstance(node.value, tuple):
        return Node(tuple(_moved(item, place) for item in node.value), place, node.size, node.height)
    return Node(node.value, place)
