"""Simultaneous perturbation stochastic approximation, as a search that asks and is told.

Sources: Spall 1992, "Multivariate stochastic approximation using a simultaneous perturbation gradient approximation";
Spall 1998, "Implementation of the simultaneous perturbation algorithm for stochastic optimization", for the gains. No
library asks for a whole batch or can be checkpointed: hence ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qecforge.errors import ConfigurationError
from qecforge.learning.restoring import restored_array, restored_int, restored_number, restored_parts
from qecforge.parameters import GaussianParameters
from qecforge_baselines.config import SPSAConfig
from qecforge_baselines.units import Units, own_generator

__all__ = ["SPSASearch"]


class SPSASearch:
    """Ascends the mean reward along estimates of its gradient.

    Args:
        config: How to search.
        units: Those of the environment.
        seed: Decides every direction: they are a function of seed and epoch alone.

    Attributes:
        epoch: Epochs done: calls of `tell`.
        mean: (P,) float64 in exploration scales.
        gain: a; None until an estimate of the gradient was other than zero.
    """

    def __init__(self, config: SPSAConfig, units: Units, *, seed: int = 0) -> None:
        self.config, self.units = config, units
        self.epoch = 0
        self.mean = np.zeros(len(units.origin))
        self.gain: float | None = None
        self._seed = seed
        self._asked: NDArray[np.float64] | None = None
        self._directions = np.zeros((0, len(units.origin)))

    @property
    def perturbation(self) -> float:
        """c_k of this epoch."""
        return float(self.config.perturbation / (self.epoch + 1) ** self.config.perturbation_decay)

    @property
    def step_size(self) -> float:
        """a_k of this epoch; 0 while a is not known."""
        return 0.0 if self.gain is None else self.gain / self._decay()

    def ask(self) -> NDArray[np.float64]:
        """(K, P) candidates: first the pairs' one half, then the other, in the same order."""
        if self._asked is None:
            pairs, P = self.config.candidates // 2, len(self.mean)
            rng = own_generator("spsa", self._seed, self.epoch)
            self._directions = 2.0 * rng.integers(0, 2, (pairs, P), np.int8) - 1.0
            shifts = self.perturbation * self._directions
            points = np.concatenate([self.mean + shifts, self.mean - shifts])
            self._asked = self.units.candidates(points, self.mean)
        return self._asked

    def tell(self, rewards: ArrayLike) -> None:
        """Learn from the candidates' rewards, (K, m), or (K,) for a single objective; larger is better.

        Raises:
            ConfigurationError: Another shape, or nothing was asked.
            QecforgeError: A reward is not finite.
        """
        if self._asked is None:
            raise ConfigurationError("spsa: told rewards of candidates that nobody asked for: call ask first")
        reward = self.units.one_reward(rewards, self.config.candidates, self.epoch)
        above, below = np.split(reward, 2)
        gradient = (above - below) @ self._directions / (2.0 * self.perturbation * len(above))
        size = float(np.sqrt(np.square(gradient).mean()))
        if self.gain is None and size > 0:
            self.gain = self.config.first_step / size * self._decay()
        cut = self.config.max_step / max(self.config.max_step, self.step_size * size)
        self.mean = self.units.stepped(self.mean, self.mean + cut * self.step_size * gradient)
        self.epoch += 1
        self._asked = None

    def _decay(self) -> float:
        """(A + k + 1)^alpha."""
        A = self.config.stability * self.config.total_epochs
        return float((A + self.epoch + 1) ** self.config.step_decay)

    def metrics(self) -> dict[str, float]:
        """`sigma`, the perturbation, and `displacement`, the mean's way from the start (root mean square), both in
        exploration scales; `step_size`, a_k in squared exploration scales per reward."""
        return {
            "sigma": self.perturbation,
            "displacement": float(np.sqrt(np.square(self.mean).mean())),
            "step_size": self.step_size,
        }

    def policy(self) -> GaussianParameters:
        """The mean; its deviation is the perturbation, alike for all parameters in exploration scales."""
        return self.units.policy(self.mean, np.full(len(self.mean), self.perturbation))

    def start_from(self, policy: GaussianParameters) -> None:
        """Take over the mean. Perturbations stay as configured."""
        self.mean, _ = self.units.start(policy)
        self._asked = None

    def state_dict(self) -> dict[str, Any]:
        """Epoch, seed, mean and gain."""
        return {"epoch": self.epoch, "seed": str(self._seed), "mean": self.mean.copy(), "gain": self.gain}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`. Raises `CheckpointError` where it comes from another search."""
        state = restored_parts(state, ("epoch", "seed", "mean", "gain"), "spsa")
        epoch = restored_int(state["epoch"], "spsa: epoch", high=self.config.total_epochs)
        seed = restored_int(state["seed"], "spsa: seed", high=2**128)
        mean = restored_array(state["mean"], np.float64, self.mean.shape, "spsa: mean").copy()
        gain = None if state["gain"] is None else restored_number(state["gain"], "spsa: gain", low=0.0)
        self.epoch, self._seed, self.mean, self.gain, self._asked = epoch, seed, mean, gain, None
