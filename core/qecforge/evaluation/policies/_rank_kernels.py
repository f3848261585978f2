"""Compiled loops over pairs of actions. Importing this module imports numba."""
# mypy: disable-error-code="no-any-return, no-untyped-call, untyped-decorator, assignment"

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["kendall_tau_b"]


@njit("void(float32[:, ::1], float32[:, ::1], bool_[:, ::1], float64[::1])", cache=True, nogil=True)
def kendall_tau_b(
    first: NDArray[np.float32], second: NDArray[np.float32], mask: NDArray[np.bool_], tau: NDArray[np.float64]
) -> None:
    """Kendall's tau-b of each row over the columns that its mask allows, from exact counts of pairs.

    Args:
        first, second: (S, A), finite where allowed.
        mask: (S, A), True where a column counts.
        tau: (S,), written; NaN where either row is constant or has fewer than two columns.
    """
    states, actions = first.shape
    x, y = np.empty(actions, np.float32), np.empty(actions, np.float32)
    for state in range(states):
        size = 0
        for action in range(actions):
            if mask[state, action]:
                x[size], y[size] = first[state, action], second[state, action]
                size += 1
        excess, untied_x, untied_y = 0, 0, 0
        for i in range(size):
            xi, yi = x[i], y[i]
            # 32-bit counters of one row of pairs, so that the loop becomes vector instructions
            row, in_x, in_y = np.int32(0), np.int32(0), np.int32(0)
            for j in range(i):
                dx = np.int32(xi > x[j]) - np.int32(xi < x[j])
                dy = np.int32(yi > y[j]) - np.int32(yi < y[j])
                row += dx * dy
                in_x += dx * dx
                in_y += dy * dy
            excess += row
            untied_x += in_x
            untied_y += in_y
        if untied_x == 0 or untied_y == 0:
            tau[state] = np.nan
        else:
            tau[state] = excess / (np.sqrt(float(untied_x)) * np.sqrt(float(untied_y)))
