"""Counting violations from the stabilizer group's weights: bit-sliced enumeration, then MacWilliams.

With A_c the number of stabilizers in class c of Paulis, and B_c the number of Paulis in class c that commute with
every stabilizer, the violating errors of class c are B_c - A_c, and B is a linear (Krawtchouk) transform of A (Shor and
Laflamme 1997; for two-variable enumerators too). So 2^(n-k) stabilizers stand for all errors of any weight.

The stabilizers are not walked one by one: a machine word holds one bit for each of 64 of them. Qubit q's column says
which rows Z_q (X_q) anticommutes with, so "stabilizer s acts as X or Y on q" is the parity of the bits of s that the
column selects: a fixed pattern over the low six bits of s, inverted as the higher bits demand. The weights are then
added up as in a carry-save adder, five bit planes for up to 31 qubits; each bin is one comparison and a popcount.

All counts are exact integers.
"""

from __future__ import annotations

from math import comb
from typing import Any

import numpy as np
from numba import njit, prange, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from qecforge_knill_laflamme._classes import ErrorClasses

__all__ = ["count_enumerator", "transform"]

_U = np.uint64
_PLANES = 5
_WIDTH = 32  # words per row: 2048 stabilizers at a time
_ALL = np.uint64(2**64 - 1)


def _parity_table(bits: int) -> NDArray[np.bool_]:
    selected = np.arange(2**bits)[:, None] & np.arange(2**bits)[None, :]
    return np.array(np.bitwise_count(selected) % 2 == 1)


_PATTERNS = np.packbits(_parity_table(6), axis=1, bitorder="little").view(np.uint64).reshape(64)
"""`_PATTERNS[h]`: bit s is the parity of s & h."""
_SIGNS = np.where(_parity_table(5), _ALL, _U(0))
"""`_SIGNS[h, j]`: all ones where the parity of h & j is odd."""


def transform(classes: ErrorClasses, k: int) -> NDArray[np.int64]:
    """(C, bins) int64: 2^(n-k) times the violating errors of each class, linear in the stabilizers' histogram.

    Bins: the weight 0..n in scheme `weight`; (Zs) * (n + 1) + (Xs and Ys) in scheme `bias`.
    """
    n, order = classes.n, 2 ** (classes.n - k)
    by_weight = classes.scheme == "weight"
    bins = [(0, w) for w in range(n + 1)] if by_weight else [(a, b) for a in range(n + 1) for b in range(n + 1)]
    matrix = np.zeros((len(classes), len(bins)), dtype=np.int64)
    for column, (a, b) in enumerate(bins):
        if a + b > n:
            continue
        for c, (z, y) in enumerate(classes.members.tolist()):
            own = (0, a + b) == (z, y) if by_weight else (a, b) == (z, y)
            characters = _krawtchouk(n, y, b) if by_weight else _krawtchouk_two(n, z, y, a, b)
            matrix[c, column] = characters - order * own
    return matrix


def _krawtchouk(n: int, weight: int, of: int) -> int:
    """Sum over Paulis E of a weight of +1 or -1 as E commutes or not with a Pauli of weight `of`."""
    return sum((-1) ** i * 3 ** (weight - i) * comb(of, i) * comb(n - of, weight - i) for i in range(weight + 1))


def _krawtchouk_two(n: int, z: int, y: int, a: int, b: int) -> int:
    """As `_krawtchouk`: over E with z Zs and y Xs or Ys, against a Pauli with `a` Zs and `b` Xs or Ys.

    The coefficient of u^z v^y in (1 + u + 2v)^(n-a-b) (1 + u - 2v)^a (1 - u)^b.
    """
    total = 0
    for z_b in range(min(b, z) + 1):
        on_b = (-1) ** z_b * comb(b, z_b)
        for y_a in range(min(a, y) + 1):
            # z - z_b Zs and y Xs or Ys on the n - b sites that are no X or Y; y_a of the latter on the a Z sites
            free, zs = n - b, z - z_b
            on_rest = comb(a, y_a) * (-2) ** y_a * comb(free - a, y - y_a) * 2 ** (y - y_a)
            total += on_b * on_rest * comb(free - y, zs) if free >= y else 0
    return total


@intrinsic
def _popcount(typing_context: Any, word: Any) -> Any:
    """Bits set in a uint64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


@njit(nogil=True, cache=True)
def _fill_xy(pattern: Any, signs: Any, width: int, out: Any) -> None:
    """Stabilizers that act as X or Y: those that anticommute with Z."""
    for j in range(width):
        out[j] = signs[j] ^ pattern


@njit(nogil=True, cache=True)
def _fill_any(x_pattern: Any, x_signs: Any, z_pattern: Any, z_signs: Any, width: int, out: Any) -> None:
    """Stabilizers that do not act as the identity: those that anticommute with X or Z."""
    for j in range(width):
        out[j] = (x_signs[j] ^ x_pattern) | (z_signs[j] ^ z_pattern)


@njit(nogil=True, cache=True)
def _fill_z(x_pattern: Any, x_signs: Any, z_pattern: Any, z_signs: Any, width: int, out: Any) -> None:
    """Stabilizers that act as Z: those that anticommute with X and not with Z."""
    for j in range(width):
        out[j] = (x_signs[j] ^ x_pattern) & ~(z_signs[j] ^ z_pattern)


@njit(nogil=True, cache=True)
def _add_seven(acts: Any, planes: Any, width: int) -> None:
    """Add seven rows of bits to the five bit planes: four full adders give three bits, which ripple through."""
    for j in range(width):
        a, b, c, d = acts[j], acts[_WIDTH + j], acts[2 * _WIDTH + j], acts[3 * _WIDTH + j]
        e, f, g = acts[4 * _WIDTH + j], acts[5 * _WIDTH + j], acts[6 * _WIDTH + j]
        sum_1, carry_1 = a ^ b ^ c, (a & b) | (c & (a ^ b))
        sum_2, carry_2 = d ^ e ^ f, (d & e) | (f & (d ^ e))
        ones, carry_3 = sum_1 ^ sum_2 ^ g, (sum_1 & sum_2) | (g & (sum_1 ^ sum_2))
        twos = carry_1 ^ carry_2 ^ carry_3
        fours = (carry_1 & carry_2) | (carry_3 & (carry_1 ^ carry_2))
        p0, p1, p2 = planes[j], planes[_WIDTH + j], planes[2 * _WIDTH + j]
        p3, p4 = planes[3 * _WIDTH + j], planes[4 * _WIDTH + j]
        r0 = p0 & ones
        r1 = (p1 & twos) | (r0 & (p1 ^ twos))
        r2 = (p2 & fours) | (r1 & (p2 ^ fours))
        r3 = p3 & r2
        planes[j] = p0 ^ ones
        planes[_WIDTH + j] = p1 ^ twos ^ r0
        planes[2 * _WIDTH + j] = p2 ^ fours ^ r1
        planes[3 * _WIDTH + j] = p3 ^ r2
        planes[4 * _WIDTH + j] = p4 ^ r3


@njit(nogil=True, cache=True)
def _mask(value: int, plane: int) -> Any:
    """All ones where the plane's bit of the value is set."""
    return _U(0) - _U((value >> plane) & 1)


@njit(nogil=True, cache=True)
def _differs(planes: Any, value: int, width: int, out: Any) -> None:
    """Bits of stabilizers whose sliced number is not `value`."""
    m0, m1, m2, m3, m4 = _mask(value, 0), _mask(value, 1), _mask(value, 2), _mask(value, 3), _mask(value, 4)
    for j in range(width):
        out[j] = (
            (planes[j] ^ m0)
            | (planes[_WIDTH + j] ^ m1)
            | (planes[2 * _WIDTH + j] ^ m2)
            | (planes[3 * _WIDTH + j] ^ m3)
            | (planes[4 * _WIDTH + j] ^ m4)
        )


@njit(nogil=True, cache=True)
def _count_equal(planes: Any, value: int, excluded: Any, width: int) -> Any:
    """Stabilizers whose sliced number is `value` and that are not excluded."""
    m0, m1, m2, m3, m4 = _mask(value, 0), _mask(value, 1), _mask(value, 2), _mask(value, 3), _mask(value, 4)
    total = _U(0)
    for j in range(width):
        differs = (planes[j] ^ m0) | (planes[_WIDTH + j] ^ m1) | (planes[2 * _WIDTH + j] ^ m2)
        differs |= (planes[3 * _WIDTH + j] ^ m3) | (planes[4 * _WIDTH + j] ^ m4)
        total += _popcount(~(differs | excluded[j]))  # type: ignore[call-arg]
    return np.int64(total)


@njit(nogil=True, cache=True)
def _slice_weights(x: Any, z: Any, chunk: int, width: int, kind: int, acts: Any, planes: Any) -> None:
    """Bit planes of how many qubits each stabilizer of a chunk acts on: kind 0 in any way, 1 as X or Y, 2 as Z."""
    n = x.shape[0]
    planes[:] = _U(0)
    for first in range(0, n, 7):
        for place in range(7):
            row = acts[place * _WIDTH : (place + 1) * _WIDTH]
            q = first + place
            if q >= n:
                row[:] = _U(0)
                continue
            x_pattern = _PATTERNS[x[q] & 63] ^ _parity_mask((x[q] >> 11) & chunk)
            z_pattern = _PATTERNS[z[q] & 63] ^ _parity_mask((z[q] >> 11) & chunk)
            x_signs, z_signs = _SIGNS[(x[q] >> 6) & 31], _SIGNS[(z[q] >> 6) & 31]
            if kind == 0:
                _fill_any(x_pattern, x_signs, z_pattern, z_signs, width, row)
            elif kind == 1:
                _fill_xy(z_pattern, z_signs, width, row)
            else:
                _fill_z(x_pattern, x_signs, z_pattern, z_signs, width, row)
        _add_seven(acts, planes, width)


@njit(nogil=True, cache=True)
def _parity_mask(bits: int) -> Any:
    """All ones where an odd number of bits is set."""
    return _U(0) - (_popcount(_U(bits)) & _U(1))  # type: ignore[call-arg]


@njit(nogil=True, cache=True)
def _histogram(x: Any, z: Any, rows: int, by_weight: bool, scratch: Any, histogram: Any) -> None:
    """Classes of all 2^rows stabilizers, whose columns are x and z (bit i: anticommutes with generator i)."""
    n = x.shape[0]
    width = 1 << max(0, min(rows - 6, 5))
    acts, planes, z_planes, excluded = scratch
    beyond = _ALL << _U(1 << rows) if rows < 6 else _U(0)
    histogram[:] = 0
    for chunk in range(1 << max(0, rows - 11)):
        excluded[:] = beyond
        if by_weight:
            _slice_weights(x, z, chunk, width, 0, acts, planes)
            for w in range(n + 1):
                histogram[w] += _count_equal(planes, w, excluded, width)
            continue
        _slice_weights(x, z, chunk, width, 1, acts, planes)
        _slice_weights(x, z, chunk, width, 2, acts, z_planes)
        for a in range(n + 1):
            _differs(z_planes, a, width, excluded)
            for j in range(width):
                excluded[j] |= beyond
            for b in range(n + 1 - a):
                histogram[a * (n + 1) + b] += _count_equal(planes, b, excluded, width)


@njit(nogil=True, cache=True)
def _enumerate_block(block: int, blocks: int, words: Any, k: int, by_weight: bool, matrix: Any, counts: Any) -> None:
    batch, n = words.shape[0], words.shape[1]
    x, z = np.empty(n, np.int64), np.empty(n, np.int64)
    histogram = np.empty(matrix.shape[1], np.int64)
    scratch = (
        np.empty(7 * _WIDTH, _U),
        np.empty(_PLANES * _WIDTH, _U),
        np.empty(_PLANES * _WIDTH, _U),
        np.empty(_WIDTH, _U),
    )
    for b in range(batch * block // blocks, batch * (block + 1) // blocks):
        for q in range(n):
            x[q] = np.int64(words[b, q, 0, 0] >> _U(2 * k))
            z[q] = np.int64(words[b, q, 1, 0] >> _U(2 * k))
        _histogram(x, z, n - k, by_weight, scratch, histogram)
        for c in range(matrix.shape[0]):
            total = 0
            for column in range(matrix.shape[1]):
                total += matrix[c, column] * histogram[column]
            counts[c, b] = total >> (n - k)


@njit(nogil=True, parallel=True, cache=True)
def count_enumerator(words: Any, k: int, by_weight: bool, matrix: Any, blocks: int, counts: Any) -> None:
    """Violating errors per class of each code.

    Args:
        words: (B, n, 2, 1) uint64, as in `TableauBatch`; n <= 31, as there are five bit planes.
        k: Logical qubits.
        by_weight: Scheme `weight`; else `bias`.
        matrix: `transform` of the classes.
        blocks: Into how many pieces the batch is cut for the threads.
        counts: (C, >= B) int64, filled.
    """
    if blocks == 1:  # in the calling thread: waking another takes longer
        _enumerate_block(0, 1, words, k, by_weight, matrix, counts)
    else:
        for block in prange(blocks):
            _enumerate_block(block, blocks, words, k, by_weight, matrix, counts)
