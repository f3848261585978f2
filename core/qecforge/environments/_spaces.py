"""Spaces that agents take, and the actions that lie in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from qecforge.errors import ConfigurationError

__all__ = ["Step", "bare", "checked_actions", "mask_of", "require_spaces"]


@dataclass
class Step:
    """What a step brought: observations are the last of an episode where it ended; masks None where there are none."""

    observations: NDArray[Any]
    rewards: NDArray[np.float32]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    mask: NDArray[np.bool_] | None


def require_spaces(name: str, observations: gymnasium.Space[Any], actions: gymnasium.Space[Any]) -> None:
    """Raise `ConfigurationError` unless observations are arrays, and actions numbers or bounded arrays."""
    if not isinstance(observations, gymnasium.spaces.Box | gymnasium.spaces.MultiBinary):
        raise ConfigurationError(
            f"{name}: its observations are {observations}, expected a Box or MultiBinary: wrap it so that they are"
        )
    if not isinstance(actions, gymnasium.spaces.Discrete | gymnasium.spaces.Box):
        raise ConfigurationError(
            f"{name}: its actions are {actions}, expected Discrete or Box: wrap it so that they are"
        )


def checked_actions(actions: Any, space: gymnasium.Space[Any], num_envs: int, name: str) -> NDArray[Any]:
    """The actions as an array of the space's dtype, a copy.

    Raises:
        ConfigurationError: they are not (num_envs, *action_shape), or one does not lie in the space.
    """
    given = np.asarray(actions)
    expected = (num_envs, *(space.shape or ()))
    if given.shape != expected:
        raise ConfigurationError(f"{name}: got actions of shape {given.shape}, expected {expected}")
    if isinstance(space, gymnasium.spaces.Discrete):
        first, last = int(space.start), int(space.start + space.n) - 1
        whole = np.issubdtype(given.dtype, np.integer)
        if not whole or given.min() < first or given.max() > last:
            wrong = given[(given < first) | (given > last)][0] if whole else given.dtype
            raise ConfigurationError(f"{name}: got the action {wrong}, expected a whole number from {first} to {last}")
    else:
        assert isinstance(space, gymnasium.spaces.Box)
        inside = (given >= space.low) & (given <= space.high) & np.isfinite(given)
        if np.count_nonzero(inside) < inside.size:  # faster than `all` on so few
            place = tuple(int(index) for index in np.argwhere(~inside)[0])
            raise ConfigurationError(
                f"{name}: action {place[0]} has {given[place]} at {place[1:]}, expected a finite number from "
                f"{space.low[place[1:]]} to {space.high[place[1:]]}"
            )
    return given.astype(space.dtype)


def bare(action: Any, space: gymnasium.Space[Any]) -> Any:
    """One action as a single environment takes it."""
    return int(action) if isinstance(space, gymnasium.spaces.Discrete) else action


def mask_of(info: Mapping[str, Any]) -> NDArray[np.bool_] | None:
    """The mask of actions that an environment shows, by Gymnasium's convention for discrete ones."""
    mask = info.get("action_mask")
    return None if mask is None else np.asarray(mask).astype(np.bool_)
