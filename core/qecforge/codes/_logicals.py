"""Logical operators and the CSS split of a stabilizer group."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qecforge.codes import _gf2, _pauli
from qecforge.errors import CodeError

__all__ = ["checked_logicals", "css_logicals", "find_logicals", "normalizer", "split_css"]

_MOST_UNCOMPILED = 256


def checked_logicals(
    check_matrix: NDArray[np.uint8], logical_x: ArrayLike, logical_z: ArrayLike
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Given logical operators as fresh (k, 2n) arrays. Raises `CodeError` where they do not fit the generators."""
    generators, columns = check_matrix.shape
    k = columns // 2 - generators
    given = []
    for operators, name in ((logical_x, "logical_x"), (logical_z, "logical_z")):
        matrix = _gf2.as_binary_matrix(
            np.reshape(operators, (0, columns)) if k == 0 and not np.size(operators) else operators, name
        )
        if matrix.shape != (k, columns):
            raise CodeError(f"{name}: shape {matrix.shape}; expected (k, 2n) = ({k}, {columns})")
        wrong = np.argwhere(_pauli.commutator(matrix, check_matrix))
        if len(wrong):
            row, generator = wrong[0]
            raise CodeError(
                f"{name} {row} ({_pauli.format_pauli(matrix[row])}) anticommutes with generator {generator} "
                f"({_pauli.format_pauli(check_matrix[generator])}); logical operators commute with every stabilizer"
            )
        given.append(matrix)
    x, z = given
    pairing = np.block(
        [[_pauli.commutator(x, x), _pauli.commutator(x, z)], [_pauli.commutator(z, x), _pauli.commutator(z, z)]]
    )
    identity, zero = np.eye(k, dtype=np.uint8), np.zeros((k, k), dtype=np.uint8)
    wrong = np.argwhere(pairing != np.block([[zero, identity], [identity, zero]]))
    if len(wrong):
        names = [f"logical_{'x' if index < k else 'z'} {index % k}" for index in wrong[0]]
        raise CodeError(
            f"{names[0]} and {names[1]} {'anticommute' if pairing[tuple(wrong[0])] else 'commute'}; "
            "expected logical_x i to anticommute with logical_z i and with no other logical operator"
        )
    return x, z


def normalizer(rows: Sequence[int], n: int) -> list[int]:
    """A basis of the n + k dimensional space of Paulis that commute with every row."""
    return _gf2.kernel((_pauli.swap_halves(row, n) for row in rows), 2 * n)


def find_logicals(
    rows: Sequence[int], n: int, css: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Paired logical operators (k, 2n) each: X-type and Z-type for a CSS code, else by symplectic Gram-Schmidt."""
    x, z = css_logicals(*css) if css is not None else _gram_schmidt(normalizer(rows, n), n)
    return _gf2.unpack_rows(x, 2 * n), _gf2.unpack_rows(z, 2 * n)


def _gram_schmidt(vectors: list[int], n: int) -> tuple[list[int], list[int]]:
    if len(vectors) > _MOST_UNCOMPILED:
        return _compiled_gram_schmidt(vectors, n)
    pending = list(vectors)
    x: list[int] = []
    z: list[int] = []
    while pending:
        first = pending.pop(0)
        partner = next((i for i, other in enumerate(pending) if _pauli.symplectic_product(first, other, n)), None)
        if partner is None:
            continue  # commutes with all that is left: a stabilizer
        second = pending.pop(partner)
        x.append(first)
        z.append(second)
        for index, other in enumerate(pending):
            with_first = _pauli.symplectic_product(other, first, n)
            with_second = _pauli.symplectic_product(other, second, n)
            pending[index] = other ^ (second if with_first else 0) ^ (first if with_second else 0)
    return x, z


def _compiled_gram_schmidt(vectors: list[int], n: int) -> tuple[list[int], list[int]]:
    """The same steps as compiled loops, which repay their import for large codes."""
    from qecforge.codes.distance import _kernels

    words, mask = (n + 63) // 64, (1 << n) - 1
    x = _gf2.to_words([vector >> n for vector in vectors], words)
    z = _gf2.to_words([vector & mask for vector in vectors], words)
    pairs = _kernels.pair_logicals(x, z)
    rows = [
        int.from_bytes(x_row.astype("<u8").tobytes(), "little") << n
        | int.from_bytes(z_row.astype("<u8").tobytes(), "little")
        for x_row, z_row in zip(x, z, strict=True)
    ]
    return [rows[first] for first, _ in pairs], [rows[second] for _, second in pairs]


def css_logicals(hx: NDArray[np.uint8], hz: NDArray[np.uint8]) -> tuple[list[int], list[int]]:
    n = hx.shape[1]
    x_rows, z_rows = _gf2.pack_rows(hx), _gf2.pack_rows(hz)
    x = _quotient(_gf2.kernel(z_rows, n), x_rows)
    z = _quotient(_gf2.kernel(x_rows, n), z_rows)
    k = len(x)
    if not k:
        return [], []
    # Change the basis of Z so that <x_i, z_j> = delta_ij.
    x_matrix, z_matrix = _gf2.unpack_rows(x, n), _gf2.unpack_rows(z, n)
    change = _gf2.unpack_rows(_gf2.inverse(_gf2.pack_rows(_gf2.product(z_matrix, x_matrix.T))), k)
    return [row << n for row in x], _gf2.pack_rows(_gf2.product(change, z_matrix))


def _quotient(space: Sequence[int], subspace: Sequence[int]) -> list[int]:
    """Vectors of `space` that complete `subspace` to the span of both."""
    pivots = {row.bit_length(): row for row in _gf2.row_reduce(subspace)}
    chosen = []
    for vector in sorted(space, key=int.bit_count):
        reduced = _gf2.reduce_against(vector, pivots)
        if reduced:
            pivots[reduced.bit_length()] = reduced
            chosen.append(vector)
    return chosen


def split_css(check_matrix: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
    """(hx, hz) with independent rows, or None where X-type and Z-type elements do not generate the group."""
    n = check_matrix.shape[1] // 2
    is_x, is_z = ~check_matrix[:, n:].any(axis=1), ~check_matrix[:, :n].any(axis=1)
    if bool((is_x | is_z).all()):
        halves = check_matrix[is_x, :n].copy(), check_matrix[is_z, n:].copy()
    else:
        reduced = _gf2.row_reduce(_gf2.pack_rows(check_matrix))
        swapped = _gf2.row_reduce(_pauli.swap_halves(row, n) for row in reduced)
        x_type = [row for row in swapped if not row >> n]  # [z | x] with z = 0
        z_type = [row for row in reduced if not row >> n]
        if len(x_type) + len(z_type) != len(reduced):
            return None
        halves = _gf2.unpack_rows(x_type, n), _gf2.unpack_rows(z_type, n)
    for half in halves:
        half.flags.writeable = False
    return halves
