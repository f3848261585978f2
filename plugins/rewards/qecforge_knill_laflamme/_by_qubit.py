"""Violations one error at a time where qubits are told apart, or where a tableau's rows need two machine words.

Noise that differs between qubits (or has p_X != p_Y) gives each error a weight of its own, so counts per class do not
do. `walk_errors` visits every error of weight 1..depth with its probability; the SIMD lanes are the codes, as in
`_direct.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

__all__ = ["walk_errors"]

_U = np.uint64


@njit(nogil=True, cache=True)
def _load(words: Any, start: int, word: int, out: Any) -> None:
    """`out[q, pauli, lane]`: one machine word of each code of a block."""
    for q in range(out.shape[0]):
        for pauli in range(2):
            row = out[q, pauli]
            for lane in range(row.shape[0]):
                row[lane] = words[start + lane, q, pauli, word]


@njit(nogil=True, cache=True)
def _load_noise(noise: Any, start: int, out: Any) -> None:
    """`out[q, pauli, lane]`: the probabilities of a block; `noise` is (1, n, 4) or (B, n, 4)."""
    shared = noise.shape[0] == 1
    for q in range(out.shape[0]):
        for pauli in range(4):
            row = out[q, pauli]
            for lane in range(row.shape[0]):
                row[lane] = noise[0 if shared else start + lane, q, pauli]


@njit(nogil=True, cache=True)
def _xor(prefix: Any, x: Any, z: Any, pauli: int, out: Any) -> None:
    """The prefix times X (pauli 1), Y (2) or Z (3)."""
    for lane in range(out.shape[0]):
        error = prefix[lane]
        if pauli != 3:
            error ^= x[lane]
        if pauli != 1:
            error ^= z[lane]
        out[lane] = error


@njit(nogil=True, cache=True)
def _flag(low: Any, mask_low: Any, hit: Any) -> None:
    """Which errors violate; one machine word."""
    for lane in range(hit.shape[0]):
        hit[lane] = np.int64((low[lane] & mask_low == _U(0)) & (low[lane] != _U(0)))


@njit(nogil=True, cache=True)
def _flag_wide(low: Any, high: Any, mask_low: Any, mask_high: Any, hit: Any) -> None:
    """Which errors violate; two machine words."""
    for lane in range(hit.shape[0]):
        seen = (low[lane] & mask_low) | (high[lane] & mask_high)
        hit[lane] = np.int64((seen == _U(0)) & ((low[lane] | high[lane]) != _U(0)))


@njit(nogil=True, cache=True)
def _weigh(hit: Any, probability: Any, idle: Any, total: Any) -> None:
    """Add the probability of the violating errors: of its qubits so far times that the lower ones are idle."""
    for lane in range(hit.shape[0]):
        total[lane] += hit[lane] * probability[lane] * idle[lane]


@njit(nogil=True, cache=True)
def _multiply(a: Any, b: Any, out: Any) -> None:
    for lane in range(out.shape[0]):
        out[lane] = a[lane] * b[lane]


@njit(nogil=True, cache=True)
def _walk_block(
    low: Any, high: Any, noise: Any, depth: int, index: Any, masks: Any, scratch: Any, counts: Any, total: Any
) -> None:
    """Depth-first over the errors of one block of codes, an error's qubits descending.

    `gap[m]` is the probability of the first m factors and of idleness on every qubit between the last of them and the
    present one; `idle[q]` that of idleness on all qubits below q.
    """
    n, weighted, wide = low.shape[0], noise.shape[0] > 0, high.shape[0] > 0
    mask_low, mask_high = masks
    low_prefix, high_prefix, gap, idle, hit = scratch
    counts[:], total[:] = 0, 0.0
    low_prefix[0], high_prefix[0], gap[0], idle[0] = _U(0), _U(0), 1.0, 1.0
    if weighted:
        for q in range(n):
            _multiply(idle[q], noise[q, 0], idle[q + 1])
    qubit, pauli, zs = np.empty(depth + 1, np.int64), np.empty(depth + 1, np.int64), np.zeros(depth + 1, np.int64)
    m, qubit[0], pauli[0] = 0, n - 1, 1
    while m >= 0:
        q, p = qubit[m], pauli[m]
        if q < 0:
            m -= 1
            continue
        _xor(low_prefix[m], low[q, 0], low[q, 1], p, low_prefix[m + 1])
        if wide:
            _xor(high_prefix[m], high[q, 0], high[q, 1], p, high_prefix[m + 1])
            _flag_wide(low_prefix[m + 1], high_prefix[m + 1], mask_low, mask_high, hit)
        else:
            _flag(low_prefix[m + 1], mask_low, hit)
        zs[m + 1] = zs[m] + (p == 3)
        row = counts[index[zs[m + 1], m + 1 - zs[m + 1]]]
        for lane in range(hit.shape[0]):
            row[lane] += hit[lane]
        if weighted:
            _multiply(gap[m], noise[q, p], gap[m + 1])
            _weigh(hit, gap[m + 1], idle[q], total)
        pauli[m] += 1
        if p == 3:
            qubit[m], pauli[m] = q - 1, 1
            if weighted:
                _multiply(gap[m], noise[q, 0], gap[m])
        if m + 1 < depth:
            m += 1
            qubit[m], pauli[m] = q - 1, 1


@njit(nogil=True, parallel=True, cache=True)
def walk_errors(
    words: Any, masks: Any, depth: int, index: Any, noise: Any, lanes: int, counts: Any, total: Any
) -> None:
    """Violating errors per class, and the sum of their probabilities.

    Args:
        words: (B, n, 2, W) uint64, as in `TableauBatch`.
        masks: The stabilizers' bits in machine words 0 and 1.
        depth: Greatest weight of an error, at least 1.
        index: `ErrorClasses.index`.
        noise: (B, n, 4), (1, n, 4) where shared, or (0, n, 4) where only the counts are wanted.
        lanes: Codes per block.
        counts: (C, >= B) int64, filled.
        total: (>= B,) float64, filled with the sum of p(E) over violating E; zero without noise.
    """
    batch, n, wide = words.shape[0], words.shape[1], words.shape[3] == 2
    weighted = noise.shape[0] > 0
    for block in prange((batch + lanes - 1) // lanes):
        start = block * lanes
        size = min(lanes, batch - start)
        low, high = np.empty((n, 2, size), _U), np.empty((n if wide else 0, 2, size), _U)
        rates = np.empty((n if weighted else 0, 4, size), np.float64)
        _load(words, start, 0, low)
        if wide:
            _load(words, start, 1, high)
        if weighted:
            _load_noise(noise, start, rates)
        scratch = (
            np.empty((depth + 1, size), _U),
            np.empty((depth + 1, size), _U),
            np.empty((depth + 1, size), np.float64),
            np.empty((n + 1, size), np.float64),
            np.empty(size, np.int64),
        )
        own, own_total = np.empty((counts.shape[0], size), np.int64), np.empty(size, np.float64)
        _walk_block(low, high, rates, depth, index, masks, scratch, own, own_total)
        counts[:, start : start + size] = own
        total[start : start + size] = own_total
