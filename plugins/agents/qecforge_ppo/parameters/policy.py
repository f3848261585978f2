"""The policy that `parameter_ppo` leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qecforge.errors import CheckpointError, ConfigurationError
from qecforge.hookspecs import Policy

if TYPE_CHECKING:
    import torch

__all__ = ["GaussianParameters"]


class GaussianParameters(Policy):
    """Independent normal distributions of P parameters; observations do not matter.

    Attributes:
        mean: (P,) float64, the best guess, in the parameters' own units.
        std: (P,) float64, > 0.

    Raises:
        ConfigurationError: Other shapes, or a deviation that is not positive and finite.
    """

    def __init__(self, mean: ArrayLike, std: ArrayLike) -> None:
        self.mean = np.array(mean, np.float64)
        self.std = np.array(std, np.float64)
        if self.mean.ndim != 1 or self.std.shape != self.mean.shape:
            raise ConfigurationError(
                f"Gaussian policy: mean has shape {self.mean.shape} and std {self.std.shape}: give two rows alike"
            )
        if not (np.isfinite(self.mean).all() and np.isfinite(self.std).all() and (self.std > 0).all()):
            raise ConfigurationError(
                "Gaussian policy: a mean is not finite, or a std not positive: give finite means and std > 0"
            )

    def act(
        self,
        observations: NDArray[Any],
        *,
        action_mask: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
        rng: np.random.Generator | None = None,
    ) -> NDArray[np.float64]:
        """(B, P): the mean for each of the B observations, or a draw for each."""
        shape = (len(observations), len(self.mean))
        if deterministic:
            return np.broadcast_to(self.mean, shape).copy()
        if rng is None:
            raise ConfigurationError("Gaussian policy: act got no rng, expected one where deterministic is False")
        return self.mean + self.std * rng.standard_normal(shape)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """`mean` and `std`, copies."""
        import torch

        return {"mean": torch.from_numpy(self.mean.copy()), "std": torch.from_numpy(self.std.copy())}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take over `mean` and `std`. Raises `CheckpointError` where names or shapes differ."""
        if set(state) != {"mean", "std"} or any(tuple(tensor.shape) != self.mean.shape for tensor in state.values()):
            got = {name: tuple(tensor.shape) for name, tensor in state.items()}
            raise CheckpointError(
                f"Gaussian policy: got {got}, expected mean and std of shape {self.mean.shape}: "
                "load it for the environment that it was trained on"
            )
        self.mean = state["mean"].numpy().astype(np.float64)
        self.std = state["std"].numpy().astype(np.float64)
