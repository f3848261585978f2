"""The members of an environment, one Gymnasium environment each, and how their state is kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, cast

import gymnasium
import numpy as np
from numpy.typing import NDArray

from qecforge.errors import CheckpointError
from qecforge.learning.restoring import restored_array, restored_parts
from qecforge_humanoid.making import make_single

__all__ = ["Members", "MujocoMembers", "ReplayedMembers", "SingleMembers"]

_POSITIONS = ("xpos", "xquat", "xmat", "xipos", "ximat", "geom_xpos", "geom_xmat", "site_xpos", "site_xmat")
"""Where bodies, geoms and sites were when MuJoCo last looked, before it took the last of a step's substeps. Rewards
read them before the next step, and to compute them anew gives where they are now."""


class Members(ABC):
    """B members whose episodes begin with seeds. Arrays of observations, (B, *shape) float32, are the caller's.

    Attributes:
        observation_space, action_space: Of one member.
    """

    observation_space: gymnasium.spaces.Box
    action_space: gymnasium.spaces.Box

    @abstractmethod
    def begin(self, seeds: Mapping[int, int], observations: NDArray[np.float32]) -> None:
        """Begin an episode of each member that has a seed here, and write its row of the observations."""

    @abstractmethod
    def step(
        self,
        actions: NDArray[Any],
        observations: NDArray[np.float32],
        rewards: NDArray[np.float64],
        terminated: NDArray[np.bool_],
        truncated: NDArray[np.bool_],
    ) -> None:
        """One action for each member. All arrays are written."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Where the episodes under way are."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any], seeds: Sequence[int]) -> None:
        """Continue from `state_dict()`.

        Args:
            seeds: B, with which the episodes under way began.

        Raises:
            CheckpointError: it is of something else.
        """

    @abstractmethod
    def close(self) -> None:
        """Close every member."""


class SingleMembers(Members):
    """Steps Gymnasium's environments one after the other.

    Args:
        name: Their id.
        num_envs: Members B.
        settings: Of `gymnasium.make`.
    """

    def __init__(self, name: str, num_envs: int, **settings: Any) -> None:
        self.envs: list[gymnasium.Env[Any, Any]] = []
        try:
            for _ in range(num_envs):
                self.envs.append(make_single(name, **settings))
        except BaseException:
            self.close()
            raise
        self.observation_space = cast("gymnasium.spaces.Box", self.envs[0].observation_space)
        self.action_space = cast("gymnasium.spaces.Box", self.envs[0].action_space)

    def begin(self, seeds: Mapping[int, int], observations: NDArray[np.float32]) -> None:
        """See `Members.begin`."""
        for member, seed in seeds.items():
            observations[member], _ = self.envs[member].reset(seed=seed)

    def step(
        self,
        actions: NDArray[Any],
        observations: NDArray[np.float32],
        rewards: NDArray[np.float64],
        terminated: NDArray[np.bool_],
        truncated: NDArray[np.bool_],
    ) -> None:
        """See `Members.step`."""
        for member, env in enumerate(self.envs):
            observations[member], rewards[member], terminated[member], truncated[member], _ = env.step(actions[member])

    def close(self) -> None:
        """See `Members.close`."""
        for env in self.envs:
            env.close()


class MujocoMembers(SingleMembers):
    """Members in MuJoCo. What decides the next step is MuJoCo's integration state and the positions of bodies that the
    reward reads beforehand; random numbers are drawn at the beginning of an episode alone, from its seed."""

    def state_dict(self) -> dict[str, Any]:
        """Integration states (B, n) and positions (B, m), float64."""
        states = [self._state_of(env) for env in self.envs]
        return {
            "integration": np.stack([integration for integration, _ in states]),
            "positions": np.stack([positions for _, positions in states]),
        }

    def load_state_dict(self, state: Mapping[str, Any], seeds: Sequence[int]) -> None:
        """See `Members.load_state_dict`. Nothing is computed from what is set: that is the next step's first act."""
        import mujoco

        what = "environment humanoid"
        parts = restored_parts(state, ("integration", "positions"), what)
        shapes = [array.shape for array in self._state_of(self.envs[0])]
        kept = {
            name: restored_array(parts[name], np.float64, (len(self.envs), *shape), f"{what}: {name}")
            for name, shape in zip(("integration", "positions"), shapes, strict=True)
        }
        for env, integration, positions in zip(self.envs, kept["integration"], kept["positions"], strict=True):
            model, data = _model_and_data(env)
            mujoco.mj_resetData(model, data)
            mujoco.mj_setState(model, data, np.ascontiguousarray(integration), mujoco.mjtState.mjSTATE_INTEGRATION)
            arrays = [getattr(data, name) for name in _POSITIONS]
            ends = np.cumsum([array.size for array in arrays])[:-1]
            for array, values in zip(arrays, np.split(positions, ends), strict=True):
                array[...] = values.reshape(array.shape)

    def _state_of(self, env: gymnasium.Env[Any, Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        import mujoco

        model, data = _model_and_data(env)
        integration = np.empty(mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_INTEGRATION))
        mujoco.mj_getState(model, data, integration, mujoco.mjtState.mjSTATE_INTEGRATION)
        return integration, np.concatenate([getattr(data, name).ravel() for name in _POSITIONS])


class ReplayedMembers(SingleMembers):
    """Members of which nothing is known but that the same seed and actions lead to the same place: the actions of the
    episodes under way are kept, and played again."""

    def __init__(self, name: str, num_envs: int, **settings: Any) -> None:
        super().__init__(name, num_envs, **settings)
        self._name = name
        self._played: list[list[NDArray[Any]]] = [[] for _ in range(num_envs)]
        self._last = np.zeros((num_envs, *self.observation_space.shape), np.float32)

    def begin(self, seeds: Mapping[int, int], observations: NDArray[np.float32]) -> None:
        """See `Members.begin`."""
        super().begin(seeds, observations)
        for member in seeds:
            self._played[member] = []
            self._last[member] = observations[member]

    def step(
        self,
        actions: NDArray[Any],
        observations: NDArray[np.float32],
        rewards: NDArray[np.float64],
        terminated: NDArray[np.bool_],
        truncated: NDArray[np.bool_],
    ) -> None:
        """See `Members.step`."""
        super().step(actions, observations, rewards, terminated, truncated)
        for played, action in zip(self._played, actions, strict=True):
            played.append(action)
        self._last[...] = observations

    def state_dict(self) -> dict[str, Any]:
        """Actions of each member's episode, and the observations that they have led to."""
        shape, dtype = self.action_space.shape, self.action_space.dtype
        return {
            "actions": [np.array(played, dtype).reshape(-1, *shape) for played in self._played],
            "observations": self._last.copy(),
        }

    def load_state_dict(self, state: Mapping[str, Any], seeds: Sequence[int]) -> None:
        """See `Members.load_state_dict`."""
        what = "environment humanoid"
        parts = restored_parts(state, ("actions", "observations"), what)
        if not isinstance(parts["actions"], list | tuple) or len(parts["actions"]) != len(self.envs):
            raise CheckpointError(f"{what}: this checkpoint has other members: resume it with its own manifest")
        space = self.action_space
        actions = [
            restored_array(each, space.dtype, (None, *space.shape), f"{what}: actions", low=space.low, high=space.high)
            for each in parts["actions"]
        ]
        last = restored_array(parts["observations"], np.float32, self._last.shape, f"{what}: observations")
        for member, (env, seed, played) in enumerate(zip(self.envs, seeds, actions, strict=True)):
            self._last[member], _ = env.reset(seed=seed)
            for action in played:
                self._last[member], *_ = env.step(action)
            self._played[member] = list(played)
        if not np.array_equal(self._last, last):
            raise CheckpointError(
                f"{what}: {self._name} is not where the checkpoint left it after the same seeds and actions, so that "
                "its runs cannot be resumed: begin the run anew with `force`"
            )


def _model_and_data(env: gymnasium.Env[Any, Any]) -> tuple[Any, Any]:
    unwrapped: Any = env.unwrapped
    return unwrapped.model, unwrapped.data
