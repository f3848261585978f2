"""Calibration states on-policy, and whether observations have to be rounded at all."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from qecforge.contracts.environment import Environment
from qecforge.contracts.policy import Policy
from qecforge.errors import ConfigurationError

__all__ = ["rollout_states", "space_holds_levels"]


def rollout_states(policy: Policy, env: Environment, count: int, *, seed: int = 0) -> NDArray[Any]:
    """Observations that `policy` meets when it acts by chance, as it does in training.

    Drawn uniformly from the visits of whole episodes, so that late steps count like early ones
    (`qecforge.evaluation.collect_states`). The environment goes on afterwards as if nothing had happened; codes found
    on the way are dropped.

    Args:
        count: S >= 1.
        seed: Of the environment, of the actions and of the draw.

    Returns:
        (S, *observation_shape), the environment's dtype.

    Raises:
        ConfigurationError: `count` is below 1.
    """
    from qecforge.evaluation import collect_states

    if count < 1:
        raise ConfigurationError(f"calibration_states: {count} is too small, expected 1 or more")
    saved = env.state_dict()
    try:
        return collect_states(env, policy, count, seed=seed).observations
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
