"""What a device tolerates of its control parameters: a box, and a largest step.

    limits = ParameterLimits.of(len(start), lower=-1.0, upper=1.0, largest_step=0.1)

Source: [ours].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qecforge.errors import ConfigurationError

__all__ = ["ParameterLimits"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ParameterLimits:
    """Bounds of P parameters and how far each may go in an epoch, in the parameters' own units. Arrays are copied and
    made read-only.

    Candidates are moved to the nearest point that is allowed. A search that learns from what it drew, not from where it
    was moved to, climbs the reward of the moved candidates: its gradient stays unbiased.

    Attributes:
        lower, upper: (P,) float64, lower <= upper; -inf and inf where there is no bound.
        largest_step: (P,) float64, > 0: how far a candidate may be from the mean of its epoch, and how far the mean may
            go in one epoch; inf where that does not matter.

    Raises:
        ConfigurationError: Arrays of other shapes, a bound that is no number, a lower one above the upper one, or a
            step that is not positive.
    """

    lower: FloatArray
    upper: FloatArray
    largest_step: FloatArray

    def __post_init__(self) -> None:
        for name in ("lower", "upper", "largest_step"):
            array = np.array(getattr(self, name), np.float64)
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        shapes = [self.lower.shape, self.upper.shape, self.largest_step.shape]
        if self.lower.ndim != 1 or len(set(shapes)) > 1:
            raise ConfigurationError(f"limits: arrays have shapes {shapes}: give three rows alike")
        wrong = np.flatnonzero(~(self.lower <= self.upper))
        if len(wrong):
            i = wrong[0]
            raise ConfigurationError(
                f"limits: parameter {i} has the bounds {self.lower[i]:g} and {self.upper[i]:g}: give two numbers, the "
                "lower one first"
            )
        wrong = np.flatnonzero(~(self.largest_step > 0))
        if len(wrong):
            raise ConfigurationError(
                f"limits: the largest step of parameter {wrong[0]} is {self.largest_step[wrong[0]]:g}: give a number "
                "above 0"
            )

    @classmethod
    def of(
        cls,
        parameters: int,
        *,
        lower: ArrayLike = -np.inf,
        upper: ArrayLike = np.inf,
        largest_step: ArrayLike = np.inf,
    ) -> ParameterLimits:
        """Of so many parameters: a number is for all of them. Raises `ConfigurationError` as the class does."""
        rows = {"lower": lower, "upper": upper, "largest_step": largest_step}
        for name, value in rows.items():
            if np.ndim(value) and np.shape(value) != (parameters,):
                raise ConfigurationError(
                    f"limits: {name} has shape {np.shape(value)}: give a number, or one for each of the {parameters} "
                    "parameters"
                )
        return cls(*(np.broadcast_to(np.asarray(value, np.float64), (parameters,)) for value in rows.values()))

    def check_start(self, start: FloatArray, names: Sequence[str] | None = None) -> None:
        """Raises `ConfigurationError` where (P,) `start` is outside the bounds, or of another length."""
        if start.shape != self.lower.shape:
            raise ConfigurationError(
                f"limits: they are of {len(self.lower)} parameters, expected {start.size}: give one of each"
            )
        outside = np.flatnonzero((start < self.lower) | (start > self.upper))
        if len(outside):
            i = outside[0]
            name = f"parameter {i}" if names is None else names[i]
            more = f" ({len(outside) - 1} more likewise)" if len(outside) > 1 else ""
            raise ConfigurationError(
                f"limits: {name} starts at {start[i]:g}, outside its bounds {self.lower[i]:g} to {self.upper[i]:g}"
                f"{more}: widen them, or start inside"
            )

    def inside(self, parameters: FloatArray) -> FloatArray:
        """(..., P) parameters, moved into the box."""
        moved: FloatArray = np.clip(parameters, self.lower, self.upper)
        return moved

    def near(self, parameters: NDArray[np.floating], mean: FloatArray) -> FloatArray:
        """(..., P) parameters, moved into the box and within the largest step of (P,) `mean`, which lies in the box."""
        low = np.maximum(self.lower, mean - self.largest_step)
        high = np.minimum(self.upper, mean + self.largest_step)
        moved: FloatArray = np.clip(np.asarray(parameters, np.float64), low, high)
        return moved
