#!/usr/bin/env python3
"""Draw the map of the house, `docs/figures/house.svg`, from the imports of the source tree.

    python scripts/draw_house.py

A room is a folder of the core, or a file at its root. It stands on the lowest floor above all rooms that it imports
from. Imports for type checking alone are left out, and arrows that follow from others. A test draws the map again and
compares.
"""

from __future__ import annotations

import ast
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

from import_graph import ImportGraph

__all__ = ["FILE", "House", "draw"]

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "docs" / "figures" / "house.svg"
KINDS = ("environments", "rewards", "agents", "quantizers", "listeners")

WIDTH, HEIGHT, STOREY, GAP, LANE = 216, 88, 134, 22, 26
"""Pixels: a room, from one floor to the next, between rooms, and what an arrow takes that passes a floor."""
LETTERS, MARGIN, WING = 33, 24, 222
"""Letters in a line of a room's text; pixels around the picture, and of the wing where the plugins are."""


@dataclass(frozen=True)
class House:
    """What is drawn.

    Attributes:
        rooms: Each room of the core and what it is, in the words of its docstring.
        imports: Which other rooms each imports from.
        plugins: Packages of plugins by kind.
        guests: How many plugins import from each room.
    """

    rooms: Mapping[str, str]
    imports: Mapping[str, frozenset[str]]
    plugins: Mapping[str, Sequence[str]]
    guests: Mapping[str, int]

    @classmethod
    def of(cls, root: Path) -> House:
        """The house of a source tree."""
        plugins = {kind: sorted(path.name for path in root.glob(f"plugins/{kind}/qecforge_*")) for kind in KINDS}
        graph = ImportGraph.of(root / "core", *(root / "plugins" / kind for kind in KINDS), types=False)
        rooms: dict[str, str] = {}
        imports: dict[str, set[str]] = {}
        guests: dict[str, set[str]] = {}
        for name, others in graph.imports.items():
            own = _room(name)
            if own is not None:
                imports.setdefault(own, set()).update(
                    room for each in others if (room := _room(each)) not in {None, own}
                )
                if name == f"qecforge.{own}":
                    rooms[own] = _first_sentence(graph.files[name])
            elif name.startswith("qecforge_"):
                for room in filter(None, map(_room, others)):
                    guests.setdefault(room, set()).add(name.partition(".")[0])
        return cls(
            dict(sorted(rooms.items())),
            {room: frozenset(imports[room]) for room in rooms},
            plugins,
            {room: len(guests.get(room, ())) for room in rooms},
        )

    def floors(self) -> dict[str, int]:
        """The floor of each room, counted from the ground.

        Raises:
            SystemExit: Rooms import from each other in a circle; names them.
        """
        floors: dict[str, int] = {}

        def floor(room: str, way: tuple[str, ...]) -> int:
            if room in way:
                raise SystemExit(f"rooms import from each other: {' -> '.join([*way[way.index(room) :], room])}")
            if room not in floors:
                floors[room] = 1 + max((floor(each, (*way, room)) for each in sorted(self.imports[room])), default=-1)
            return floors[room]

        for room in self.rooms:
            floor(room, ())
        return floors

    def arrows(self) -> list[tuple[str, str]]:
        """Who imports from whom, but for what follows from other arrows."""

        def below(room: str) -> set[str]:
            return {far for near in self.imports[room] for far in {near} | below(near)}

        return [
            (room, other)
            for room in self.rooms
            for other in sorted(self.imports[room])
            if not any(other in below(each) for each in self.imports[room])
        ]


def _room(module: str) -> str | None:
    """The room of a module; None for what is no room: the package itself, `python -m qecforge`, and plugins."""
    top, _, rest = module.partition(".")
    room = rest.partition(".")[0]
    return room if top == "qecforge" and room not in {"", "__main__"} else None


def _first_sentence(file: Path) -> str:
    text = " ".join((ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").split())
    return text.partition(". ")[0].removesuffix(".").replace("`", "")


Station: TypeAlias = "str | tuple[str, str, int]"
"""A room; or where an arrow, from a room to a room, passes a floor."""


@dataclass(frozen=True)
class _Chain:
    """An arrow."""

    start: str
    between: tuple[Station, ...]
    end: str

    @property
    def stations(self) -> tuple[Station, ...]:
        return (self.start, *self.between, self.end)


@dataclass(frozen=True)
class _Plan:
    """Where everything stands: `x` is the middle of each station."""

    floors: Mapping[str, int]
    x: Mapping[Station, float]
    chains: Sequence[_Chain]


def _planned(house: House) -> _Plan:
    floors = house.floors()
    chains = [
        _Chain(start, tuple((start, end, floor) for floor in range(floors[start] - 1, floors[end], -1)), end)
        for start, end in house.arrows()
    ]
    height: dict[Station, int] = {}
    near: dict[Station, list[Station]] = {room: [] for room in floors}
    for room, floor in floors.items():
        height[room] = floor
    for chain in chains:
        for place, each in enumerate(chain.stations):
            height[each] = floors[chain.start] - place
            near.setdefault(each, [])
        for upper, lower in pairwise(chain.stations):
            near[upper].append(lower)
            near[lower].append(upper)
    rows = [[each for each in height if height[each] == floor] for floor in range(max(floors.values()) + 1)]
    rows = _sorted_rows(rows, near)
    x: dict[Station, float] = {}
    for row in rows:
        x |= _apart(row, dict.fromkeys(row, 0.0))
    for _ in range(200):
        for row in [*rows, *rows[::-1]]:
            x |= _apart(row, {each: _between(each, near[each], x) for each in row})
    return _Plan(floors, x, chains)


def _between(each: Station, neighbours: Sequence[Station], x: Mapping[Station, float]) -> float:
    """The mean place of the neighbours; what an arrow passes counts more, so that long ones are straight."""
    weights = [(1.0, 3.0, 30.0)[(not isinstance(each, str)) + (not isinstance(other, str))] for other in neighbours]
    total = sum(weight * x[other] for weight, other in zip(weights, neighbours, strict=True))
    return total / sum(weights) if weights else 0.0


def _sorted_rows(rows: list[list[Station]], near: Mapping[Station, Sequence[Station]]) -> list[list[Station]]:
    """Rows in an order with few crossings: by the mean place of the neighbours, up and down, and the best of it."""
    best, fewest = rows, _crossings(rows, near)
    upward = [(floor, floor - 1) for floor in range(1, len(rows))]
    downward = [(floor, floor + 1) for floor in range(len(rows) - 2, -1, -1)]
    for _ in range(40):
        for sweep in (upward, downward):
            rows = list(rows)
            for floor, beside in sweep:
                rows[floor] = _by_mean_place(rows[floor], rows[beside], near)
            if (crossings := _crossings(rows, near)) < fewest:
                best, fewest = rows, crossings
    return best


def _by_mean_place(
    row: list[Station], beside: Sequence[Station], near: Mapping[Station, Sequence[Station]]
) -> list[Station]:
    """The row in the order of its neighbours in the one beside it; what has none there stays about where it was."""
    places = {each: number for number, each in enumerate(beside)}
    means = {}
    for number, each in enumerate(row):
        found = [places[other] for other in near[each] if other in places]
        means[each] = sum(found) / len(found) if found else number * len(beside) / len(row)
    return sorted(row, key=means.__getitem__)


def _crossings(rows: Sequence[Sequence[Station]], near: Mapping[Station, Sequence[Station]]) -> int:
    total = 0
    for lower, upper in pairwise(rows):
        place = {each: number for number, each in enumerate(lower)}
        lines = [(number, place[other]) for number, each in enumerate(upper) for other in near[each] if other in place]
        total += sum((a - c) * (b - d) < 0 for at, (a, b) in enumerate(lines) for c, d in lines[:at])
    return total


def _apart(row: Sequence[Station], wished: Mapping[Station, float]) -> dict[Station, float]:
    """Places in the order of the row, as near to those wished as the widths allow: least squares, by pooling."""
    offset, offsets = 0.0, []
    for number, each in enumerate(row):
        if number:
            offset += (_width(row[number - 1]) + _width(each)) / 2 + GAP
        offsets.append(offset)
    pools: list[tuple[float, int]] = []
    for each, start in zip(row, offsets, strict=True):
        pools.append((wished[each] - start, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (left, n), (right, m) = pools[-2:]
            pools[-2:] = [((left * n + right * m) / (n + m), n + m)]
    places = [mean for mean, count in pools for _ in range(count)]
    return {each: place + start for each, place, start in zip(row, places, offsets, strict=True)}


def _width(each: Station) -> int:
    return WIDTH if isinstance(each, str) else LANE


def draw(house: House) -> str:
    """The map as an SVG image."""
    plan = _planned(house)
    top = max(plan.floors.values())
    left = min(x - _width(each) / 2 for each, x in plan.x.items())
    right = max(x + _width(each) / 2 for each, x in plan.x.items())
    width = right - left + 3 * MARGIN + WING
    height = top * STOREY + HEIGHT + 2 * MARGIN
    shift = MARGIN - left

    def y(floor: int) -> float:
        return MARGIN + (top - floor) * STOREY

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="Helvetica, Arial, sans-serif">',
        "<title>Rooms of qecforge: an arrow leads from a room to those that it imports from</title>",
        "<!-- Drawn by scripts/draw_house.py; do not edit. -->",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0,0.5 L8,4 L0,7.5 z" fill="#5b6b7a"/></marker></defs>',
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
    ]
    lines += [_arrow(chain, plan, y, shift) for chain in plan.chains]
    for room, says in house.rooms.items():
        lines += _box(room, says, house.guests[room], plan.x[room] + shift, y(plan.floors[room]))
    lines += _wing(house, width - MARGIN - WING)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _arrow(chain: _Chain, plan: _Plan, y: Callable[[int], float], shift: float) -> str:
    floor = plan.floors[chain.start]
    x, bottom = plan.x[chain.start] + shift + _port(chain, plan, outgoing=True), y(floor) + HEIGHT
    path = [f"M{x:.1f},{bottom:.1f}"]
    for each in chain.between:
        floor -= 1
        path += [_curve(x, bottom, plan.x[each] + shift, y(floor)), f"V{y(floor) + HEIGHT:.1f}"]
        x, bottom = plan.x[each] + shift, y(floor) + HEIGHT
    to = plan.x[chain.end] + shift + _port(chain, plan, outgoing=False)
    path.append(_curve(x, bottom, to, y(plan.floors[chain.end]) - 1))
    return f'<path d="{" ".join(path)}" fill="none" stroke="#5b6b7a" stroke-width="1.4" marker-end="url(#head)"/>'


def _curve(x0: float, y0: float, x1: float, y1: float) -> str:
    middle = (y0 + y1) / 2
    return f"C{x0:.1f},{middle:.1f} {x1:.1f},{middle:.1f} {x1:.1f},{y1:.1f}"


def _port(chain: _Chain, plan: _Plan, *, outgoing: bool) -> float:
    """How far from the middle of its room an arrow begins or ends, so that arrows keep apart."""
    if outgoing:
        beside = [(plan.x[each.stations[1]], each) for each in plan.chains if each.start == chain.start]
    else:
        beside = [(plan.x[each.stations[-2]], each) for each in plan.chains if each.end == chain.end]
    ordered = [each for _, each in sorted(beside, key=lambda pair: pair[0])]
    return 22.0 * (ordered.index(chain) - (len(ordered) - 1) / 2)


def _box(room: str, says: str, guests: int, x: float, y: float) -> Iterable[str]:
    left = x - WIDTH / 2
    yield (
        f'<rect x="{left:.1f}" y="{y:.1f}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="#eaf1f8" stroke="#41648a"/>'
    )
    yield f'<text x="{left + 10:.1f}" y="{y + 19:.1f}" font-size="14" font-weight="bold">{escape(room)}</text>'
    if guests:
        words = f"{guests} plugin{'s' if guests > 1 else ''}"
        yield (
            f'<text x="{left + WIDTH - 10:.1f}" y="{y + 19:.1f}" font-size="11" fill="#8a5a12" text-anchor="end">'
            f"{words}</text>"
        )
    for number, line in enumerate(textwrap.wrap(says, LETTERS, max_lines=4, placeholder=" ...")):
        yield f'<text x="{left + 10:.1f}" y="{y + 36 + 14 * number:.1f}" font-size="11">{escape(line)}</text>'


def _wing(house: House, left: float) -> Iterable[str]:
    """The plugins, which stand beside the core."""
    lines: list[tuple[str, str]] = []
    for kind, names in house.plugins.items():
        lines += [(f"plugins/{kind}", 'font-weight="bold"'), *((name, "") for name in names), ("", "")]
    lines += [(each, 'fill="#8a5a12"') for each in textwrap.wrap(NOTE, LETTERS - 4)]
    height = 16 * len(lines) + 24
    yield (
        f'<rect x="{left:.1f}" y="{MARGIN}" width="{WING}" height="{height}" rx="6" fill="#fbf3e4" stroke="#8a5a12"/>'
    )
    for number, (text, style) in enumerate(lines):
        if text:
            place = f'x="{left + 12:.1f}" y="{MARGIN + 24 + 16 * number}"'
            yield f'<text {place} font-size="12" {style}>{escape(text)}</text>'


NOTE = (
    "Plugins import the core, and each other by their faces alone; the core imports no plugin. In a room stands how "
    "many of them import from it."
)


if __name__ == "__main__":
    FILE.write_text(draw(House.of(ROOT)), encoding="utf-8")
    sys.stdout.write(f"{FILE.relative_to(ROOT)}\n")
