"""Returns of whole episodes, played without learning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from qecforge.errors import ConfigurationError
from qecforge.evaluation.statistics import Interval, mean_interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qecforge.contracts.environment import Environment
    from qecforge.contracts.policy import Policy

__all__ = ["PlayedEpisodes", "evaluate_policy"]


@dataclass(frozen=True, eq=False)
class PlayedEpisodes:
    """What a policy did over whole episodes.

    Attributes:
        returns: (N,) float64, undiscounted sum of rewards of each episode.
        lengths: (N,) int64, steps of each episode.
    """

    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]

    @property
    def interval(self) -> Interval:
        """The mean return with Student's 95 % interval."""
        return mean_interval(self.returns)

    def values(self) -> dict[str, float]:
        """The numbers by which runs are compared, for `Store.add_policy_evaluation`; of a single episode there is no
        deviation and no interval."""
        interval = self.interval
        found = {"return_mean": interval.estimate, "length_mean": float(self.lengths.mean())}
        if len(self.returns) > 1:
            deviation = float(self.returns.std(ddof=1))
            found |= {"return_std": deviation, "return_low": interval.low, "return_high": interval.high}
        return found

    def to_payload(self) -> dict[str, Any]:
        """The single episodes behind `values`, as JSON values."""
        return {"returns": self.returns.tolist(), "lengths": self.lengths.tolist()}


def evaluate_policy(
    env: Environment,
    policy: Policy,
    *,
    episodes: int,
    seed: int = 0,
    deterministic: bool = True,
    should_stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> PlayedEpisodes:
    """Play whole episodes, without learning.

    Every member plays the same number of episodes, so that short ones are not counted more often; the result holds at
    least `episodes` of them, `ceil(episodes / B)` for each of the B members.

    Args:
        env: Reset with `seed`.
        deterministic: Whether the policy takes its best action instead of a drawn one.
        should_stop: Asked after each step; True ends the play early, with the episodes that ended until then.
        progress: Told how many of all episodes have ended, whenever some have.

    Raises:
        ConfigurationError: `episodes` is below 1, or the reward is a vector, whose returns have no mean.
    """
    if episodes < 1:
        raise ConfigurationError(f"episodes: got {episodes}, expected 1 or more")
    quota = -(-episodes // env.num_envs)
    rng = np.random.default_rng(seed)
    observations, infos = env.reset(seed=seed)
    played = np.zeros(env.num_envs, dtype=np.int64)
    returns = np.zeros((quota, env.num_envs))
    lengths = np.zeros((quota, env.num_envs), dtype=np.int64)
    while played.min() < quota and not should_stop():
        actions = policy.act(observations, action_mask=infos.get("action_mask"), deterministic=deterministic, rng=rng)
        observations, rewards, terminated, truncated, infos = env.step(actions)
        if rewards.ndim != 1:
            raise ConfigurationError(
                f"returns: the reward is a vector of {rewards.shape[1]} numbers, expected one: choose a scalar reward"
            )
        ended = np.flatnonzero((terminated | truncated) & (played < quota))
        if len(ended):
            returns[played[ended], ended] = np.asarray(infos["episode_return"])[ended]
            lengths[played[ended], ended] = np.asarray(infos["episode_length"])[ended]
            played[ended] += 1
            progress(int(played.sum()), returns.size)
    whole = (np.arange(quota)[:, None] < played).T
    return PlayedEpisodes(returns.T[whole], lengths.T[whole])
