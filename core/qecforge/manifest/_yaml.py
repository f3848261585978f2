"""YAML text to a tree that knows where each value stands.

ruamel.yaml's event stream is read directly, so nothing is constructed that was not asked for. The grammar of values is
YAML 1.2's core schema, with `_` allowed between digits: null, true and false, integers, finite floats, text. Refused,
with line and column: tags, merge keys, several documents, keys that are not plain values or stand twice, aliases into
themselves, and whatever exceeds the limits below, which are counted with aliases expanded and before the tree is built
up: a "billion laughs" ends at its first alias too many.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from qecforge.errors import ManifestError, one_line

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_NODES",
    "Entry",
    "JSONValue",
    "Node",
    "Place",
    "mapping",
    "parse_yaml",
    "plain",
    "shown",
]

MAX_BYTES = 1_000_000
MAX_DEPTH = 50
MAX_NODES = 50_000

JSONValue: TypeAlias = "bool | int | float | str | list[Any] | dict[str, Any] | None"


@dataclass(frozen=True)
class Place:
    """Where something stands: `source` as the user named it, 1-based line and column; or the parameter it came by."""

    source: str | None = None
    line: int | None = None
    column: int | None = None
    parameter: str | None = None

    @classmethod
    def in_parameter(cls, name: str) -> Place:
        """The place of what a parameter of the library brought."""
        return cls(f"`{name}`", parameter=name)

    def error(self, message: str, path: str | None = None) -> ManifestError:
        """A `ManifestError` at this place, on one line that a terminal can show."""
        return ManifestError(
            one_line(message, 1500),
            source=self.source,
            line=self.line,
            column=self.column,
            path=one_line(path, 200) if path else None,
            parameter=self.parameter,
        )


@dataclass(frozen=True)
class Entry:
    """A value in a mapping, and where its key stands."""

    key_place: Place
    node: Node


@dataclass(frozen=True)
class Node:
    """A value and where it stands. Immutable; aliases share nodes.

    Attributes:
        value: A scalar, a tuple of nodes, or a dict from key to `Entry` (in the file's order, never mutated).
        size, height: Number of nodes in this tree, and its depth, aliases expanded.
    """

    value: bool | int | float | str | tuple[Node, ...] | dict[str, Entry] | None
    place: Place
    size: int = 1
    height: int = 1

    @property
    def entries(self) -> dict[str, Entry]:
        """The entries of a mapping; empty for anything else."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def items(self) -> tuple[Node, ...]:
        """The items of a list; empty for anything else."""
        return self.value if isinstance(self.value, tuple) else ()

    def get(self, key: str) -> Node | None:
        """The value of a mapping's key, if there."""
        entry = self.entries.get(key)
        return entry.node if entry else None

    def with_entry(self, key: str, entry: Entry) -> Node:
        """The mapping with one entry added or replaced."""
        return mapping({**self.entries, key: entry}, self.place)

    def without(self, *keys: str) -> Node:
        """The mapping without some keys."""
        return mapping({key: entry for key, entry in self.entries.items() if key not in keys}, self.place)


def mapping(entries: Mapping[str, Entry], place: Place) -> Node:
    """A mapping node."""
    children = [entry.node for entry in entries.values()]
    return Node(dict(entries), place, *_measure(children))


def plain(node: Node) -> JSONValue:
    """The value alone, of JSON's types."""
    if isinstance(node.value, dict):
        return {key: plain(entry.node) for key, entry in node.value.items()}
    if isinstance(node.value, tuple):
        return [plain(item) for item in node.value]
    return node.value


def shown(value: object, limit: int = 60) -> str:
    """A value as YAML flow style would have it, shortened: for messages."""
    if value is None or isinstance(value, bool):
        text = {None: "null", True: "true", False: "false"}[value]
    elif isinstance(value, str):
        text = f"'{' '.join(value.split())}'"
    elif isinstance(value, Mapping):
        text = f"{{{', '.join(f'{key}: {shown(each, limit)}' for key, each in list(value.items())[:limit])}}}"
    elif isinstance(value, list | tuple):
        text = f"[{', '.join(shown(each, limit) for each in list(value)[:limit])}]"
    else:
        text = " ".join(str(value).split())
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def parse_yaml(text: str, source: str | None = None) -> Node:
    """The one document in `text`.

    Raises:
        ManifestError: it is not YAML, not one document, or beyond what the module allows; with line and column.
    """
    start = Place(source, 1, 1)
    if len(text) > MAX_BYTES:
        raise start.error(f"{len(text):,} characters are too many, expected at most {MAX_BYTES:,}: split the manifest")
    return _Composer(source).compose(text)


class _Composer:
    """Builds the tree from parser events."""

    def __init__(self, source: str | None) -> None:
        self.source = source
        self.anchors: dict[str, Node | None] = {}
        self.nodes = 0

    def compose(self, text: str) -> Node:
        events = self._events(text)
        first = next(events, None)
        if first is None:
            raise Place(self.source, 1, 1).error("the file is empty, expected a manifest: start with `qecforge: 1`")
        root = self._node(first, events, depth=1)
        if (extra := next(events, None)) is not None:
            raise self._place(extra).error("a second document starts here, expected one: make it a file of its own")
        return root

    def _events(self, text: str) -> Iterator[Any]:
        """The parser's events within the document; its errors become ours."""
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError
        from ruamel.yaml.reader import ReaderError

        place = Place(self.source, 1, 1)
        try:
            for event in YAML(typ="safe", pure=True).parse(text):
                place = self._place(event)
                name = type(event).__name__
                if name == "DocumentStartEvent" and event.version not in (None, (1, 2)):
                    major, minor = event.version
                    raise place.error(f"YAML {major}.{minor} is not supported, expected 1.2: remove %YAML")
                if not name.startswith(("Stream", "Document")):
                    yield event
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            if mark:
                place = Place(self.source, mark.line + 1, mark.column + 1)
            raise place.error(
                f"not YAML: {one_line(error.problem or error.context or '', 300)}: correct the text here"
            ) from error
        except ReaderError as error:
            before = text[: error.position]
            place = Place(self.source, before.count("\n") + 1, len(before) - before.rfind("\n"))
            raise place.error(f"not YAML: the character U+{error.character:04X} is not allowed: remove it") from error
        except ManifestError:
            raise
        except Exception as error:  # the parser met text that its authors did not foresee
            raise place.error(
                f"not YAML from here on: {one_line(error, 300) or type(error).__name__}: correct it"
            ) from error

    def _node(self, event: Any, events: Iterator[Any], depth: int) -> Node:
        place = self._place(event)
        kind = type(event).__name__
        if kind == "AliasEvent":
            return self._alias(event.anchor, place, depth)
        self._count(1, depth, place)
        if event.tag is not None:
            raise place.error(f"the tag {event.tag} is not supported: remove it (quote a value to make it text)")
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        if kind == "ScalarEvent":
            node = Node(self._scalar(event, place), place)
        elif kind == "SequenceStartEvent":
            node = self._sequence(place, events, depth)
        else:
            node = self._mapping(place, events, depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def _alias(self, anchor: str, place: Place, depth: int) -> Node:
        if anchor not in self.anchors:
            raise place.error(f"the alias *{anchor} has no anchor: write &{anchor} at an earlier value")
        target = self.anchors[anchor]
        if target is None:
            raise place.error(f"the alias *{anchor} stands inside its own anchor: write the value out")
        self._count(target.size, depth + target.height - 1, place)
        return replace(target, place=place)

    def _count(self, nodes: int, depth: int, place: Place) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            raise place.error(f"more than {MAX_NODES} values (aliases expanded): write a smaller manifest")
        if depth > MAX_DEPTH:
            raise place.error(f"nested more than {MAX_DEPTH} deep: write a flatter manifest")

    def _sequence(self, place: Place, events: Iterator[Any], depth: int) -> Node:
        items = []
        while type(event := next(events)).__name__ != "SequenceEndEvent":
            items.append(self._node(event, events, depth + 1))
        return Node(tuple(items), place, *_measure(items))

    def _mapping(self, place: Place, events: Iterator[Any], depth: int) -> Node:
        entries: dict[str, Entry] = {}
        while type(event := next(events)).__name__ != "MappingEndEvent":
            key_place = self._place(event)
            key = self._key(self._node(event, events, depth + 1), event, key_place)
            if key in entries:
                first = entries[key].key_place
                raise key_place.error(f"the key {key!r} is given twice, first in line {first.line}: remove one of them")
            entries[key] = Entry(key_place, self._node(next(events), events, depth + 1))
        return mapping(entries, place)

    def _key(self, node: Node, event: Any, place: Place) -> str:
        if isinstance(node.value, dict | tuple):
            raise place.error("a list or mapping is used as a key, expected a name: write `name: value`")
        if type(event).__name__ == "AliasEvent":
            raise place.error("an alias is used as a key, expected a name: write `name: value`")
        if event.value == "<<" and event.implicit[0]:
            raise place.error("merge keys (<<) are not part of YAML 1.2: write the values out")
        return self._text(event, place)

    def _scalar(self, event: Any, place: Place) -> bool | int | float | str | None:
        text = self._text(event, place)
        return _resolve(text, place) if event.implicit[0] else text

    def _text(self, event: Any, place: Place) -> str:
        """The characters of a scalar. JSON, which is YAML too, writes those beyond U+FFFF as two escapes."""
        text: str = event.value
        try:
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError as error:
            raise place.error("half of a surrogate pair is not a character: write it as \\UXXXXXXXX") from error

    def _place(self, event: Any) -> Place:
        return Place(self.source, event.start_mark.line + 1, event.start_mark.column + 1)


_DIGITS = "[0-9](?:_?[0-9])*"
_INTEGER = re.compile(rf"[-+]?{_DIGITS}")
_BASED = re.compile(r"0o(?P<octal>[0-7]+)|0x(?P<hex>[0-9a-fA-F]+)")
_FLOAT = re.compile(rf"[-+]?(?:\.{_DIGITS}|{_DIGITS}(?:\.(?:{_DIGITS})?)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_WORDS = {word: value for value in (True, False) for word in (str(value), str(value).lower(), str(value).upper())}
_NULLS = ("", "~", "null", "Null", "NULL")


def _resolve(text: str, place: Place) -> bool | int | float | str | None:
    """The value of a plain scalar in YAML 1.2's core schema."""
    if text in _NULLS:
        return None
    if text in _WORDS:
        return _WORDS[text]
    if based := _BASED.fullmatch(text):
        return _bounded(int(text[2:], 8 if based["octal"] else 16) if len(text) < 30 else 2**64, place)
    if _INTEGER.fullmatch(text):
        return _bounded(int(text) if len(text) < 30 else 2**64, place)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isfinite(number):
            return number
    if _FLOAT.fullmatch(text) or _NOT_FINITE.fullmatch(text):
        raise place.error(f"{shown(text)} is not a finite number, expected one: quote it if it is text")
    return text


def _bounded(number: int, place: Place) -> int:
    if not -(2**63) <= number < 2**63:
        raise place.error("the whole number does not fit 64 bits: write it as a float, or quote it if it is text")
    return number


def _measure(children: list[Node]) -> tuple[int, int]:
    """Size and height of a node over its children."""
    return 1 + sum(child.size for child in children), 1 + max((child.height for child in children), default=0)
