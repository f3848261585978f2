"""What stands around a network that regresses actions of a box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qecforge.errors import ConfigurationError

__all__ = ["ActionHead"]

_CLIP = 10.0


@dataclass(frozen=True, eq=False)
class ActionHead:
    """From what a network gives to actions, and from observations to what it takes.

    Behind the last linear layer of the network stands tanh, which gives unit actions u in -1..1; actions are
    (low + high) / 2 + u (high - low) / 2, with normal noise on u where they are drawn.

    Attributes:
        low, high: (*action_shape) finite ends of the box, of the actions' dtype.
        noise: Standard deviation of the noise on u; 0 draws nothing.
        mean, scale: (D,) float32; the network takes clip((observation - mean) scale, -10, 10). None: observations as
            they are.
        divisor: (D,) float32, positive, by which the above is divided: ranges that integers share. None: by nothing.
    """

    low: NDArray[Any]
    high: NDArray[Any]
    noise: float = 0.0
    mean: NDArray[np.float32] | None = None
    scale: NDArray[np.float32] | None = None
    divisor: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if self.low.shape != self.high.shape or self.low.dtype != self.high.dtype:
            raise ConfigurationError(
                f"actions: low is {self.low.dtype} {self.low.shape}, high {self.high.dtype} {self.high.shape}, "
                "expected the same: take both from the action space"
            )
        if not (np.isfinite(self.low).all() and np.isfinite(self.high).all() and (self.low < self.high).all()):
            raise ConfigurationError(f"actions: got {self.low} to {self.high}, expected finite bounds, low below high")
        if (self.mean is None) != (self.scale is None):
            raise ConfigurationError("observations: got one of mean and scale, expected both or neither")

    def shown(self, observations: NDArray[Any]) -> NDArray[np.float32]:
        """(B, *observation_shape) -> (B, D), what the network takes."""
        shown: NDArray[np.float32] = np.asarray(observations, np.float32).reshape(len(observations), -1)
        if self.mean is not None and self.scale is not None:
            shown = np.clip((shown - self.mean) * self.scale, -_CLIP, _CLIP)
        return shown if self.divisor is None else shown / self.divisor

    def actions(
        self, unit: NDArray[np.float32], *, deterministic: bool, rng: np.random.Generator | None
    ) -> NDArray[Any]:
        """(B, A) unit actions -> (B, *action_shape), within the box.

        Raises:
            ConfigurationError: Actions are to be drawn, and `rng` is None.
        """
        if not deterministic and self.noise:
            if rng is None:
                raise ConfigurationError(
                    "act: deterministic is False and rng is missing: pass rng, a numpy.random.Generator"
                )
            unit = unit + np.float32(self.noise) * rng.standard_normal(unit.shape, np.float32)
        low, high = self.low.reshape(-1), self.high.reshape(-1)
        middle, half = (low.astype(np.float64) + high) / 2, (high.astype(np.float64) - low) / 2
        actions: NDArray[Any] = np.clip((middle + half * unit).astype(low.dtype), low, high)
        return actions.reshape(len(unit), *self.low.shape)
