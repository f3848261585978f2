"""What a trained policy finds when it plays without learning: codes, how fast, how surely."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qecforge.errors import ConfigurationError

if TYPE_CHECKING:
    from qecforge.codes import DiscoveredCode
    from qecforge.contracts.environment import Environment
    from qecforge.contracts.policy import Policy

__all__ = ["SearchResult", "search_codes", "warm_up"]


@dataclass(frozen=True, eq=False)
class SearchResult:
    """What was found.

    Attributes:
        discoveries: Codes as the environment reported them, oldest first, each with the seconds since the start.
        returns: (E,) float64, undiscounted sum of rewards of each counted episode.
        successes: Counted episodes that succeeded; None where the environment does not say (`infos["success"]`).
        steps: Environment steps of all members.
        seconds: From the first action to the last step.
    """

    discoveries: tuple[tuple[DiscoveredCode, float], ...]
    returns: NDArray[np.float64]
    successes: int | None
    steps: int
    seconds: float

    @property
    def codes(self) -> int:
        """Distinct codes, by their stabilizer groups."""
        return len({found.code.digest for found, _ in self.discoveries})

    def values(self) -> dict[str, float]:
        """The numbers by which runs are compared, for `Store.add_policy_evaluation`; undefined values are left out."""
        named = {
            "codes_found": float(self.codes),
            "codes_per_hour": 3600.0 * self.codes / self.seconds,
            "seconds_to_first_code": self.discoveries[0][1] if self.discoveries else math.nan,
            "steps_per_second": self.steps / self.seconds,
            "search_return": float(self.returns.mean()),
            "success_rate": math.nan if self.successes is None else self.successes / len(self.returns),
        }
        return {name: value for name, value in named.items() if not math.isnan(value)}

    def to_payload(self) -> dict[str, Any]:
        """The counts behind `values`, as JSON values."""
        return {
            "episodes": len(self.returns),
            "successes": self.successes,
            "steps": self.steps,
            "seconds": self.seconds,
        }


def warm_up(env: Environment, policy: Policy) -> None:
    """One step, so that nothing is compiled or packed while the clock runs. `env` is not used again."""
    observations, infos = env.reset(seed=0)
    rng = np.random.default_rng(0)
    env.step(policy.act(observations, action_mask=infos.get("action_mask"), rng=rng))


def search_codes(
    env: Environment,
    policy: Policy,
    episodes: int,
    *,
    seed: int = 0,
    deterministic: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> SearchResult:
    """Play episodes with the policy and gather what the environment finds.

    Every member plays `ceil(episodes / B)` of them, so that short ones are not counted more often. A member that is
    through plays on until all are; what it finds and its steps count, its further episodes do not.

    Args:
        env: Fresh; reset with `seed`.
        should_stop: Asked after each step; True ends the search early.
        progress: Told how many of all counted episodes have ended, whenever some have.

    Raises:
        ConfigurationError: `episodes` is below 1.
    """
    if episodes < 1:
        raise ConfigurationError(f"episodes: got {episodes}, expected 1 or more")
    members = env.num_envs
    quota = -(-episodes // members)
    rng = np.random.default_rng([seed, 0])
    played = np.zeros(members, np.int64)
    returns: list[NDArray[np.float64]] = []
    found: list[tuple[DiscoveredCode, float]] = []
    successes: int | None = None
    steps = 0
    observations, infos = env.reset(seed=seed)
    started = time.perf_counter()
    while played.min() < quota and not should_stop():
        actions = policy.act(observations, action_mask=infos.get("action_mask"), deterministic=deterministic, rng=rng)
        observations, _, terminated, truncated, infos = env.step(actions)
        steps += members
        counted = (terminated | truncated) & (played < quota)
        if counted.any():
            returns.append(np.array(infos["episode_return"], np.float64)[counted])
            if "success" in infos:
                successes = (successes or 0) + int(np.asarray(infos["success"])[counted].sum())
            played += counted
            progress(int(played.sum()), quota * members)
        elapsed = time.perf_counter() - started
        found.extend((discovered, elapsed) for discovered in env.take_discoveries())
    seconds = time.perf_counter() - started
    return SearchResult(tuple(found), np.concatenate([np.zeros(0), *returns]), successes, steps, seconds)
