"""Linear algebra over GF(2) on rows held as Python integers.

A row of m columns is an integer whose most significant of m bits is column 0, so that "leftmost" is "largest" and one
XOR adds two rows of any width. For the matrices of stabilizer codes (tens to hundreds of rows) this beats both numpy
and a compiled kernel's call and import time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qecforge.errors import CodeError

__all__ = [
    "as_binary_matrix",
    "inverse",
    "kernel",
    "pack_rows",
    "product",
    "rank",
    "reduce_against",
    "row_dependencies",
    "row_reduce",
    "to_words",
    "unpack_rows",
]


def as_binary_matrix(matrix: ArrayLike, what: str) -> NDArray[np.uint8]:
    """A fresh (m, n) uint8 array of zeros and ones, of a sparse matrix of scipy's too.

    Raises:
        CodeError: anything else, naming `what`.
    """
    if hasattr(matrix, "toarray"):
        matrix = matrix.toarray()
    try:
        array = np.array(matrix)
    except ValueError as error:
        raise CodeError(f"{what}: rows of unequal length; expected a rectangular matrix of 0s and 1s") from error
    if array.ndim != 2:
        raise CodeError(
            f"{what}: got {array.ndim} dimension(s); expected a matrix of 0s and 1s with one row for each check"
        )
    if array.size and array.dtype.kind not in "buif":
        raise CodeError(f"{what}: got entries of type {array.dtype}; expected 0s and 1s")
    wrong = np.argwhere((array != 0) & (array != 1))
    if wrong.size:
        row, column = (int(index) for index in wrong[0])
        raise CodeError(f"{what}: entry ({row}, {column}) is {array[row, column]}; expected 0 or 1")
    return array.astype(np.uint8)


def product(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(m, p) uint8: the product over GF(2) of binary matrices (m, c) and (c, p), by the method of the four Russians.

    Source: Arlazarov, Dinic, Kronrod and Faradzev 1970: the sums of every eight rows of `b` are tabulated once.
    """
    columns = b.shape[1]
    words = (columns + 63) // 64
    rows = np.zeros((-(-b.shape[0] // 8) * 8, words * 8), dtype=np.uint8)
    rows[: b.shape[0], : (columns + 7) // 8] = np.packbits(b, axis=1)
    blocks = rows.view(np.uint64).reshape(-1, 8, words)
    selected = np.packbits(a, axis=1, bitorder="little")
    total = np.zeros((a.shape[0], words), dtype=np.uint64)
    sums = np.zeros((256, words), dtype=np.uint64)
    for index, block in enumerate(blocks):
        for bit in range(8):
            np.bitwise_xor(sums[: 1 << bit], block[bit], out=sums[1 << bit : 2 << bit])
        total ^= sums[selected[:, index]]
    return np.unpackbits(total.view(np.uint8), axis=1)[:, :columns].copy()


def pack_rows(matrix: NDArray[np.uint8]) -> list[int]:
    """Rows of a binary matrix as integers, column 0 most significant."""
    columns = matrix.shape[1]
    packed = np.packbits(matrix, axis=1)
    padding = packed.shape[1] * 8 - columns
    return [int.from_bytes(row.tobytes(), "big") >> padding for row in packed]


def unpack_rows(rows: Sequence[int], columns: int) -> NDArray[np.uint8]:
    """Inverse of `pack_rows`: (len(rows), columns) uint8."""
    size = (columns + 7) // 8
    padding = size * 8 - columns
    raw = b"".join((row << padding).to_bytes(size, "big") for row in rows)
    bits = np.frombuffer(raw, dtype=np.uint8).reshape(len(rows), size)
    return np.unpackbits(bits, axis=1)[:, :columns].copy()


def row_reduce(rows: Iterable[int]) -> list[int]:
    """The reduced row echelon form of the span, without zero rows: unique for the span, largest pivot first."""
    pivots: dict[int, int] = {}
    for row in rows:
        reduced = reduce_against(row, pivots)
        if reduced:
            pivots[reduced.bit_length()] = reduced
    order = sorted(pivots)
    for position, pivot in enumerate(order):
        row = pivots[pivot]
        for lower in reversed(order[:position]):
            if row >> (lower - 1) & 1:
                row ^= pivots[lower]
        pivots[pivot] = row
    return [pivots[pivot] for pivot in reversed(order)]


def reduce_against(row: int, pivots: dict[int, int]) -> int:
    """`row` with every leading bit that a pivot row can clear, cleared; zero iff it lies in their span.

    `pivots` maps bit length to a row of that length.
    """
    while row:
        pivot = pivots.get(row.bit_length())
        if pivot is None:
            return row
        row ^= pivot
    return 0


def rank(rows: Iterable[int]) -> int:
    """Dimension of the span."""
    pivots: dict[int, int] = {}
    for row in rows:
        reduced = reduce_against(row, pivots)
        if reduced:
            pivots[reduced.bit_length()] = reduced
    return len(pivots)


def row_dependencies(rows: Sequence[int]) -> tuple[list[int], dict[int, list[int]]]:
    """Which rows are independent of the ones before, and how the others depend on those.

    Returns:
        The indices of the independent rows, and for each other row the indices of the independent rows it is the sum
        of (an empty list for a zero row).
    """
    pivots: dict[int, int] = {}
    independent: list[int] = []
    dependent: dict[int, list[int]] = {}
    width = len(rows)
    for index, row in enumerate(rows):
        # The low `width` bits remember which rows were added; pivots live above them.
        tracked = row << width | 1 << index
        while tracked >> width:
            pivot = pivots.get(tracked.bit_length())
            if pivot is None:
                pivots[tracked.bit_length()] = tracked
                independent.append(index)
                break
            tracked ^= pivot
        else:
            dependent[index] = [other for other in range(index) if tracked >> other & 1]
    return independent, dependent


def kernel(rows: Iterable[int], columns: int) -> list[int]:
    """A basis of all x with <row, x> = 0 for every row (columns as in `pack_rows`)."""
    reduced = row_reduce(rows)
    pivot_bits = [row.bit_length() - 1 for row in reduced]
    taken = set(pivot_bits)
    basis = []
    for free in range(columns - 1, -1, -1):
        if free in taken:
            continue
        vector = 1 << free
        for row, bit in zip(reduced, pivot_bits, strict=True):
            if row >> free & 1:
                vector |= 1 << bit
        basis.append(vector)
    return basis


def inverse(rows: Sequence[int]) -> list[int]:
    """Inverse of an invertible square matrix of len(rows) columns. Raises `ValueError` where it is singular."""
    size = len(rows)
    augmented = row_reduce(row << size | 1 << (size - 1 - index) for index, row in enumerate(rows))
    if len(augmented) != size or any(row >> size != 1 << (size - 1 - index) for index, row in enumerate(augmented)):
        raise ValueError("the matrix is singular")
    return [row & ((1 << size) - 1) for row in augmented]


def to_words(rows: Sequence[int], words: int) -> NDArray[np.uint64]:
    """Rows as (len(rows), words) uint64, least significant word first, for compiled kernels."""
    raw = b"".join(row.to_bytes(8 * words, "little") for row in rows)
    return np.frombuffer(raw, dtype="<u8").astype(np.uint64).reshape(len(rows), words)
