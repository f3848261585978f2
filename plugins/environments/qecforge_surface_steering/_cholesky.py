"""Positive definite systems of a few hundred unknowns, in one thread: LAPACK's own threads wait on each other longer
than such a system takes, many times longer where other work has the cores."""

from __future__ import annotations

import math
from typing import Any

from numba import njit

__all__ = ["solve_in_place"]


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
