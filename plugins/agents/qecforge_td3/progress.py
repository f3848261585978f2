"""What a training says of itself: episodes, losses, circuits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qecforge.contracts import EPISODE_LENGTH, EPISODE_RETURN
from qecforge.errors import ConfigurationError
from qecforge.learning.episodes import EpisodeStatistics
from qecforge.learning.restoring import restored_array, restored_int, restored_number, restored_parts
from qecforge.learning.rows import RowTable
from qecforge_td3.blocks import angles_and_pairs
from qecforge_td3.config import TD3Config
from qecforge_td3.quantum import circuit_statistics

__all__ = ["Progress", "circuit_metrics"]

_LATEST = 256
"""Circuits, the latest that were run, by which they are described."""


class Progress:
    """Sums since the last point of the log, which is every `log_every` steps."""

    def __init__(self, config: TD3Config, members: int) -> None:
        self.config = config
        self.episodes = EpisodeStatistics(members)
        self.logged = self.tested = 0
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._tested_returns: dict[str, float] = {}
        self._seconds, self._timed_from = 0.0, 0

    def begin_episodes(self) -> None:
        """The episodes under way are over."""
        self.episodes = EpisodeStatistics(len(self.episodes.running_return))

    def count_episodes(self, rewards: NDArray[Any], ended: NDArray[np.bool_]) -> None:
        """One step of all members."""
        returns, lengths, _ = self.episodes.add(rewards[None], ended[None])
        for earned, length in zip(returns, lengths, strict=True):
            self._add(EPISODE_RETURN, float(earned))
            self._add(EPISODE_LENGTH, float(length))

    def count_losses(self, step: int, losses: Mapping[str, float]) -> None:
        """One update's. Raises `ConfigurationError` where one is not finite."""
        for name, loss in losses.items():
            if not math.isfinite(loss):
                raise ConfigurationError(
                    f"td3: step {step}: {name} is {loss}, expected a finite number; the last checkpoint is kept: lower "
                    "the learning rates, or set normalize_observations or critic: layer_norm"
                )
            self._add(name, loss)

    def count_test(self, step: int, test_return: float) -> None:
        """A test's mean return."""
        self.tested, self._tested_returns = step, {"test_return": test_return}

    def count_time(self, seconds: float) -> None:
        """Seconds of steps and updates."""
        self._seconds += seconds

    def check_finite(self, step: int, environment: str, **arrays: NDArray[Any]) -> None:
        """Raise `ConfigurationError` where the environment gave something that is not finite."""
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise ConfigurationError(
                    f"td3: step {step}: {environment} gave {name} that are not finite; the last checkpoint is kept: "
                    "correct the code that computes them"
                )

    def due(self, step: int) -> bool:
        """Whether a point of the log is."""
        every = self.config.log_every
        return step // every > self.logged // every or (step >= self.config.total_steps and step > self.logged)

    def take_metrics(self, step: int, replay: RowTable) -> dict[str, float]:
        """Means since the last point, which this one takes the place of."""
        metrics = {name: total / self._counts[name] for name, total in self._sums.items()}
        metrics["episodes"] = float(self._counts.get(EPISODE_RETURN, 0))
        metrics |= self._tested_returns
        if self.config.block == "pqc":
            metrics |= circuit_metrics(_latest(replay), self.config)
        if self._seconds > 0:
            metrics["time/steps_per_second"] = (step - self._timed_from) / self._seconds
        self._sums, self._counts, self._tested_returns = {}, {}, {}
        self._seconds, self._timed_from, self.logged = 0.0, step, step
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """Copies of all but the time."""
        return {
            "logged": self.logged,
            "tested": self.tested,
            "sums": dict(self._sums),
            "counts": dict(self._counts),
            "tested_returns": dict(self._tested_returns),
            "running_return": self.episodes.running_return.copy(),
            "running_length": self.episodes.running_length.copy(),
        }

    def load_state_dict(self, state: Mapping[str, Any], step: int) -> None:
        """Continue from `state_dict()` at `step`. Raises `CheckpointError` where it is another's."""
        what, members = "td3: progress", len(self.episodes.running_return)
        names = ("logged", "tested", "sums", "counts", "tested_returns", "running_return", "running_length")
        found = restored_parts(state, names, what)
        sums = {
            str(name): restored_number(each, what) for name, each in restored_parts(found["sums"], (), what).items()
        }
        counts = restored_parts(found["counts"], tuple(sums), what)
        tested = restored_parts(found["tested_returns"], (), what)
        returns = restored_array(found["running_return"], np.float64, (members,), what)
        lengths = restored_array(found["running_length"], np.int64, (members,), what, low=0)
        self.logged, self.tested = (restored_int(found[name], what, high=step) for name in ("logged", "tested"))
        self._sums, self._counts = sums, {name: restored_int(counts[name], what, low=1) for name in sums}
        self._tested_returns = {str(name): restored_number(each, what) for name, each in tested.items()}
        self.episodes.running_return[:], self.episodes.running_length[:] = returns, lengths
        self._timed_from = step

    def _add(self, name: str, value: float) -> None:
        self._sums[name] = self._sums.get(name, 0.0) + value
        self._counts[name] = self._counts.get(name, 0) + 1


def circuit_metrics(q_in: NDArray[np.float32], config: TD3Config) -> dict[str, float]:
    """What the circuits of these inputs (B, I) are like.

    Returns:
        `cz_fraction`: share of the CZs that fire, their two qubits being different; `cz_pairs`: mean number of
        different pairs that a circuit's CZs join; `peak_register`: mean of the most qubits that the
        simulation of one holds.
    """
    angles, pairs = angles_and_pairs(q_in, config.qubits, config.layers)
    found = circuit_statistics(angles, pairs, config.rotation)
    return {"cz_fraction": found.firing, "cz_pairs": found.distinct_pairs, "peak_register": found.peak_register}


def _latest(replay: RowTable) -> NDArray[np.float32]:
    numbers = np.arange(max(replay.oldest, replay.appended - _LATEST), replay.appended)
    latest: NDArray[np.float32] = replay.column("q_in")[numbers % replay.capacity]
    return latest
