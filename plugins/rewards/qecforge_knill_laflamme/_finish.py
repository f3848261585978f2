"""From violation counts to what a reward writes."""

from __future__ import annotations

from typing import Any

from numba import njit

__all__ = ["finish"]


@njit(nogil=True, cache=True)
def finish(counts: Any, weights: Any, factor: float, values: Any, solved: Any, residual: Any, violations: Any) -> None:
    """The dot product of counts and weights, and whether no error violates.

    Args:
        counts: (C, B) int64.
        weights: (C, B) float64, or (C, 1) where all codes share them.
        factor: `values = factor * residual`.
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
    for b in range(batch):
        values[b] = factor * residual[b]
        solved[b] = violations[b] == 0.0
