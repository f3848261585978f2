"""Continuous control tasks of Gymnasium as a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from qecforge.contracts import Environment, StepBuffers, group_size, refuse_unknown_options
from qecforge.environments import checked_actions
from qecforge.errors import CheckpointError, ConfigurationError, InfrastructureError
from qecforge.learning.restoring import restored_array, restored_int, restored_parts
from qecforge_humanoid.config import HumanoidConfig
from qecforge_humanoid.making import is_mujoco, spec_of
from qecforge_humanoid.members import Members, MujocoMembers, ReplayedMembers, SingleMembers
from qecforge_humanoid.normalization import CLIP, RunningNormalization
from qecforge_humanoid.pendulum import PendulumMembers

__all__ = ["ContinuousControl"]

_STATE = ("num_envs", "playing", "seed", "group_size", "episodes", "lengths", "returns", "members", "normalization")


class ContinuousControl(Environment):
    """B members of one of Gymnasium's tasks: its rewards, and actions in its own units and bounds (Humanoid ±0.4).

    Observations are (B, *shape) float32 of Gymnasium's own, or normalised ones. Each episode begins with a seed made of
    the environment's, the member (or its group) and the episode's number: so a checkpoint needs no generator, and
    members do not depend on each other.

    Args:
        config: Which task.
        num_envs: Members B.
        seed: What all randomness follows from, until `reset` is given another.
        rendering: Of `gymnasium.make`, such as `{"render_mode": "rgb_array"}`, for `render_member`.

    Raises:
        MissingDependency: a package that the task needs is not installed; names the extra.
    """

    def __init__(
        self,
        config: HumanoidConfig,
        *,
        num_envs: int,
        seed: int,
        rendering: Mapping[str, Any] | None = None,
    ) -> None:
        self.config, self.num_envs = config, num_envs
        spec = spec_of(config.id)
        self._limit = config.max_episode_steps or spec.max_episode_steps
        self._members = _members(config.id, num_envs, rendering)
        shown = self._members.observation_space
        self._normalization = RunningNormalization(shown.shape) if config.normalize_observations else None
        low, high = (bound.astype(np.float32) for bound in (shown.low, shown.high))
        if self._normalization is not None:
            low, high = np.full_like(low, -CLIP), np.full_like(high, CLIP)
        self.single_observation_space = gymnasium.spaces.Box(low, high, dtype=np.float32)
        self.single_action_space = self._members.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._seed, self._group_size, self._playing, self._resumed = seed, 1, False, False
        self._episodes = np.full(num_envs, -1, np.int64)  # number of the episode under way
        self._lengths, self._returns = np.zeros(num_envs, np.int64), np.zeros(num_envs)
        self._observations = np.zeros((num_envs, *shown.shape), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None, out: StepBuffers | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """See `Environment.reset`. Takes `group_size` where observations are not normalised: their running mean differs
        from start to start. With a seed, that is counted anew too, unless this is the first after `load_state_dict`."""
        options, name = options or {}, self.config.id
        refuse_unknown_options(options, name, *([] if self._normalization else ["group_size"]))
        size = group_size(options, self.num_envs, name)
        if seed is not None:
            self._seed, self._episodes[:] = int(seed), -1
            if self._normalization is not None and not self._resumed:
                self._normalization.clear()
        self._group_size, self._playing, self._resumed = size, True, False
        self._begin(np.ones(self.num_envs, np.bool_))
        return self._show(self._normalized(), out), {}

    def step(
        self, actions: Any, out: StepBuffers | None = None
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """See `Environment.step`.

        Raises:
            ConfigurationError: actions that are none, or there was no `reset`; nothing has changed then.
            InfrastructureError: the simulation gave an observation that is not finite; names it.
        """
        if not self._playing:
            raise ConfigurationError(f"{self.config.id}: step without a reset: call reset first")
        checked = checked_actions(actions, self.single_action_space, self.num_envs, self.config.id)
        rewards = np.empty(self.num_envs)
        terminated, truncated = np.empty(self.num_envs, np.bool_), np.empty(self.num_envs, np.bool_)
        self._members.step(checked, self._observations, rewards, terminated, truncated)
        self._resumed = False
        self._lengths += 1
        self._returns += rewards
        if self._limit is not None:
            truncated |= self._lengths >= self._limit
        self._count()
        shown = self._normalized()
        infos: dict[str, Any] = {"episode_return": self._returns.copy(), "episode_length": self._lengths.copy()}
        ended = terminated | truncated
        if ended.any():
            if truncated.any():
                infos["final_obs"] = shown.copy()
            self._begin(ended)
            shown[ended] = self._normalized()[ended]
        earned: NDArray[Any] = rewards.astype(np.float32)
        if out is not None:
            out.rewards[...], out.terminated[...], out.truncated[...] = earned, terminated, truncated
            earned, terminated, truncated = out.rewards, out.terminated, out.truncated
        return self._show(shown, out), earned, terminated, truncated, infos

    def state_dict(self) -> dict[str, Any]:
        """Seeds and numbers of the episodes, where each is, and what normalises."""
        return {
            "num_envs": self.num_envs,
            "playing": self._playing,
            "seed": self._seed,
            "group_size": self._group_size,
            "episodes": self._episodes.copy(),
            "lengths": self._lengths.copy(),
            "returns": self._returns.copy(),
            "members": self._members.state_dict() if self._playing else {},
            "normalization": self._normalization
            and {
                **self._normalization.state_dict(),
                "frozen": self._normalization.frozen,
            },
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Environment.load_state_dict`."""
        what = f"environment humanoid: {self.config.id}"
        parts = restored_parts(state, _STATE, what)
        if parts["num_envs"] != self.num_envs:
            raise CheckpointError(
                f"{what}: the checkpoint has {parts['num_envs']!r} members, expected {self.num_envs}: restore it with "
                "its own manifest"
            )
        playing = parts["playing"]
        if not isinstance(playing, bool):
            raise CheckpointError(f"{what}: playing: got {type(playing).__name__}, expected true or false")
        seed = restored_int(parts["seed"], f"{what}: seed", high=2**63)
        size = restored_int(parts["group_size"], f"{what}: group_size", low=1, high=self.num_envs)
        if self.num_envs % size:
            raise CheckpointError(f"{what}: group_size: got {size}, expected a divisor of {self.num_envs}")
        shape = (self.num_envs,)
        episodes = restored_array(parts["episodes"], np.int64, shape, f"{what}: episodes", low=-1 + playing, high=2**31)
        lengths = restored_array(parts["lengths"], np.int64, shape, f"{what}: lengths", low=0, high=2**62)
        returns = restored_array(parts["returns"], np.float64, shape, f"{what}: returns")
        self._load_normalization(parts["normalization"], what)
        self._seed, self._group_size, self._playing, self._resumed = seed, size, playing, True
        self._episodes, self._lengths, self._returns = episodes.copy(), lengths.copy(), returns.copy()
        if playing:
            self._members.load_state_dict(parts["members"], [self._episode_seed(each) for each in range(self.num_envs)])

    def fitted_state(self) -> dict[str, NDArray[Any]]:
        """Count, mean and sum of squares of the observations, where they are normalised."""
        return {} if self._normalization is None else self._normalization.state_dict()

    def load_fitted_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Normalise by these numbers, and count no further. See `Environment.load_fitted_state`."""
        if (self._normalization is None) != (not state):
            raise CheckpointError(
                f"environment humanoid: {self.config.id}: what is kept with the policy {'has' if state else 'lacks'} "
                "the mean of its observations: play it with the normalize_observations that it was trained with"
            )
        if self._normalization is not None:
            self._normalization.load_state_dict(state)
            self._normalization.frozen = True

    def render_member(self) -> NDArray[np.uint8]:
        """(height, width, 3) picture of the first member."""
        assert isinstance(self._members, SingleMembers), "made without `rendering`"
        picture: Any = self._members.envs[0].render()
        return np.asarray(picture, np.uint8)

    @property
    def frames_per_second(self) -> float | None:
        """Steps in a second of simulated time, where the task says so."""
        assert isinstance(self._members, SingleMembers), "made without `rendering`"
        return self._members.envs[0].metadata.get("render_fps")

    def close_extras(self, **kwargs: Any) -> None:
        """Close the members."""
        if hasattr(self, "_members"):  # Gymnasium closes what was not made to the end, too
            self._members.close()

    def _begin(self, members: NDArray[np.bool_]) -> None:
        """The next episode of these members."""
        self._episodes[members] += 1
        self._lengths[members], self._returns[members] = 0, 0.0
        seeds = {member: self._episode_seed(member) for member in np.flatnonzero(members).tolist()}
        self._members.begin(seeds, self._observations)
        self._count(members)

    def _episode_seed(self, member: int) -> int:
        """Of its episode under way: members of a group have the same."""
        place = (member // self._group_size, int(self._episodes[member]))
        return int(np.random.SeedSequence(self._seed, spawn_key=place).generate_state(1)[0])

    def _count(self, members: NDArray[np.bool_] | None = None) -> None:
        """See to it that the observations of these members are finite, and count them in the normalisation."""
        finite = np.isfinite(self._observations)
        if np.count_nonzero(finite) < finite.size:
            place = np.argwhere(~finite)[0].tolist()
            raise InfrastructureError(
                f"{self.config.id}: observation {', '.join(map(str, place[1:]))} of member {place[0]} is "
                f"{self._observations[tuple(place)]} after {self._lengths[place[0]]} steps of its episode, expected a "
                "finite number: the simulation became unstable: choose smaller actions or another seed"
            )
        if self._normalization is not None:
            self._normalization.update(self._observations if members is None else self._observations[members])

    def _normalized(self) -> NDArray[np.float32]:
        """What is shown, a new array."""
        if self._normalization is None:
            return self._observations.copy()
        return self._normalization.apply(self._observations)

    def _show(self, shown: NDArray[np.float32], out: StepBuffers | None) -> NDArray[Any]:
        if out is None:
            return shown
        out.observations[...] = shown
        return out.observations

    def _load_normalization(self, state: Any, what: str) -> None:
        if (state is None) != (self._normalization is None):
            raise CheckpointError(
                f"{what}: the checkpoint has another normalize_observations: resume it with its own manifest"
            )
        if self._normalization is not None:
            frozen = restored_parts(state, ("frozen",), what)["frozen"]
            if not isinstance(frozen, bool):
                raise CheckpointError(f"{what}: frozen: got {type(frozen).__name__}, expected true or false")
            self._normalization.load_state_dict(state)
            self._normalization.frozen = frozen


def _members(name: str, num_envs: int, rendering: Mapping[str, Any] | None) -> Members:
    """Pendulums as one batch, unless they are to be drawn; MuJoCo's with their state, others to be played again."""
    if name == "Pendulum-v1" and rendering is None:
        return PendulumMembers(num_envs)
    kind = MujocoMembers if is_mujoco(spec_of(name)) else ReplayedMembers
    return kind(name, num_envs, **(rendering or {}))
