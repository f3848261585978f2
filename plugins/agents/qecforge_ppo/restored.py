"""What a checkpoint of PPO holds, checked against the environment, the networks and the optimizer that take it over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray

from qecforge.contracts import Environment
from qecforge.errors import CheckpointError
from qecforge.learning.restoring import restored_array, restored_int, restored_number, restored_parts
from qecforge.learning.restoring_torch import check_networks, restored_optimizer

__all__ = ["Restored", "checked_state"]

_NAMES = (
    "step", "networks", "policy", "optimizer", "generators", "observations", "mask", "running_return",
    "running_length", "recent_return", "metrics", "calibration", "extra_loss",
)  # fmt: skip


@dataclass(frozen=True)
class Restored:
    """Arrays and numbers as the training takes them over.

    Attributes:
        optimizer: A state for `Optimizer.load_state_dict`: the checkpoint's moments, the configuration's settings.
    """

    step: int
    optimizer: dict[str, Any]
    observations: NDArray[Any]
    mask: NDArray[np.bool_] | None
    running_return: NDArray[np.float64]
    running_length: NDArray[np.int64]
    recent_return: list[float]
    metrics: dict[str, float]
    calibration: NDArray[Any] | None


def checked_state(
    state: object,
    *,
    env: Environment,
    networks: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    agents: int,
    last_step: int,
) -> Restored:
    """The state, all of it checked and nothing taken over yet.

    Raises:
        CheckpointError: Something is missing, or of another type, shape or range.
    """
    found = restored_parts(state, _NAMES, "ppo")
    members, space = env.num_envs, env.single_observation_space
    dtype, shape = np.dtype(space.dtype), tuple(space.shape or ())
    check_networks(found["networks"], networks, "ppo: networks")
    if not isinstance(found["generators"], list) or len(found["generators"]) != agents:
        raise CheckpointError(f"ppo: generators: expected a list of {agents}: restore the checkpoint anew")
    metrics = restored_parts(found["metrics"], (), "ppo: metrics")
    calibration = found["calibration"]
    if calibration is not None:
        calibration = restored_array(calibration, dtype, (None, None, *shape), "ppo: calibration")
    recent = found["recent_return"]
    if not isinstance(recent, list) or len(recent) != agents:
        raise CheckpointError(f"ppo: recent_return: expected a list of {agents} numbers: restore the checkpoint anew")
    return Restored(
        step=restored_int(found["step"], "ppo: step", high=last_step),
        optimizer=restored_optimizer(found["optimizer"], optimizer, "ppo: optimizer"),
        observations=_observations(found["observations"], space, members),
        mask=_mask(found["mask"], env),
        running_return=restored_array(found["running_return"], np.float64, (members,), "ppo: running_return"),
        running_length=restored_array(found["running_length"], np.int64, (members,), "ppo: running_length", low=0),
        recent_return=[restored_number(each, "ppo: recent_return", nan=True) for each in recent],
        metrics={str(name): restored_number(each, f"ppo: metrics: {name}", nan=True) for name, each in metrics.items()},
        calibration=calibration,
    )


def _observations(value: object, space: gymnasium.Space[Any], members: int) -> NDArray[Any]:
    shape = (members, *(space.shape or ()))
    low = high = None
    if isinstance(space, gymnasium.spaces.Box):
        low, high = space.low, space.high
    return restored_array(value, np.dtype(space.dtype), shape, "ppo: observations", low=low, high=high)


def _mask(value: object, env: Environment) -> NDArray[np.bool_] | None:
    if value is None:
        return None
    actions = env.single_action_space
    assert isinstance(actions, gymnasium.spaces.Discrete)
    mask: NDArray[np.bool_] = restored_array(value, np.bool_, (env.num_envs, int(actions.n)), "ppo: mask")
    if not mask.any(axis=1).all():
        raise CheckpointError("ppo: mask: a member has no action left: restore the checkpoint anew")
    return mask
