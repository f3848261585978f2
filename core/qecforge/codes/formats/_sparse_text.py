"""Sparse binary matrices as scipy prints them: a line with the shape, then a line for each entry."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from qecforge.codes.formats._lines import shown
from qecforge.errors import CodeError

__all__ = ["is_sparse_text", "matrix_from_sparse_text"]

_HEADER = re.compile(
    r"\s*<[^<>]*\bsparse (?:matrix|array)\b[^<>]*?\bwith (\d{1,9}) stored[^<>]*shape \((\d+), (\d+)\)>"
)
_ENTRY = re.compile(r"\((\d{1,9}), (\d{1,9})\)\s+(?:(1|1\.0|True)|(0|0\.0|False))")
_MOST_ENTRIES = 1 << 26


def is_sparse_text(text: str) -> bool:
    """Whether a text begins as `str` of a sparse matrix does."""
    return _HEADER.match(text) is not None


def matrix_from_sparse_text(text: str) -> NDArray[np.uint8]:
    """The (rows, columns) uint8 matrix of such a text.

    Raises:
        CodeError: entries other than 0 and 1, outside the shape, or twice; or entries that scipy left out.
    """
    header = _HEADER.match(text)
    assert header is not None
    stored, rows, columns = (int(number) for number in header.groups())
    if rows * columns > _MOST_ENTRIES:
        raise CodeError(f"sparse matrix: {rows} rows and {columns} columns; expected at most {_MOST_ENTRIES} entries")
    lines = [line.strip() for line in text[header.end() :].splitlines()]
    lines = [line for line in lines if line and line.split() not in (["Coords", "Values"], [":", ":"])]
    if len(lines) != stored:
        raise CodeError(
            f"sparse matrix: {len(lines)} of {stored} entries are here, the others are left out; save it with "
            "scipy.sparse.save_npz, or print its toarray()"
        )
    matrix = np.zeros((rows, columns), dtype=np.uint8)
    seen = set()
    for line in lines:
        entry = _ENTRY.fullmatch(line)
        if entry is None:
            raise CodeError(f"sparse matrix: {shown(line)} is no entry; expected lines such as (0, 3) 1")
        at = int(entry[1]), int(entry[2])
        if at[0] >= rows or at[1] >= columns or at in seen:
            raise CodeError(f"sparse matrix: {shown(line)} is outside {rows} rows and {columns} columns, or twice")
        seen.add(at)
        matrix[at] = entry[3] is not None
    return matrix
