"""What both searches have in common: the units they work in, and the one reward that they see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qecforge.contracts import ParameterEnvironment, ParameterLimits
from qecforge.errors import ConfigurationError, QecforgeError
from qecforge.parameters import GaussianParameters

__all__ = ["Units", "own_generator"]


def own_generator(agent: str, *seeds: int) -> np.random.Generator:
    """Random numbers of an agent's own: an environment that is seeded alike has others."""
    return np.random.default_rng(np.random.SeedSequence(seeds, spawn_key=tuple(agent.encode())))


@dataclass(frozen=True, eq=False)
class Units:
    """Parameters in units of `scale` from `origin`, and rewards as their mean over the objectives.

    Attributes:
        agent: Its name, for messages.
        origin, scale: (P,) float64, `initial_parameters` and `exploration_scale` of an environment.
        num_objectives: m, entries of a candidate's reward; 1 for a scalar.
        limits: Box and largest step of each parameter; None where there are none.
    """

    agent: str
    origin: NDArray[np.float64]
    scale: NDArray[np.float64]
    num_objectives: int
    limits: ParameterLimits | None = None

    @classmethod
    def of(cls, agent: str, env: ParameterEnvironment) -> Units:
        """Those of an environment."""
        origin, scale = (np.array(array, np.float64) for array in (env.initial_parameters, env.exploration_scale))
        return cls(agent, origin, scale, int(np.prod(env.reward_space.shape)), env.limits)

    def parameters(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(..., P) in the parameters' own units."""
        return self.origin + self.scale * points

    def candidates(self, points: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
        """(K, P) in the parameters' own units, within their limits around (P,) `mean`."""
        drawn = self.parameters(points)
        return drawn if self.limits is None else self.limits.near(drawn, self.limits.inside(self.parameters(mean)))

    def stepped(self, mean: NDArray[np.float64], to: NDArray[np.float64]) -> NDArray[np.float64]:
        """(P,) the new mean, within the limits around the old one."""
        if self.limits is None:
            return to
        return (self.candidates(to, mean) - self.origin) / self.scale

    def policy(self, mean: NDArray[np.float64], std: NDArray[np.float64]) -> GaussianParameters:
        """Of a mean and a deviation, (P,) each, in these units."""
        own = self.parameters(mean)
        return GaussianParameters(own if self.limits is None else self.limits.inside(own), self.scale * std)

    def start(self, policy: GaussianParameters) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """A policy's mean and deviation, (P,) each, in these units. Raises `ConfigurationError` where P differs."""
        if policy.mean.shape != self.origin.shape:
            raise ConfigurationError(
                f"{self.agent}: the given policy has {len(policy.mean)} parameters, expected {len(self.origin)}: give "
                "one for this environment"
            )
        return (policy.mean - self.origin) / self.scale, policy.std / self.scale

    def one_reward(self, rewards: ArrayLike, candidates: int, epoch: int) -> NDArray[np.float64]:
        """(K,) mean over the objectives of rewards (K, m), or of (K,) where there is one.

        Raises:
            ConfigurationError: Another shape.
            QecforgeError: A reward is not finite.
        """
        array = np.asarray(rewards, np.float64)
        K, m = candidates, self.num_objectives
        if array.shape != (K, m) and not (m == 1 and array.shape == (K,)):
            raise ConfigurationError(
                f"{self.agent}: rewards have shape {array.shape}, expected {(K, m)}: a row for each candidate"
            )
        if not np.isfinite(array).all():
            raise QecforgeError(
                f"{self.agent}: a reward of epoch {epoch} is not finite: look at what scores the candidates"
            )
        mean: NDArray[np.float64] = array.reshape(K, m).mean(1)
        return mean
