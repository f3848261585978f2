"""Counting violations error by error: the SIMD lanes are the codes.

A block of codes is laid out with one row per qubit and Pauli, in the narrowest integers that hold n + k bits, so that
one vector instruction XORs (or tests) the same error in up to 32 codes. All errors of weight 1..depth are walked with
the prefix XOR of their leading qubits kept; the two innermost qubits are unrolled, nine errors at a time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

__all__ = ["count_direct"]


@njit(nogil=True, cache=True)
def _load(words: Any, start: int, columns: Any) -> None:
    """`columns[q, pauli, lane]` of the block of codes that begins at `start`; lanes beyond the batch are zero."""
    n, size = words.shape[1], min(columns.shape[2], words.shape[0] - start)
    columns[:] = 0
    for q in range(n):
        for pauli in range(2):
            row = columns[q, pauli]
            for lane in range(size):
                row[lane] = row.dtype.type(words[start + lane, q, pauli, 0])


@njit(nogil=True, cache=True)
def _count_two(xq: Any, zq: Any, xr: Any, zr: Any, prefix: Any, limit: Any, found: Any) -> None:
    """Add to `found` the violating errors among the prefix times the nine Pauli pairs on two qubits."""
    word = found.dtype.type
    one = word(1)
    for lane in range(found.shape[0]):
        x, z = xr[lane], zr[lane]
        y = word(x ^ z)
        a, b = word(prefix[lane] ^ xq[lane]), word(prefix[lane] ^ zq[lane])
        c = word(a ^ zq[lane])
        part = word(word(word(a ^ x) - one) < limit)
        part = word(part + word(word(word(a ^ z) - one) < limit))
        part = word(part + word(word(word(a ^ y) - one) < limit))
        part = word(part + word(word(word(b ^ x) - one) < limit))
        part = word(part + word(word(word(b ^ z) - one) < limit))
        part = word(part + word(word(word(b ^ y) - one) < limit))
        part = word(part + word(word(word(c ^ x) - one) < limit))
        part = word(part + word(word(word(c ^ z) - one) < limit))
        part = word(part + word(word(word(c ^ y) - one) < limit))
        found[lane] = word(found[lane] + part)


@njit(nogil=True, cache=True)
def _count_two_z(zq: Any, zr: Any, prefix: Any, limit: Any, found: Any) -> None:
    """As `_count_two`, ZZ alone."""
    word = found.dtype.type
    for lane in range(found.shape[0]):
        error = word(word(prefix[lane] ^ zq[lane]) ^ zr[lane])
        found[lane] = word(found[lane] + word(word(error - word(1)) < limit))


@njit(nogil=True, cache=True)
def _count_two_mixed(xq: Any, zq: Any, xr: Any, zr: Any, prefix: Any, limit: Any, found: Any) -> None:
    """As `_count_two`, the four pairs of one Z and one X or Y."""
    word = found.dtype.type
    one = word(1)
    for lane in range(found.shape[0]):
        both = word(word(prefix[lane] ^ zq[lane]) ^ zr[lane])
        part = word(word(word(both ^ xq[lane]) - one) < limit)
        part = word(part + word(word(word(both ^ xr[lane]) - one) < limit))
        part = word(part + word(word(word(word(both ^ xq[lane]) ^ zq[lane]) - one) < limit))
        part = word(part + word(word(word(word(both ^ xr[lane]) ^ zr[lane]) - one) < limit))
        found[lane] = word(found[lane] + part)


@njit(nogil=True, cache=True)
def _count_two_xy(xq: Any, zq: Any, xr: Any, zr: Any, prefix: Any, limit: Any, found: Any) -> None:
    """As `_count_two`, the four pairs of X or Y."""
    word = found.dtype.type
    one = word(1)
    for lane in range(found.shape[0]):
        both = word(word(prefix[lane] ^ xq[lane]) ^ xr[lane])
        part = word(word(both - one) < limit)
        part = word(part + word(word(word(both ^ zq[lane]) - one) < limit))
        part = word(part + word(word(word(both ^ zr[lane]) - one) < limit))
        part = word(part + word(word(word(word(both ^ zq[lane]) ^ zr[lane]) - one) < limit))
        found[lane] = word(found[lane] + part)


@njit(nogil=True, cache=True)
def _scan_pairs(
    columns: Any, top: int, prefix: Any, z: int, y: int, index: Any, limit: Any, found: Any, counts: Any
) -> None:
    """All errors `prefix` times two qubits below `top`; the prefix has z Zs and y Xs or Ys."""
    by_weight = index[0, 1] == index[1, 0]
    found[:] = 0
    for q in range(1, top):
        xq, zq = columns[q, 0], columns[q, 1]
        for r in range(q):
            xr, zr = columns[r, 0], columns[r, 1]
            if by_weight:
                _count_two(xq, zq, xr, zr, prefix, limit, found[0])
            else:
                _count_two_z(zq, zr, prefix, limit, found[0])
                _count_two_mixed(xq, zq, xr, zr, prefix, limit, found[1])
                _count_two_xy(xq, zq, xr, zr, prefix, limit, found[2])
    for kind in range(1 if by_weight else 3):
        row = counts[index[z + 2 - kind, y + kind]]
        for lane in range(row.shape[0]):
            row[lane] += found[kind, lane]


@njit(nogil=True, cache=True)
def _scan_singles(columns: Any, index: Any, limit: Any, counts: Any) -> None:
    """All errors of weight 1."""
    word = columns.dtype.type
    one = word(1)
    z_counts, xy_counts = counts[index[1, 0]], counts[index[0, 1]]
    for q in range(columns.shape[0]):
        x, z = columns[q, 0], columns[q, 1]
        for lane in range(counts.shape[1]):
            z_counts[lane] += word(z[lane] - one) < limit
        for lane in range(counts.shape[1]):
            xy_counts[lane] += word(x[lane] - one) < limit
        for lane in range(counts.shape[1]):
            xy_counts[lane] += word(word(x[lane] ^ z[lane]) - one) < limit


@njit(nogil=True, cache=True)
def _extend(prefix: Any, columns: Any, factor: int, longer: Any) -> None:
    """`longer = prefix` times Pauli factor % 3 (Z, X, Y) on qubit factor // 3."""
    x, z = columns[factor // 3, 0], columns[factor // 3, 1]
    pauli = factor % 3
    for lane in range(longer.shape[0]):
        error = prefix[lane]
        if pauli != 0:
            error = longer.dtype.type(error ^ x[lane])
        if pauli != 1:
            error = longer.dtype.type(error ^ z[lane])
        longer[lane] = error


@njit(nogil=True, cache=True)
def _count_block(columns: Any, depth: int, index: Any, limit: Any, prefixes: Any, found: Any, counts: Any) -> None:
    """Violations per class of one block: a depth-first walk over the qubits of an error, descending."""
    counts[:] = 0
    if depth >= 1:
        _scan_singles(columns, index, limit, counts)
    if depth < 2:
        return
    top, cursor, zs = np.empty(depth, np.int64), np.zeros(depth, np.int64), np.zeros(depth, np.int64)
    length, top[0] = 0, columns.shape[0]
    prefixes[0, :] = 0
    _scan_pairs(columns, top[0], prefixes[0], 0, 0, index, limit, found, counts)
    while length >= 0:
        if length == depth - 2 or cursor[length] == 3 * top[length]:
            length -= 1
            continue
        factor = cursor[length]
        cursor[length] += 1
        _extend(prefixes[length], columns, factor, prefixes[length + 1])
        zs[length + 1] = zs[length] + (factor % 3 == 0)
        length += 1
        top[length], cursor[length] = factor // 3, 0
        z = zs[length]
        _scan_pairs(columns, top[length], prefixes[length], z, length - z, index, limit, found, counts)


@njit(nogil=True, cache=True)
def _direct_block(
    block: int, words: Any, depth: int, index: Any, limit: Any, narrow: Any, lanes: int, counts: Any
) -> None:
    batch, n = words.shape[0], words.shape[1]
    columns = np.empty((n, 2, lanes), narrow.dtype)
    prefixes = np.empty((max(depth - 1, 1), lanes), narrow.dtype)
    found = np.empty((3, lanes), narrow.dtype)
    own = np.empty((counts.shape[0], lanes), np.int64)
    start = block * lanes
    _load(words, start, columns)
    _count_block(columns, depth, index, limit, prefixes, found, own)
    for c in range(own.shape[0]):
        for lane in range(min(lanes, batch - start)):
            counts[c, start + lane] = own[c, lane]


@njit(nogil=True, parallel=True, cache=True)
def count_direct(words: Any, k: int, depth: int, index: Any, narrow: Any, lanes: int, counts: Any) -> None:
    """Violating errors per class of each code.

    Args:
        words: (B, n, 2, 1) uint64, as in `TableauBatch`.
        k: Logical qubits.
        depth: Greatest weight of an error.
        index: `ErrorClasses.index`.
        narrow: An array of the narrowest unsigned type that holds n + k bits; only its dtype is used.
        lanes: Codes per block; best a multiple of 32.
        counts: (C, >= B) int64, filled.
    """
    limit = narrow.dtype.type((np.uint64(1) << np.uint64(2 * k)) - np.uint64(1))
    blocks = (words.shape[0] + lanes - 1) // lanes
    if blocks == 1:  # in the calling thread: waking another takes longer
        _direct_block(0, words, depth, index, limit, narrow, lanes, counts)
    else:
        for block in prange(blocks):
            _direct_block(block, words, depth, index, limit, narrow, lanes, counts)
