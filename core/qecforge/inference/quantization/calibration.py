"""Calibration states on-policy, and whether observations have to be rounded at all."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray

from qecforge.contracts.environment import Environment
from qecforge.contracts.policy import Policy
from qecforge.errors import ConfigurationError
from qecforge.inference.network import LinearSpec, MlpSpec

__all__ = ["OBSERVATION_BITS", "rollout_states", "space_holds_levels", "with_inputs_of_one_range"]

OBSERVATION_BITS = 8
"""Of the observations behind continuous actions, whatever the width of the network: what a controller does not see, no
training gives back."""


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


def with_inputs_of_one_range(spec: MlpSpec, shown: NDArray[Any]) -> tuple[MlpSpec, NDArray[np.float32]]:
    """An equal network whose inputs come divided by their own range, since all of them share one step: else a velocity
    of up to 8 leaves a sine 16 of 256 levels on either side of 0.

    Args:
        shown: (S, D), what the network takes.

    Returns:
        The network, the weights of its first layer multiplied; and the divisors (D,), greatest magnitudes of `shown`,
        1 where that is 0.
    """
    greatest = np.abs(np.asarray(shown, np.float32)).max(0)
    divisor = np.where(greatest > 0, greatest, np.float32(1)).astype(np.float32)
    first = spec.layers[0]
    scaled = LinearSpec(first.weight * torch.from_numpy(divisor), first.bias)
    return MlpSpec((scaled, *spec.layers[1:]), spec.activations), divisor


def space_holds_levels(space: gymnasium.Space[Any], bits: int) -> bool:
    """Whether observations are integers 0..2^bits - 1 by their space, and so need no quantisation."""
    if isinstance(space, gymnasium.spaces.MultiBinary):
        return True
    if not isinstance(space, gymnasium.spaces.Box) or not np.issubdtype(space.dtype, np.integer):
        return False
    return bool((space.low >= 0).all() and (space.high < (1 << bits)).all())
