"""The policy that a search of parameters leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qecforge.contracts.policy import Policy
from qecforge.errors import CheckpointError, ConfigurationError

if TYPE_CHECKING:
    import torch

__all__ = ["GaussianParameters", "ParameterTrajectory"]

_PLAIN = {"mean", "std"}
_TRAJECTORY = ("trajectory_epochs", "trajectory_means")


@dataclass(frozen=True, eq=False)
class ParameterTrajectory:
    """Where a search's mean was. Holds copies of what it is given.

    Attributes:
        epochs: (T,) int64, >= 0, increasing.
        means: (T, P) float32, in the parameters' own units. Row i is what the candidates of epoch `epochs[i]` were
            drawn around; the last row is what the search ended with, and its epoch the number of epochs done.

    Raises:
        ConfigurationError: Arrays that do not fit together, no row, epochs that do not increase, or a mean that is not
            finite.
    """

    epochs: NDArray[np.int64]
    means: NDArray[np.float32]

    def __post_init__(self) -> None:
        object.__setattr__(self, "epochs", np.array(self.epochs, np.int64))
        object.__setattr__(self, "means", np.array(self.means, np.float32))
        if self.epochs.ndim != 1 or self.means.ndim != 2 or not len(self.epochs) == len(self.means) > 0:
            raise ConfigurationError(
                f"trajectory: epochs have shape {self.epochs.shape} and means {self.means.shape}: "
                "give (T,) and (T, P), a row for each epoch"
            )
        if self.epochs[0] < 0 or (np.diff(self.epochs) <= 0).any():
            raise ConfigurationError(
                f"trajectory: epochs {self.epochs[:5].tolist()}... begin below 0 or do not increase: "
                "give each once, in order"
            )
        if not np.isfinite(self.means).all():
            raise ConfigurationError("trajectory: a mean is not finite: give finite numbers")


class GaussianParameters(Policy):
    """Independent normal distributions of P parameters; observations do not matter.

    Attributes:
        mean: (P,) float64, the best guess, in the parameters' own units.
        std: (P,) float64, > 0.
        trajectory: Where the mean was during the search; None where that was not kept.

    Raises:
        ConfigurationError: Other shapes, or a deviation that is not positive and finite.
    """

    def __init__(self, mean: ArrayLike, std: ArrayLike, trajectory: ParameterTrajectory | None = None) -> None:
        self.mean = np.array(mean, np.float64)
        self.std = np.array(std, np.float64)
        self.trajectory = trajectory
        if self.mean.ndim != 1 or self.std.shape != self.mean.shape:
            raise ConfigurationError(
                f"Gaussian policy: mean has shape {self.mean.shape} and std {self.std.shape}: give two rows alike"
            )
        if not (np.isfinite(self.mean).all() and np.isfinite(self.std).all() and (self.std > 0).all()):
            raise ConfigurationError(
                "Gaussian policy: a mean is not finite, or a std not positive: give finite means and std > 0"
            )
        if trajectory is not None and trajectory.means.shape[1] != len(self.mean):
            raise ConfigurationError(
                f"Gaussian policy: the trajectory has {trajectory.means.shape[1]} parameters, expected "
                f"{len(self.mean)}: give that of the same search"
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
        """`mean` and `std`; with a trajectory, `trajectory_epochs` and `trajectory_means` too. Copies."""
        import torch

        arrays: dict[str, NDArray[Any]] = {"mean": self.mean, "std": self.std}
        if self.trajectory is not None:
            arrays |= zip(_TRAJECTORY, (self.trajectory.epochs, self.trajectory.means), strict=True)
        return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take over `mean`, `std` and the trajectory, of any length; without one, none remains.

        Raises:
            CheckpointError: Names or numbers of parameters differ.
        """
        arrays = {name: tensor.numpy() for name, tensor in state.items()}
        try:
            if set(state) not in (_PLAIN, _PLAIN | set(_TRAJECTORY)):
                raise ConfigurationError("other names")
            trajectory = ParameterTrajectory(*(arrays[name] for name in _TRAJECTORY)) if len(state) > 2 else None
            loaded = GaussianParameters(arrays["mean"], arrays["std"], trajectory)
            if loaded.mean.shape != self.mean.shape:
                raise ConfigurationError("another number of parameters")
        except ConfigurationError as error:
            got = {name: tuple(tensor.shape) for name, tensor in state.items()}
            raise CheckpointError(
                f"Gaussian policy: got {got}, expected mean and std of shape {self.mean.shape}, with a trajectory or "
                f"without ({error}): load it for the environment that it was trained on"
            ) from error
        self.mean, self.std, self.trajectory = loaded.mean, loaded.std, loaded.trajectory
