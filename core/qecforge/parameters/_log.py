"""What the loop remembers besides the search: the log between two reports, and snapshots of the mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qecforge.contracts.metrics import COST, TRUE_COST
from qecforge.errors import CheckpointError
from qecforge.learning.restoring import restored_array, restored_number, restored_parts
from qecforge.parameters.policy import ParameterTrajectory

__all__ = ["Log", "Snapshots"]


class Log:
    """Means of what the environment said between two reports, and what assessments found.

    Attributes:
        metrics: Of the last report.
    """

    def __init__(self) -> None:
        self.metrics: dict[str, float] = {}
        self._sums: dict[str, float] = {}
        self._count = 0
        self._assessed: dict[str, list[float]] = {}

    def add(self, rewards: Any, infos: Mapping[str, Any]) -> None:
        """One epoch's cost, minus the mean reward where the environment gives none, and the true cost if it is
        known."""
        self._sum(COST, infos.get(COST, -np.mean(rewards)))
        if TRUE_COST in infos:
            self._sum(TRUE_COST, np.mean(infos[TRUE_COST]))
        self._count += 1

    def _sum(self, name: str, value: Any) -> None:
        self._sums[name] = self._sums.get(name, 0.0) + float(value)

    def add_assessment(self, found: Mapping[str, float]) -> None:
        """What an assessment found; the next report says the mean where there were several."""
        for name, value in found.items():
            self._assessed.setdefault(name, []).append(float(value))

    def close(self, metrics: Mapping[str, float]) -> None:
        """Make the report, of `metrics` and of what was added, and begin anew."""
        self.metrics = {name: total / self._count for name, total in self._sums.items()}
        self.metrics |= metrics
        self.metrics |= {name: float(np.mean(values)) for name, values in self._assessed.items()}
        self._sums, self._count, self._assessed = {}, 0, {}

    def state_dict(self) -> dict[str, Any]:
        """The last report. Between two reports there is more, and nothing is saved."""
        return {"metrics": dict(self.metrics)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`. Raises `CheckpointError` where there are no metrics."""
        found = restored_parts(restored_parts(state, ("metrics",), "log")["metrics"], (), "log: metrics")
        self.metrics = {str(name): restored_number(value, f"log: {name}", nan=True) for name, value in found.items()}


class Snapshots:
    """A search's mean at chosen epochs.

    Args:
        count: How many, evenly spread over `total_epochs`, start and end included; fewer where there are not as many
            epochs. 0: none.
        total_epochs: Epochs of the whole search.
    """

    def __init__(self, count: int, total_epochs: int) -> None:
        self._due = set(np.linspace(0, total_epochs, count).round().astype(int).tolist())
        self._epochs: list[int] = []
        self._means: list[NDArray[np.float32]] = []

    def due(self, epoch: int) -> bool:
        """Whether the mean before this epoch still has to be stored."""
        return epoch in self._due and epoch not in self._epochs[-1:]

    def add(self, epoch: int, mean: NDArray[np.float64]) -> None:
        """Keep (P,) `mean`, as float32."""
        self._epochs.append(epoch)
        self._means.append(mean.astype(np.float32))

    def trajectory(self, epoch: int, mean: NDArray[np.float64]) -> ParameterTrajectory | None:
        """What was kept, ending with `mean` at `epoch`; None where none was to be kept."""
        if not self._due:
            return None
        epochs, means = list(self._epochs), list(self._means)
        if epoch not in epochs[-1:]:
            epochs.append(epoch)
            means.append(mean.astype(np.float32))
        return ParameterTrajectory(np.array(epochs), np.array(means))

    def state_dict(self) -> dict[str, Any]:
        """Epochs (T,) and means (T, P); (0, 0) before the first."""
        means = np.array(self._means) if self._means else np.zeros((0, 0), np.float32)
        return {"epochs": np.array(self._epochs, np.int64), "means": means}

    def load_state_dict(self, state: Mapping[str, Any], num_parameters: int) -> None:
        """Continue from `state_dict()`.

        Raises:
            CheckpointError: The checkpoint has none, or of another number of parameters.
        """
        found = restored_parts(state, ("epochs", "means"), "snapshots of the mean")
        epochs = restored_array(found["epochs"], np.int64, (None,), "snapshots of the mean: epochs", low=0)
        shape = (len(epochs), num_parameters) if len(epochs) else (0, 0)
        means = restored_array(found["means"], np.float32, shape, "snapshots of the mean: means")
        if (np.diff(epochs) <= 0).any():
            raise CheckpointError("snapshots of the mean: this checkpoint's epochs do not increase: restore it anew")
        self._epochs, self._means = epochs.tolist(), list(means)
