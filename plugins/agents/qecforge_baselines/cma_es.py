"""CMA-ES of the library cma, as a search that asks and is told, quiet, seeded and with a plain checkpoint.

Sources: Hansen and Ostermeier 2001, "Completely derandomized self-adaptation in evolution strategies"; Ros and Hansen
2008, "A simple modification in CMA-ES achieving linear time and space complexity" (diagonal).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qecforge.errors import ConfigurationError
from qecforge.learning.restoring import restored_array, restored_int, restored_parts, restoring
from qecforge.machine.extras import missing_dependency
from qecforge.parameters import GaussianParameters
from qecforge_baselines.config import CMAESConfig
from qecforge_baselines.units import Units, own_generator

__all__ = ["CMAESSearch"]

_DIAGONAL_BEYOND = 2000


class CMAESSearch:
    """The library's search, told minus the mean reward.

    Its state is where it started and what it was told: a checkpoint is restored by asking and telling all over again,
    which takes the library's share of the time so far.

    Args:
        config: How to search.
        units: Those of the environment.
        seed: Decides every candidate, given the rewards. The global random numbers are left alone.

    Raises:
        MissingDependency: The package cma is not installed.
    """

    def __init__(self, config: CMAESConfig, units: Units, *, seed: int = 0) -> None:
        self.config, self.units = config, units
        P = len(units.origin)
        self._begin(np.zeros(P), np.full(P, config.initial_sigma), seed)

    def _begin(self, mean: NDArray[np.float64], std: NDArray[np.float64], seed: int) -> None:
        """A fresh strategy, (P,) mean and deviation in exploration scales."""
        self._start, self._seed = (mean, std), seed
        self._told: list[NDArray[np.float64]] = []
        self._points: list[NDArray[np.float64]] | None = None
        self._candidates: NDArray[np.float64] | None = None
        rng = own_generator("cma_es", seed)
        diagonal = self.config.diagonal
        sigma = float(np.exp(np.log(std).mean()))
        options = {
            "popsize": self.config.candidates,
            "CMA_diagonal": len(mean) > _DIAGONAL_BEYOND if diagonal == "auto" else diagonal,
            "CMA_stds": std / sigma,
            "CMA_mirrors": 0,
            "minstd": self.config.min_sigma,
            "randn": lambda *shape: rng.standard_normal(shape),
            "seed": np.nan,
            "verbose": -10,
            "verb_log": 0,
            "verb_disp": 0,
            "signals_filename": None,
        }
        with _quiet():
            self._strategy = _cma().CMAEvolutionStrategy(mean, sigma, options)

    @property
    def epoch(self) -> int:
        """Epochs done: calls of `tell`."""
        return len(self._told)

    @property
    def mean(self) -> NDArray[np.float64]:
        """(P,) in exploration scales. A copy."""
        return np.array(self._strategy.mean, np.float64)

    @property
    def std(self) -> NDArray[np.float64]:
        """(P,) in exploration scales. A copy."""
        return np.array(self._strategy.stds, np.float64)

    def ask(self) -> NDArray[np.float64]:
        """(K, P) candidates of this epoch, in the parameters' own units."""
        if self._candidates is None:
            with _quiet():
                self._points = self._strategy.ask()
            self._candidates = self.units.parameters(np.array(self._points))
        return self._candidates

    def tell(self, rewards: ArrayLike) -> None:
        """Learn from the candidates' rewards, (K, m), or (K,) for a single objective; larger is better.

        Raises:
            ConfigurationError: Another shape, or nothing was asked.
            QecforgeError: A reward is not finite.
        """
        if self._points is None:
            raise ConfigurationError("cma_es: told rewards of candidates that nobody asked for: call ask first")
        self._tell(self.units.one_reward(rewards, self.config.candidates, self.epoch))

    def _tell(self, reward: NDArray[np.float64]) -> None:
        with _quiet():
            self._strategy.tell(self._points, (-reward).tolist())
        self._told.append(reward)
        self._points = self._candidates = None

    def metrics(self) -> dict[str, float]:
        """`sigma`, geometric mean of the deviations, and `displacement`, the mean's way from where control starts (root
        mean square), both in exploration scales."""
        return {
            "sigma": float(np.exp(np.log(self.std).mean())),
            "displacement": float(np.sqrt(np.square(self.mean).mean())),
        }

    def policy(self) -> GaussianParameters:
        """Mean, and the deviation of each parameter alone."""
        return self.units.policy(self.mean, self.std)

    def start_from(self, policy: GaussianParameters) -> None:
        """Take over mean and deviation."""
        self._begin(*self.units.start(policy), self._seed)

    def state_dict(self) -> dict[str, Any]:
        """Seed, start (P,), and the rewards told so far, (epochs, K) float64."""
        mean, std = self._start
        told = np.array(self._told) if self._told else np.zeros((0, self.config.candidates))
        return {"seed": str(self._seed), "start_mean": mean.copy(), "start_std": std.copy(), "rewards": told}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`. Raises `CheckpointError` where it comes from another search."""
        state = restored_parts(state, ("seed", "start_mean", "start_std", "rewards"), "cma_es")
        seed = restored_int(state["seed"], "cma_es: seed", high=2**128)
        shape = self.units.origin.shape
        mean = restored_array(state["start_mean"], np.float64, shape, "cma_es: start_mean").copy()
        std = restored_array(state["start_std"], np.float64, shape, "cma_es: start_std", low=1e-300).copy()
        told = restored_array(state["rewards"], np.float64, (None, self.config.candidates), "cma_es: rewards")
        restored_int(len(told), "cma_es: rewards: epochs", high=self.config.total_epochs)
        with restoring("cma_es"):
            self._begin(mean, std, seed)
            for reward in told:
                self.ask()
                self._tell(reward)


def _cma() -> Any:
    try:
        import cma
    except ImportError as error:
        raise missing_dependency("agent cma_es", "cma", "baselines") from error
    return cma


@contextmanager
def _quiet() -> Iterator[None]:
    """The library's own warnings are about ending the search and its console, neither of which is used here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"cma(\.|$)")
        yield
