"""MacKay's alist format for sparse binary matrices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qecforge.errors import CodeError

__all__ = ["matrix_from_alist", "matrix_to_alist"]

_MAX_ENTRIES = 10_000_000


def matrix_to_alist(matrix: NDArray[np.uint8]) -> str:
    """Text of an (m, n) binary matrix: sizes, largest weights, weights, then the 1-based row indices of each column and
    the column indices of each row, padded with zeros."""
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
    return "".join(" ".join(map(str, line)) + "\n" for line in lines)


def matrix_from_alist(text: str) -> NDArray[np.uint8]:
    """The (m, n) uint8 matrix of an alist text; index lists may be padded with zeros or not.

    Raises:
        CodeError: not alist, with the line; or lists of columns and rows that contradict each other.
    """
    lines = [line.split() for line in text.splitlines()]
    columns, rows = _integers(lines, 0, 2)
    _integers(lines, 1, 2)
    if not (columns >= 0 and rows >= 0 and columns * rows <= _MAX_ENTRIES):
        raise CodeError(f"alist line 1: a matrix of {columns} columns and {rows} rows cannot be read")
    weights = [_integers(lines, 2, columns), _integers(lines, 3, rows)]
    matrices = []
    first = 4
    for count, size, expected in ((columns, rows, weights[0]), (rows, columns, weights[1])):
        matrix = np.zeros((count, size), dtype=np.uint8)
        for offset in range(count):
            entries = [entry for entry in _integers(lines, first + offset, None) if entry]
            if len(set(entries)) != expected[offset] or len(entries) != expected[offset]:
                raise CodeError(f"alist line {first + offset + 1}: {len(entries)} indices; above, {expected[offset]}")
            if any(not 1 <= entry <= size for entry in entries):
                raise CodeError(f"alist line {first + offset + 1}: an index outside 1..{size}")
            matrix[offset, np.array(entries, dtype=np.intp) - 1] = 1
        matrices.append(matrix)
        first += count
    if any(tokens for tokens in lines[first:]):
        raise CodeError(f"alist line {first + 1}: more lines than {columns} columns and {rows} rows need")
    if not np.array_equal(matrices[0].T, matrices[1]):
        raise CodeError("alist: the lists of columns and of rows describe different matrices")
    return matrices[1]


def _integers(lines: list[list[str]], index: int, count: int | None) -> list[int]:
    tokens = lines[index] if index < len(lines) else []
    if count not in (None, len(tokens)) or not all(token.isdecimal() and len(token) <= 9 for token in tokens):
        expected = "indices" if count is None else f"{count} numbers"
        raise CodeError(f"alist line {index + 1}: got {' '.join(tokens)[:40]!r}; expected {expected}")
    return [int(token) for token in tokens]
