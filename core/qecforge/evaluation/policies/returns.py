"""Returns of whole episodes, played without learning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qecforge.errors import ConfigurationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qecforge.contracts.environment import Environment
    from qecforge.contracts.policy import Policy

__all__ = ["EpisodeStatistics", "evaluate_policy"]


@dataclass(frozen=True)
class EpisodeStatistics:
    """What a policy did over whole episodes.

    Attributes:
        returns: (N,) float64, undiscounted sum of rewards of each episode.
        lengths: (N,) int64, steps of each episode.
    """

    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]


def evaluate_policy(
    env: Environment, policy: Policy, *, episodes: int, seed: int = 0, deterministic: bool = True
) -> EpisodeStatistics:
    """Play whole episodes, without learning.

    Every member plays the same number of episodes, so that short ones are not counted more often; the result holds at
    least `episodes` of them, `ceil(episodes / B)` for each of the B members.

    Raises:
        ConfigurationError: `episodes` is below 1.
    """
    if episodes < 1:
        raise ConfigurationError(f"episodes: got {episodes}, expected 1 or more")
    quota = -(-episodes // env.num_envs)
    rng = np.random.default_rng(seed)
    observations, infos = env.reset(seed=seed)
    played = np.zeros(env.num_envs, dtype=np.int64)
    returns = np.zeros((quota, env.num_envs))
    lengths = np.zeros((quota, env.num_envs), dtype=np.int64)
    while played.min() < quota:
        actions = policy.act(observations, action_mask=infos.get("action_mask"), deterministic=deterministic, rng=rng)
        observations, _, terminated, truncated, infos = env.step(actions)
        for member in np.flatnonzero((terminated | truncated) & (played < quota)):
            returns[played[member], member] = infos["episode_return"][member]
            lengths[played[member], member] = infos["episode_length"][member]
            played[member] += 1
    return EpisodeStatistics(returns.T.ravel(), lengths.T.ravel())
