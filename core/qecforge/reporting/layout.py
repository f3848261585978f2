"""Layout of a table of texts for a terminal of a given width. No text is ever cut.

Where a table is too wide, in this order: columns that say the same in every row stand above the table, empty ones go;
headings and cells continue on the next line, at blanks; columns that are marked as minor are left out, and named below;
and where even that does not fit, each row is printed as a block of lines, one for each column.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["TextColumn", "lay_out", "wrapped"]

GAP, WIDE_GAP = 2, 3
"""Blanks between columns, and where there is room enough."""

NARROW = 14
"""No column is made narrower than this, or than what it has to say."""

_GLUE, _SOFT = "\ue000", "\ue001"
"""A blank at which no line ends, and a place of no width at which one may. No font has these characters."""

_TOGETHER = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d"  # a date and its time
    r"|\d+ (?:h|min) \d\d (?:min|s)\b"
    r"|\S+ ± \S+(?: %)?"
    r"|\d\S* (?:%|s|h|min|ms|bytes)(?!\w)"
    r"|[<>]=? \S+"
    r"|\[[^\[\]]{1,40}\]|\([^()]{1,12}\)"  # an interval, a short list
)
"""What stays on one line."""
_AFTER = re.compile(rf"(?<=\w=)(?=[^\s={_GLUE}]{{4}})")
"""Where a word may be divided."""


@dataclass(frozen=True)
class TextColumn:
    """A column as text.

    Attributes:
        heading: What stands above it.
        cells: One for each row.
        right: Whether its cells are aligned on the right.
        minor: Whether it may be left out where there is no room.
    """

    heading: str
    cells: Sequence[str]
    right: bool = False
    minor: bool = False


def lay_out(columns: Sequence[TextColumn], width: int | None = None) -> list[str]:
    """The lines of a table: a heading, a rule, and its rows.

    Args:
        columns: Of equal length, at least one.
        width: Columns of the terminal; None where lines may be of any length, and each row is one line.
    """
    columns = [_clean(column) for column in columns]
    natural = [_natural(column) for column in columns]
    if width is None or _total(natural, WIDE_GAP) <= width:
        return list(_table(columns, natural, WIDE_GAP))
    if _total(natural) <= width:
        return list(_table(columns, natural))
    columns = _distinct(columns)
    common, differing = _split(columns)
    above = _common_lines(common, width)
    dropped: list[TextColumn] = []
    while True:
        widths = _widths(differing, width)
        if widths is not None:
            return [*above, *_table(differing, widths), *_dropped_lines(dropped, width)]
        minor = [column for column in differing if column.minor]
        if not minor:
            break
        dropped.insert(0, minor[-1])
        differing = [column for column in differing if column is not minor[-1]]
    common, differing = _split(columns)
    return [*_common_lines(common, width), *_blocks(differing, width)]


def _clean(column: TextColumn) -> TextColumn:
    """Each cell on one line."""
    cells = [" ".join(cell.split()) if re.search(r"[\n\r\t]", cell) else cell for cell in column.cells]
    return TextColumn(column.heading, cells, column.right, column.minor)


def _distinct(columns: Sequence[TextColumn]) -> list[TextColumn]:
    """With the heading before it in front of one that there is twice: beside each other they would say enough."""
    times = Counter(column.heading for column in columns)
    found: list[TextColumn] = []
    before = ""
    for column in columns:
        twice = times[column.heading] > 1 and before
        heading = f"{before}, {column.heading}" if twice else column.heading
        found.append(TextColumn(heading, column.cells, column.right, column.minor))
        before = before if twice else column.heading
    return found


def _split(columns: Sequence[TextColumn]) -> tuple[list[TextColumn], list[TextColumn]]:
    """Columns after the first that say the same in each of several rows, and the others. Empty ones are in neither."""
    common: list[TextColumn] = []
    differing: list[TextColumn] = []
    for index, column in enumerate(columns):
        same = len(set(column.cells)) == 1 and index > 0
        if same and not column.cells[0]:
            continue
        (common if same and len(column.cells) > 1 else differing).append(column)
    return common, differing


def _common_lines(common: Sequence[TextColumn], width: int) -> list[str]:
    lines = _joined([f"{column.heading}: {column.cells[0]}" for column in common], width, "in all rows: ")
    return [*lines, ""] if lines else []


def _dropped_lines(dropped: Sequence[TextColumn], width: int) -> list[str]:
    return _joined([column.heading for column in dropped], width, "no room for: ")


def _joined(parts: Sequence[str], width: int, before: str) -> list[str]:
    """Parts after each other with semicolons between them, each whole where it fits into a line."""
    lines: list[str] = []
    for index, part in enumerate(parts):
        text = part + (";" if index < len(parts) - 1 else "")
        if lines and _cells(lines[-1]) + 1 + _cells(text) <= width:
            lines[-1] += f" {text}"
        else:
            lines.append(f"{before if index == 0 else '    '}{text}")
    return [piece for line in lines for piece in wrapped(line, width, "    ")]


def _widths(columns: Sequence[TextColumn], width: int) -> list[int] | None:
    """Of each column, so that all are `width` wide at most and rows have few lines; None where words do not fit."""
    natural = [_natural(column) for column in columns]
    found = [_least(column) for column in columns]
    room = width - _total(found)
    if room < 0:
        return None
    while room > 0:
        short = [index for index, each in enumerate(found) if each < natural[index]]
        if not short:
            break
        highest = max(short, key=lambda index: natural[index] / found[index])
        found[highest] += 1
        room -= 1
    return found


def _total(widths: Sequence[int], gap: int = GAP) -> int:
    return sum(widths) + gap * (len(widths) - 1)


def _natural(column: TextColumn) -> int:
    return max(map(_cells, (column.heading, *column.cells)))


def _least(column: TextColumn) -> int:
    """The longest word; of cells that are longer, enough to read them."""
    words = max(_cells(word) for text in (column.heading, *column.cells) for word in _words(text) or [""])
    return max(words, min(max(map(_cells, column.cells), default=0), NARROW))


def _table(columns: Sequence[TextColumn], widths: Sequence[int], gap: int = GAP) -> Iterator[str]:
    yield from _row([column.heading for column in columns], columns, widths, gap, bottom=True)
    yield "─" * _total(widths, gap)
    for cells in zip(*(column.cells for column in columns), strict=True):
        yield from _row(cells, columns, widths, gap)


def _row(
    cells: Sequence[str], columns: Sequence[TextColumn], widths: Sequence[int], gap: int, *, bottom: bool = False
) -> Iterator[str]:
    """The lines of a row. `bottom`: short cells stand at its end."""
    lines = [wrapped(cell, width) for cell, width in zip(cells, widths, strict=True)]
    height = max(map(len, lines))
    filled = [[""] * (height - len(each)) + each if bottom else each + [""] * (height - len(each)) for each in lines]
    for parts in zip(*filled, strict=True):
        padded = [
            " " * (width - _cells(part)) + part if column.right else part + " " * (width - _cells(part))
            for part, column, width in zip(parts, columns, widths, strict=True)
        ]
        yield (" " * gap).join(padded).rstrip()


def _blocks(columns: Sequence[TextColumn], width: int) -> list[str]:
    """A block of lines for each row, with an empty line between blocks. Empty cells are left out."""
    label = max(_cells(column.heading) for column in columns) + GAP
    lines: list[str] = []
    for cells in zip(*(column.cells for column in columns), strict=True):
        lines += [""] if lines else []
        for column, cell in zip(columns, cells, strict=True):
            if cell:
                heading = column.heading + " " * (label - _cells(column.heading))
                first, *others = wrapped(cell, max(1, width - label))
                lines += [heading + first, *(" " * label + other for other in others)]
    return lines


def wrapped(text: str, width: int | None, indent: str = "") -> list[str]:
    """A text in lines of at most `width`, broken between its words; a word that is longer is a line of its own.

    Args:
        width: None for one line.
        indent: Stands before all lines but the first.
    """
    if width is None or _cells(text) <= width:
        return [text]
    lines, line = [], ""
    parts = re.split(f"( +|{_SOFT})", _marked(text))
    for between, word in zip(["", *parts[1::2]], parts[::2], strict=True):
        longer = line + between.replace(_SOFT, "") + word
        if line.strip() and _cells(longer) > width:
            lines.append(line)
            longer = indent + word
        line = longer
    return [each.replace(_GLUE, " ").rstrip() for each in (*lines, line)]


def _words(text: str) -> list[str]:
    return [word.replace(_GLUE, " ") for word in re.split(f"[ {_SOFT}]", _marked(text)) if word]


def _marked(text: str) -> str:
    """The text with other blanks where a number, an interval or a time must stay on one line, and with places inside
    words at which a line may end."""
    return _AFTER.sub(_SOFT, _TOGETHER.sub(lambda match: match[0].replace(" ", _GLUE), text))


def _cells(text: str) -> int:
    """Columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
