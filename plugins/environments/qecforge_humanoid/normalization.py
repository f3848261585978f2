"""Running mean and variance of observations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qecforge.learning.restoring import restored_array, restored_parts

__all__ = ["CLIP", "RunningNormalization"]

CLIP = 10.0
"""Standard deviations within which what is shown is held."""

_EPSILON = 1e-8
"""Added to variances: of numbers that never change nothing is left."""


class RunningNormalization:
    """Mean and variance of all rows so far, for each number of a row by itself.

    Source: Chan, Golub and LeVeque 1979, pairwise update; Gymnasium's `NormalizeObservation`, which begins with a
    pseudo-count of 1e-4 where this one begins with nothing.

    Args:
        shape: Of a row.

    Attributes:
        frozen: Whether rows are no longer counted.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.count = 0
        self.mean = np.zeros(shape)
        self.squares = np.zeros(shape)
        self.frozen = False

    def clear(self) -> None:
        """Forget all rows, unless it is frozen."""
        if not self.frozen:
            self.count = 0
            self.mean[...] = self.squares[...] = 0.0

    @property
    def variance(self) -> NDArray[np.float64]:
        """(*shape,) float64, of the rows themselves; 1 where there is none."""
        return self.squares / self.count if self.count else np.ones_like(self.mean)

    def update(self, rows: NDArray[np.float32]) -> None:
        """Count rows, (M, *shape), unless it is frozen."""
        if self.frozen:
            return
        size = len(rows)
        mean = rows.mean(0, dtype=np.float64)
        offset, total = mean - self.mean, self.count + size
        if size > 1:
            self.squares += np.square(rows - mean).sum(0)
        self.squares += np.square(offset) * (self.count * size / total)
        self.mean += offset * (size / total)
        self.count = total

    def apply(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """(M, *shape) float32, a new array."""
        scaled = (rows - self.mean) / np.sqrt(self.variance + _EPSILON)
        return np.clip(scaled, -CLIP, CLIP).astype(np.float32)

    def state_dict(self) -> dict[str, Any]:
        """Plain arrays, copies."""
        return {"count": np.array(self.count), "mean": self.mean.copy(), "squares": self.squares.copy()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`. Raises `CheckpointError` where it is of something else."""
        what, shape = "environment humanoid: normalization", self.mean.shape
        parts = restored_parts(state, ("count", "mean", "squares"), what)
        count = restored_array(parts["count"], np.int64, (), f"{what}: count", low=0, high=2**62)
        mean = restored_array(parts["mean"], np.float64, shape, f"{what}: mean")
        squares = restored_array(parts["squares"], np.float64, shape, f"{what}: squares", low=0.0)
        self.count, self.mean, self.squares = int(count), mean.copy(), squares.copy()
