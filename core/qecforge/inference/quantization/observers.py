"""Quantization levels of a tensor from the values that it has during calibration."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qecforge.errors import ConfigurationError
from qecforge.inference.integer import Levels

__all__ = [
    "FEWEST_STATES",
    "MeanSquaredErrorObserver",
    "MinMaxObserver",
    "Observer",
    "PercentileObserver",
    "Range",
    "checked_calibration",
    "levels_between",
    "make_observer",
    "weight_step",
]

Range: TypeAlias = Literal["minmax", "percentile", "mse"]
"""How a range is chosen: all that was seen, all but the outermost values, or where the mean squared error is least."""

FEWEST_STATES = 16
"""Fewer calibration states than these are refused: they would not show what the network sees [ours]."""

_SHRINKS = torch.linspace(1.0, 0.2, 81)
"""Fractions of the full range that the search for the least squared error tries [ours]."""


def checked_calibration(observations: NDArray[Any], inputs: int) -> NDArray[Any]:
    """Calibration observations (S, *shape) as (S, D).

    Raises:
        ConfigurationError: Too few states, another size than the network's `inputs`, or NaN or infinite values.
    """
    array = np.asarray(observations)
    states = len(array) if array.ndim else 0
    if states < FEWEST_STATES:
        raise ConfigurationError(
            f"calibration: got {states} states, expected at least {FEWEST_STATES}: collect more (1024 is usual)"
        )
    array = array.reshape(states, -1)
    if array.shape[1] != inputs:
        raise ConfigurationError(
            f"calibration: got observations of {array.shape[1]} elements, expected {inputs} as the policy takes: "
            "collect them in the environment that it was trained in"
        )
    if not np.isfinite(array).all():
        bad = int((~np.isfinite(array).all(axis=1)).sum())
        raise ConfigurationError(
            f"calibration: {bad} of {states} states hold NaN or infinite values, expected finite numbers: "
            "correct the environment's observations"
        )
    return array


def levels_between(low: float, high: float, bits: int) -> Levels:
    """Levels that reach from `low` to `high`, both moved to 0 where it lies outside: real 0 is a level.

    An empty range gives step 1.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    top = (1 << bits) - 1
    step = float(np.float32((high - low) / top))
    if step <= 0.0:
        return Levels(1.0, 0, bits)
    return Levels(step, min(max(round(-low / step), 0), top), bits)


class Observer(ABC):
    """Watches a tensor over batches, then says which levels hold it."""

    def __init__(self) -> None:
        self.seen = 0

    def observe(self, values: Tensor) -> None:
        """Watch one batch, of any shape.

        Raises:
            ConfigurationError: It holds NaN or infinite values.
        """
        values = values.detach()
        if not values.isfinite().all():
            raise ConfigurationError(
                "calibration: a layer gave NaN or infinite values, expected finite numbers: the policy or its "
                "observations are damaged"
            )
        if values.numel():
            self.seen += 1
            self._watch(values)

    def levels(self, bits: int) -> Levels:
        """The levels.

        Raises:
            ConfigurationError: Nothing was observed.
        """
        if not self.seen:
            raise ConfigurationError(
                "calibration: nothing was observed, expected at least one batch: observe one first"
            )
        low, high = self._range(bits)
        return levels_between(low, high, bits)

    @abstractmethod
    def _watch(self, values: Tensor) -> None: ...

    @abstractmethod
    def _range(self, bits: int) -> tuple[float, float]: ...


class MinMaxObserver(Observer):
    """From the least to the greatest value seen."""

    def __init__(self) -> None:
        super().__init__()
        self.low, self.high = math.inf, -math.inf

    def _watch(self, values: Tensor) -> None:
        self.low = min(self.low, float(values.min()))
        self.high = max(self.high, float(values.max()))

    def _range(self, bits: int) -> tuple[float, float]:
        return self.low, self.high


class _KeepingObserver(Observer):
    """Keeps all values until it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[Tensor] = []

    def _watch(self, values: Tensor) -> None:
        self._kept.append(values.flatten().to("cpu", torch.float32, copy=True))

    def _values(self) -> Tensor:
        return torch.cat(self._kept)


class PercentileObserver(_KeepingObserver):
    """Leaves out the outermost values on each side.

    Args:
        percentile: Percentage that lies below the upper end, and above the lower end; over 50, at most 100.
    """

    def __init__(self, percentile: float = 99.9) -> None:
        super().__init__()
        self.percentile = percentile

    def _range(self, bits: int) -> tuple[float, float]:
        ends = [100.0 - self.percentile, self.percentile]
        low, high = np.percentile(self._values().numpy(), ends).tolist()
        return low, high


class MeanSquaredErrorObserver(_KeepingObserver):
    """The fraction of the full range, 1 to 0.2 in hundredths, whose levels lie closest to the values [ours]."""

    def _range(self, bits: int) -> tuple[float, float]:
        values = self._values()
        low, high = float(values.min()), float(values.max())
        best, least = (low, high), math.inf
        for shrink in _SHRINKS.tolist():
            levels = levels_between(low * shrink, high * shrink, bits)
            q = (values / levels.scale).round() + levels.zero_point
            held = (q.clamp(0, levels.highest) - levels.zero_point) * levels.scale
            error = float((held - values).square().mean())
            if error < least:
                best, least = (low * shrink, high * shrink), error
        return best


def make_observer(name: Range, *, percentile: float = 99.9) -> Observer:
    """The observer that chooses a range in the way `name`.

    Raises:
        ConfigurationError: There is none of that name.
    """
    match name:
        case "minmax":
            return MinMaxObserver()
        case "percentile":
            return PercentileObserver(percentile)
        case "mse":
            return MeanSquaredErrorObserver()
    raise ConfigurationError(f"range: got {name!r}, expected one of {', '.join(get_args(Range))}")


def weight_step(weight: Tensor, bits: int, *, per_channel: bool, by: Literal["minmax", "mse"] = "minmax") -> Tensor:
    """Step sizes for symmetric weights, levels -(2^(bits-1) - 1)..2^(bits-1) - 1.

    Args:
        weight: (O, I).
        by: minmax: the greatest magnitude is the highest level; mse: the fraction of that, 1 to 0.2 in hundredths,
            whose levels lie closest to the weights.

    Returns:
        (O,) or, for the whole tensor, (1,), float32, positive; a channel of zeros has the greatest step of the others.
    """
    rows = weight.detach() if per_channel else weight.detach().reshape(1, -1)
    top = (1 << (bits - 1)) - 1
    full = rows.abs().amax(1) / top
    full = torch.where(full > 0, full, full.max() if full.max() > 0 else torch.ones_like(full))
    if by == "minmax":
        return full
    best, least = full.clone(), torch.full_like(full, math.inf)
    for shrink in _SHRINKS.tolist():
        step = (full * shrink).unsqueeze(1)
        error = ((rows / step).round().clamp(-top, top) * step - rows).square().mean(1)
        better = error < least
        best, least = torch.where(better, step.squeeze(1), best), torch.where(better, error, least)
    return best
