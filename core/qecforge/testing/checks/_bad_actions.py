"""Actions that no environment may take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from qecforge.contracts.environment import Environment, ParameterEnvironment

__all__ = ["bad_actions"]


def bad_actions(env: Environment, good: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    """What is wrong with them, and the actions: good ones, spoilt in one place.

    Args:
        good: (B, ...) actions that the environment would take. Not mutated.
    """
    space = env.single_action_space
    yield "an action is missing", good[:-1]
    if isinstance(space, gymnasium.spaces.Discrete):
        yield "an action beyond the last", _with(good, -1, int(space.start + space.n))
        yield "an action before the first", _with(good, -1, int(space.start) - 1)
    elif isinstance(space, gymnasium.spaces.Box):
        yield "an infinite action", _with(good, (-1, 0), np.inf)
        yield "an action that is NaN", _with(good, (0, -1), np.nan)
        if not isinstance(env, ParameterEnvironment):
            yield from _bad_boxes(space, good)


def _bad_boxes(space: gymnasium.spaces.Box, good: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    yield "actions of one axis too many", good[..., None]
    yield "actions of one axis too few", good[:, 0]
    yield "actions of one number too many", np.concatenate([good, good[:, :1]], axis=1)
    for index in np.ndindex(space.shape):
        width = float(space.high[index]) - float(space.low[index])
        beyond = 1e-3 * width if np.isfinite(width) else 1.0
        for bound, off in ((space.high, beyond), (space.low, -beyond)):
            if np.isfinite(bound[index]):
                yield f"number {index} of an action out of bounds", _with(good, (-1, *index), float(bound[index]) + off)


def _with(actions: NDArray[Any], place: Any, value: float) -> NDArray[Any]:
    spoilt = actions.copy()
    spoilt[place] = value
    return spoilt
