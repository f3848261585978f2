"""B environments of one member each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from qecforge.environments._spaces import Step, bare, mask_of, require_spaces

__all__ = ["Separate"]


class Separate:
    """Steps `gymnasium.Env`s one after the other; each episode begins with a seed of its own.

    Args:
        first: The first member.
        make: Makes the others.
        num_envs: How many there are.
        options: Given to every `reset`.
        name: For messages.

    Raises:
        ConfigurationError: a space that no agent takes.
    """

    takes_seeds = True

    def __init__(
        self,
        first: gymnasium.Env[Any, Any],
        make: Callable[[], gymnasium.Env[Any, Any]],
        num_envs: int,
        options: Mapping[str, Any],
        name: str,
    ) -> None:
        self.envs = [first]
        try:
            self.envs[0] = first = _flat(first)
            self.observation_space, self.action_space = first.observation_space, first.action_space
            require_spaces(name, self.observation_space, self.action_space)
            while len(self.envs) < num_envs:
                self.envs.append(_flat(make()))
        except BaseException:
            self.close()
            raise
        self._options = dict(options) or None
        self._shown = np.zeros((num_envs, *(self.observation_space.shape or ())), self.observation_space.dtype)

    def begin(self, seeds: Mapping[int, int], *, anew: bool) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Begin an episode of each member that has a seed here. Their observations and masks, in this order, copies."""
        masks = []
        for member, seed in seeds.items():
            self._shown[member], info = self.envs[member].reset(seed=seed, options=self._options)
            masks.append(mask_of(info))
        found = [mask for mask in masks if mask is not None]
        return self._shown[list(seeds)], np.stack(found) if len(found) == len(masks) else None

    def step(self, actions: NDArray[Any]) -> Step:
        """One action each."""
        size = len(self.envs)
        rewards = np.empty(size, np.float32)
        terminated, truncated = np.empty(size, np.bool_), np.empty(size, np.bool_)
        masks = []
        for member, env in enumerate(self.envs):
            self._shown[member], rewards[member], terminated[member], truncated[member], info = env.step(
                bare(actions[member], self.action_space)
            )
            masks.append(mask_of(info))
        found = [mask for mask in masks if mask is not None]
        mask = np.stack(found) if len(found) == size else None
        return Step(self._shown.copy(), rewards, terminated, truncated, mask)

    def replay(self, member: int, seed: int, actions: NDArray[Any]) -> tuple[NDArray[Any], float]:
        """Bring a member to where an episode of that seed is after these actions: last observation, rewards earned."""
        env, earned = self.envs[member], 0.0
        shown, _ = env.reset(seed=seed, options=self._options)
        for action in actions:
            shown, reward, *_ = env.step(bare(action, self.action_space))
            earned += float(np.float32(reward))
        self._shown[member] = shown
        return self._shown[member].copy(), earned

    def close(self) -> None:
        """Close every member."""
        for env in self.envs:
            env.close()


def _flat(env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    """With observations that are one array: dictionaries, tuples and numbers are flattened."""
    if isinstance(env.observation_space, gymnasium.spaces.Box | gymnasium.spaces.MultiBinary):
        return env
    from gymnasium.wrappers import FlattenObservation

    return FlattenObservation(env)
