"""Gymnasium's Pendulum-v1 as one batch of numpy arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.classic_control.pendulum import DEFAULT_X, DEFAULT_Y
from gymnasium.utils.seeding import np_random
from numpy.typing import NDArray

from qecforge.learning.restoring import restored_array, restored_parts
from qecforge_humanoid.members import Members

__all__ = ["PendulumMembers"]

_MAX_SPEED, _MAX_TORQUE = 8.0, 2.0
_DT, _GRAVITY = 0.05, 10.0
_MASS = _LENGTH = 1.0


class PendulumMembers(Members):
    """B pendulums of Gymnasium's `PendulumEnv`, which begin where it does with the same seeds.

    Args:
        num_envs: Members B.
    """

    def __init__(self, num_envs: int) -> None:
        high = np.array([1.0, 1.0, _MAX_SPEED], np.float32)
        self.observation_space = gymnasium.spaces.Box(-high, high, dtype=np.float32)
        self.action_space = gymnasium.spaces.Box(-_MAX_TORQUE, _MAX_TORQUE, (1,), np.float32)
        self._angle, self._speed = np.zeros(num_envs), np.zeros(num_envs)

    def begin(self, seeds: Mapping[int, int], observations: NDArray[np.float32]) -> None:
        """See `Members.begin`."""
        high = np.array([DEFAULT_X, DEFAULT_Y])
        for member, seed in seeds.items():
            self._angle[member], self._speed[member] = np_random(seed)[0].uniform(-high, high)
        members = list(seeds)
        observations[members] = self._shown(members)

    def step(
        self,
        actions: NDArray[Any],
        observations: NDArray[np.float32],
        rewards: NDArray[np.float64],
        terminated: NDArray[np.bool_],
        truncated: NDArray[np.bool_],
    ) -> None:
        """See `Members.step`: semi-implicit Euler, and the cost of the state before."""
        torque, angle, speed = actions[:, 0], self._angle, self._speed
        centred = (angle + np.pi) % (2 * np.pi) - np.pi
        rewards[...] = -(centred**2 + 0.1 * speed**2 + 0.001 * torque**2)
        pull = 3 * _GRAVITY / (2 * _LENGTH) * np.sin(angle) + 3.0 / (_MASS * _LENGTH**2) * torque
        self._speed = np.clip(speed + pull * _DT, -_MAX_SPEED, _MAX_SPEED)
        self._angle = angle + self._speed * _DT
        observations[...] = self._shown(slice(None))
        terminated[...] = truncated[...] = False

    def state_dict(self) -> dict[str, Any]:
        """Angles and angular velocities, (B,) float64."""
        return {"angle": self._angle.copy(), "speed": self._speed.copy()}

    def load_state_dict(self, state: Mapping[str, Any], seeds: Sequence[int]) -> None:
        """See `Members.load_state_dict`."""
        what = "environment humanoid"
        parts = restored_parts(state, ("angle", "speed"), what)
        shape = self._angle.shape
        angle = restored_array(parts["angle"], np.float64, shape, f"{what}: angle", low=-1e6, high=1e6)
        speed = restored_array(parts["speed"], np.float64, shape, f"{what}: speed", low=-_MAX_SPEED, high=_MAX_SPEED)
        self._angle, self._speed = angle.copy(), speed.copy()

    def close(self) -> None:
        """There is nothing to close."""

    def _shown(self, members: Any) -> NDArray[np.float64]:
        angle = self._angle[members]
        return np.stack([np.cos(angle), np.sin(angle), self._speed[members]], axis=-1)
