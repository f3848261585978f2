"""Compiled loops of `priors`.

Systems of a few hundred unknowns are solved in one thread: LAPACK's own threads wait on each other longer than such a
system takes, many times longer where other work has the cores.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

__all__ = ["count_odd", "solve_in_place"]


@njit(cache=True, nogil=True)
def count_odd(columns: Any, pairs: Any, odd: Any) -> None:
    """Shots in which the parity of two detectors is odd.

    Args:
        columns: (D + 1, W) uint64, the shots of each detector as bits; the last row is 0.
        pairs: (N, 2) int64, rows of `columns`, 0..D.
        odd: (N,) int64, filled.
    """
    for n in range(len(pairs)):
        first, second = pairs[n]
        count = np.uint64(0)
        for w in range(columns.shape[1]):
            x = columns[first, w] ^ columns[second, w]
            x -= (x >> np.uint64(1)) & np.uint64(0x5555555555555555)
            x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
            x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
            count += (x * np.uint64(0x0101010101010101)) >> np.uint64(56)
        odd[n] = count


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def solve_in_place(matrix: Any, right: Any) -> None:
    """Solve by Cholesky's decomposition.

    Args:
        matrix: (N, N) float64, C-contiguous, symmetric and positive definite; its lower half is overwritten.
        right: (N,) float64, overwritten by the solution.
    """
    size = len(right)
    for i in range(size):
        for j in range(i):
            total = 0.0
            for k in range(j):
                total += matrix[i, k] * matrix[j, k]
            matrix[i, j] = (matrix[i, j] - total) / matrix[j, j]
        total = 0.0
        for k in range(i):
            total += matrix[i, k] * matrix[i, k]
        matrix[i, i] = math.sqrt(matrix[i, i] - total)
    for i in range(size):
        total = 0.0
        for k in range(i):
            total += matrix[i, k] * right[k]
        right[i] = (right[i] - total) / matrix[i, i]
    for i in range(size - 1, -1, -1):
        right[i] /= matrix[i, i]
        for k in range(i):
            right[k] -= matrix[i, k] * right[i]
