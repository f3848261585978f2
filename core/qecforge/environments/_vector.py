"""An environment that is a batch already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from numpy.typing import NDArray

from qecforge.environments._spaces import Step, mask_of, require_spaces
from qecforge.errors import ConfigurationError

__all__ = ["Batched"]


class Batched:
    """Steps a `gymnasium.vector.VectorEnv`. What begins a new episode is its own autoreset, or a reset of the members
    that ended, where it can do that.

    Args:
        env: It autoresets in the same step, or not at all; those of Gymnasium that hold single ones may be any.
        num_envs: Members that are expected.
        options: Given to every `reset`.
        name: For messages.

    Raises:
        ConfigurationError: it has other members, a space that no agent takes, or can begin an episode only with the
            next step.
    """

    takes_seeds = False

    def __init__(self, env: VectorEnv[Any, Any, Any], num_envs: int, options: Mapping[str, Any], name: str) -> None:
        if env.num_envs != num_envs:
            raise ConfigurationError(
                f"{name}: a vector environment of {env.num_envs} members, expected {num_envs}: make it with `num_envs`"
            )
        require_spaces(name, env.single_observation_space, env.single_action_space)
        self._of_singles = isinstance(env.unwrapped, SyncVectorEnv | AsyncVectorEnv)
        mode = env.metadata.get("autoreset_mode")
        self._resets_itself = mode == AutoresetMode.SAME_STEP
        if not (self._resets_itself or self._of_singles or mode == AutoresetMode.DISABLED):
            raise ConfigurationError(
                f"{name}: its autoreset_mode is {getattr(mode, 'name', mode)}, expected SAME_STEP or DISABLED: a new "
                "episode has to begin in the step that ends the old one. Make it in one of these modes, give single "
                "environments, or make them a batch by `gymnasium.make_vec(..., vectorization_mode='sync')`"
            )
        self._env = env
        self.observation_space, self.action_space = env.single_observation_space, env.single_action_space
        self._options = dict(options)
        self._shown = np.zeros((num_envs, *(self.observation_space.shape or ())), self.observation_space.dtype)
        self._mask: NDArray[np.bool_] | None = None

    def begin(self, seeds: Mapping[int, int], *, anew: bool) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Begin an episode of each member that has a seed here. Their observations and masks, in this order, copies.

        Args:
            anew: All of them, whatever they do; else those that have ended.
        """
        members = list(seeds)
        if anew or not self._resets_itself:
            options: dict[str, Any] = dict(self._options)
            if not anew:
                options["reset_mask"] = np.isin(np.arange(len(self._shown)), members)
            seed: Any = seeds[0] if anew else None
            if self._of_singles:
                seed = [seeds.get(member) for member in range(len(self._shown))]
            shown, infos = self._env.reset(seed=seed, options=options or None)
            self._shown[...], self._mask = shown, mask_of(infos)
        return self._shown[members], None if self._mask is None else self._mask[members]

    def step(self, actions: NDArray[Any]) -> Step:
        """One action each."""
        shown, rewards, terminated, truncated, infos = self._env.step(actions)
        self._shown[...] = shown
        last, ended = self._shown.copy(), np.asarray(terminated) | np.asarray(truncated)
        if self._resets_itself and ended.any():
            for member in np.flatnonzero(ended):
                last[member] = infos["final_obs"][member]
        self._mask = mask_of(infos)
        return Step(
            last,
            np.array(rewards, np.float32),
            np.array(terminated, np.bool_),
            np.array(truncated, np.bool_),
            self._mask,
        )

    def replay(self, member: int, seed: int, actions: NDArray[Any]) -> tuple[NDArray[Any], float]:
        """Refused: the members of a batch cannot be stepped alone."""
        raise NotImplementedError("a vector environment resumes between episodes")

    def close(self) -> None:
        """Close it."""
        self._env.close()
