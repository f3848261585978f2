"""MacKay's alist format for sparse binary matrices."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from qecforge.errors import CodeError

__all__ = ["CHECK_MATRIX_MARK", "matrix_from_alist", "matrix_to_alist"]

CHECK_MATRIX_MARK = "check matrix [X | Z] of 2n columns"
"""The comment by which our files say that they hold no half of a CSS code."""

_MAX_ENTRIES = 1 << 26
_COMMENT = re.compile(r"\s*(?:#|//|%).*")


def matrix_to_alist(matrix: NDArray[np.uint8], mark: str | None = None) -> str:
    """Text of an (m, n) binary matrix: sizes, largest weights, weights, then the 1-based row indices of each column and
    the column indices of each row, padded with zeros; `mark` as a comment at the end, where readers of alist have
    stopped."""
    by_column = [np.flatnonzero(column) + 1 for column in matrix.T]
    by_row = [np.flatnonzero(row) + 1 for row in matrix]
    widths = [max((len(entries) for entries in lists), default=0) for lists in (by_column, by_row)]
    lines = [
        [len(by_column), len(by_row)],
        widths,
        [len(entries) for entries in by_column],
        [len(entries) for entries in by_row],
    ]
    for lists, width in zip((by_column, by_row), widths, strict=True):
        lines.extend([*entries.tolist(), *[0] * (width - len(entries))] for entries in lists)
    return "".join(" ".join(map(str, line)) + "\n" for line in lines) + (f"# {mark}\n" if mark else "")


def matrix_from_alist(text: str) -> NDArray[np.uint8]:
    """The (m, n) uint8 matrix of an alist text; index lists may be padded with zeros or not, comments (`#`, `//`,
    `%`) may stand before, between and behind.

    Raises:
        CodeError: not alist, with the line; or lists of columns and rows that contradict each other.
    """
    # A blank line may be the list of an empty column; one that holds a comment alone is none.
    numbered = [(number, _COMMENT.sub("", line).split(), line) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, tokens) for number, tokens, line in numbered if tokens or not line.strip()]
    while lines and not lines[0][1]:
        del lines[0]
    columns, rows = _integers(lines, 0, 2)
    _integers(lines, 1, 2)
    if columns * rows > _MAX_ENTRIES:
        raise CodeError(
            f"alist line {lines[0][0]}: {columns} columns and {rows} rows are too many; expected at most "
            f"{_MAX_ENTRIES} "
            "entries"
        )
    weights = [_integers(lines, 2, columns), _integers(lines, 3, rows)]
    matrices = []
    first = 4
    for count, size, expected in ((columns, rows, weights[0]), (rows, columns, weights[1])):
        matrix = np.zeros((count, size), dtype=np.uint8)
        for offset in range(count):
            entries = [entry for entry in _integers(lines, first + offset, None) if entry]
            if len(set(entries)) != expected[offset] or len(entries) != expected[offset]:
                place = _place(lines, first + offset)
                raise CodeError(f"alist line {place}: {len(entries)} indices; above, {expected[offset]}")
            if any(not 1 <= entry <= size for entry in entries):
                raise CodeError(f"alist line {_place(lines, first + offset)}: an index outside 1..{size}")
            matrix[offset, np.array(entries, dtype=np.intp) - 1] = 1
        matrices.append(matrix)
        first += count
    if any(tokens for _, tokens in lines[first:]):
        raise CodeError(f"alist line {_place(lines, first)}: more lines than {columns} columns and {rows} rows need")
    if not np.array_equal(matrices[0].T, matrices[1]):
        raise CodeError("alist: the lists of columns and of rows describe different matrices")
    return matrices[1]


def _integers(lines: list[tuple[int, list[str]]], index: int, count: int | None) -> list[int]:
    tokens = lines[index][1] if index < len(lines) else []
    if count not in (None, len(tokens)) or not all(token.isdecimal() and len(token) <= 9 for token in tokens):
        expected = "indices" if count is None else f"{count} numbers"
        raise CodeError(f"alist line {_place(lines, index)}: got {' '.join(tokens)[:40]!r}; expected {expected}")
    return [int(token) for token in tokens]


def _place(lines: list[tuple[int, list[str]]], index: int) -> int:
    """The 1-based number of a line in the file; past its end, the next one."""
    return lines[index][0] if index < len(lines) else (lines[-1][0] + 1 if lines else 1)
