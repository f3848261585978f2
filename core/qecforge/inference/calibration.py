"""Calibration states on-policy, and whether observations have to be rounded at all."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from qecforge.errors import ConfigurationError
from qecforge.hookspecs import Environment, Policy

__all__ = ["rollout_states", "space_holds_levels"]


def rollout_states(policy: Policy, env: Environment, count: int, *, seed: int = 0) -> NDArray[Any]:
    """Observations that `policy` meets when it acts by chance, as it does in training.

    The environment goes on afterwards as if nothing had happened; codes found on the way are dropped.

    Args:
        count: S >= 1.
        seed: Of the environment and of the actions.

    Returns:
        (S, *observation_shape), the environment's dtype; whole episodes begin with the members' first steps.

    Raises:
        ConfigurationError: `count` is below 1.
    """
    if count < 1:
        raise ConfigurationError(f"calibration_states: {count} is too small, expected 1 or more")
    saved = env.state_dict()
    rng = np.random.default_rng(seed)
    kept: list[NDArray[Any]] = []
    try:
        observations, infos = env.reset(seed=seed)
        while True:
            kept.append(np.array(observations[: count - sum(map(len, kept))]))
            if sum(map(len, kept)) == count:
                return np.concatenate(kept)
            actions = policy.act(observations, action_mask=infos.get("action_mask"), deterministic=False, rng=rng)
            observations, _, _, _, infos = env.step(actions)
    finally:
        env.take_discoveries()
        env.load_state_dict(saved)


def space_holds_levels(space: gymnasium.Space[Any], bits: int) -> bool:
    """Whether observations are integers 0..2^bits - 1 by their space, and so need no quantisation."""
    if isinstance(space, gymnasium.spaces.MultiBinary):
        return True
    if not isinstance(space, gymnasium.spaces.Box) or not np.issubdtype(space.dtype, np.integer):
        return False
    return bool((space.low >= 0).all() and (space.high < (1 << bits)).all())
