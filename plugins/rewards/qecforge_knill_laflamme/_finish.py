"""From violation counts to what a reward writes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["finish"]


@njit(nogil=True, cache=True)
def finish(
    counts: Any, weights: Any, factor: float, units: Any, values: Any, solved: Any, residual: Any, violations: Any
) -> None:
    """The dot product of counts and weights, and whether no error violates.

    Args:
        counts: (C, B) int64.
        weights: (C, B) float64, or (C, 1) where all codes share them.
        factor, units: `values = factor * residual` where `units` is empty; where it is (B,) float64, or (1,) for all
            codes, `values = factor * log(1 + residual / units)`.
        values: (B,) float32; solved: (B,) bool; residual, violations: (B,) float64. All are filled.
    """
    shared = weights.shape[1] == 1
    batch = counts.shape[1]
    residual[:batch] = 0.0
    violations[:batch] = 0.0
    for c in range(counts.shape[0]):
        row, weight = counts[c], weights[c]
        for b in range(batch):
            violations[b] += row[b]
        if shared:
            for b in range(batch):
                residual[b] += weight[0] * row[b]
        else:
            for b in range(batch):
                residual[b] += weight[b] * row[b]
    if units.shape[0] == 0:
        for b in range(batch):
            values[b] = factor * residual[b]
    else:
        for b in range(batch):
            values[b] = factor * np.log1p(residual[b] / units[b if units.shape[0] > 1 else 0])
    for b in range(batch):
        solved[b] = violations[b] == 0.0
