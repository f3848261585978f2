"""What the environments of this plugin share: a clock, candidates of parameters, and buffers that are checked."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from qecforge.contracts import ParameterEnvironment, PluginConfig, Reward, StepBuffers, refuse_unknown_options
from qecforge.errors import CheckpointError, ConfigurationError
from qecforge.learning.restoring import restored_int, restored_parts, restoring
from qecforge_surface_steering.engines import _kernels

__all__ = ["ClockedEnvironment"]


class ClockedEnvironment(ParameterEnvironment):
    """Everything random is a function of the seed, of how often `reset` was called without one, and of the epoch.

    Args:
        config: Of the plugin.
        num_envs: K candidates, 1 or more.
        reward: None: these environments bring their own.
        horizon: Epochs that the observation counts to.
    """

    plugin: ClassVar[str]
    reward_of_its_own: ClassVar[str]

    def __init__(self, config: PluginConfig, *, num_envs: int, reward: Reward | None, horizon: int) -> None:
        if num_envs < 1:
            raise ConfigurationError(f"num_envs is {num_envs}: give 1 or more candidates")
        if reward is not None:
            raise ConfigurationError(f"{self.plugin} brings its own reward, {self.reward_of_its_own}: leave reward out")
        self.num_envs = num_envs
        self._dumped, self._horizon = config.model_dump_json(), horizon

    @abstractmethod
    def _new_device(self, seed: int) -> None:
        """Make what a seed decides; calls `_start_clock`."""

    @abstractmethod
    def _check_epoch(self, epoch: int) -> None:
        """Raises `ConfigurationError` where the clock cannot start there."""

    @abstractmethod
    def _measure(self, x: NDArray[Any], rewards: NDArray[np.float32]) -> dict[str, float]:
        """Score (K, P) candidates in the present epoch, into (K, m) or (K,); gives `infos`."""

    def _start_clock(self, seed: int) -> None:
        self._seed, self._resets, self._epoch = seed, 0, 0

    def _make_spaces(self, objectives: int, *, vector: bool) -> None:
        """Of `parameter_names`, and of rewards between -1 and 0; last, since they take memory."""
        self._reward_shape = (self.num_envs, objectives) if vector else (self.num_envs,)
        self.single_observation_space = gymnasium.spaces.Box(0, 1, (1,), np.float32)
        self.single_action_space = gymnasium.spaces.Box(-np.inf, np.inf, (len(self.parameter_names),), np.float32)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.reward_space = gymnasium.spaces.Box(-1, 0, (objectives if vector else 1,), np.float32)

    @property
    def epoch(self) -> int:
        """Epochs since the clock started: the number of the one that the next step measures."""
        return self._epoch

    def reset(
        self,
        *,
        seed: int | None = None,
        options: dict[str, Any] | None = None,
        out: StepBuffers | None = None,
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Start the clock anew.

        Args:
            seed: Draws the device (where the configuration has no `device_seed`) and all noise from it. Without one the
                device stays, and the noise is new.
            options: `{"epoch": t}` starts at epoch t instead of 0.
            out: As in `Environment.reset`.

        Raises:
            ConfigurationError: An unknown option, or an epoch below 0 or after the end of a drift table.
        """
        start = self._start_epoch(options or {})
        observations = self._observation_buffer(out)
        if seed is None:
            self._resets += 1
        elif seed == self._seed:
            self._resets = 0
        else:
            self._new_device(seed)
        self._check_epoch(start)
        self._epoch = start
        observations[...] = self._time()
        return observations, {}

    def step(
        self, actions: Any, out: StepBuffers | None = None
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Measure every candidate in one epoch.

        Args:
            actions: (K, P) float32 or float64.
            out: As in `Environment.step`.

        Returns:
            Observations (K, 1) float32: epoch / horizon, 1 after it. Rewards (K, m) float32, or (K,) where they are
            scalar. `terminated`, `truncated`: False. `infos`: floats, `cost` among them.

        Raises:
            ConfigurationError: Actions of another shape or kind, not finite or too large, or a drift table that has
                ended; nothing has changed then.
        """
        x = self._checked(actions)
        observations, rewards, terminated, truncated = self._buffers(out)
        infos = self._measure(x, rewards)
        self._epoch += 1
        observations[...] = self._time()
        terminated[...] = truncated[...] = False
        return observations, rewards, terminated, truncated, infos

    def state_dict(self) -> dict[str, Any]:
        """Seed, resets and epoch: all else follows from them."""
        return {
            "fingerprint": self._fingerprint(),
            "seed": str(self._seed),
            "resets": self._resets,
            "epoch": self._epoch,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`.

        Raises:
            CheckpointError: It comes from another configuration or number of candidates.
        """
        state = restored_parts(state, ("fingerprint", "seed", "resets", "epoch"), self.plugin)
        if state["fingerprint"] != self._fingerprint():
            raise CheckpointError(
                f"this state of {self.plugin} comes from another configuration or number of candidates: "
                "load it into an environment made like the one that saved it"
            )
        seed = restored_int(state["seed"], f"{self.plugin}: seed", high=2**128)
        resets = restored_int(state["resets"], f"{self.plugin}: resets")
        epoch = restored_int(state["epoch"], f"{self.plugin}: epoch")
        with restoring(self.plugin):
            self._check_epoch(epoch)
        if seed != self._seed:
            self._new_device(seed)
        self._resets, self._epoch = resets, epoch

    def _key(self, *purpose: int) -> np.uint64:
        """What the random numbers of the present epoch are drawn from."""
        return _kernels.stream_key(self._seed, self._resets, self._epoch, *purpose)

    def _fingerprint(self) -> str:
        return hashlib.sha256(f"{self.num_envs} {self._dumped}".encode()).hexdigest()

    def _time(self) -> np.float32:
        return np.float32(min(1.0, self._epoch / self._horizon))

    def _start_epoch(self, options: dict[str, Any]) -> int:
        refuse_unknown_options(options, self.plugin, "epoch")
        start = options.get("epoch", 0)
        if not isinstance(start, (int, np.integer)) or start < 0:
            raise ConfigurationError(f"option 'epoch': {start!r} is no epoch: give an integer from 0")
        return int(start)

    def _checked(self, actions: Any) -> NDArray[Any]:
        array = np.asarray(actions)
        shape = (self.num_envs, len(self.parameter_names))
        if array.shape != shape or array.dtype not in (np.float32, np.float64):
            raise ConfigurationError(
                f"actions are {array.dtype} of shape {array.shape}: give float32 or float64 of shape {shape}"
            )
        return array

    def _observation_buffer(self, out: StepBuffers | None) -> NDArray[Any]:
        if out is None:
            return np.empty((self.num_envs, 1), np.float32)
        return _fitting("observations", out.observations, (self.num_envs, 1), np.float32)

    def _buffers(self, out: StepBuffers | None) -> tuple[NDArray[Any], ...]:
        """Observations, rewards, terminated, truncated: of `out`, checked, or fresh ones."""
        K, shape = self.num_envs, self._reward_shape
        observations = self._observation_buffer(out)
        if out is None:
            return observations, np.empty(shape, np.float32), np.empty(K, np.bool_), np.empty(K, np.bool_)
        return (
            observations,
            _fitting("rewards", out.rewards, shape, np.float32),
            _fitting("terminated", out.terminated, (K,), np.bool_),
            _fitting("truncated", out.truncated, (K,), np.bool_),
        )


def _fitting(name: str, array: NDArray[Any], shape: tuple[int, ...], dtype: type) -> NDArray[Any]:
    if array.shape != shape or array.dtype != dtype or not array.flags.c_contiguous:
        raise ConfigurationError(
            f"out.{name} is {array.dtype} of shape {array.shape}: "
            f"give a C-contiguous {np.dtype(dtype)} array of shape {shape}"
        )
    return array
