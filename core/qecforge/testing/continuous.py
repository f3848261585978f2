"""What every agent for continuous actions must do, and a trivial task to show it on.

from qecforge.testing.continuous import ContinuousAgentContract

class TestMyAgent(ContinuousAgentContract):
    spec = my_spec                      # qecforge.hookspecs.AgentSpec
    settings = {"total_steps": 20_000}  # a configuration that learns to steer the point within seconds
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from qecforge.contracts.agent import Agent
from qecforge.contracts.environment import Environment, StepBuffers, refuse_unknown_options
from qecforge.contracts.policy import Policy
from qecforge.errors import CheckpointError, ConfigurationError
from qecforge.testing._agents import (
    AgentCases,
    assert_randomness_is_given,
)
from qecforge.testing.contexts import RecordingContext

__all__ = ["ContinuousAgentContract", "PointEnvironment"]

_LOW, _HIGH = np.array([-0.5, -1.0], np.float32), np.array([1.0, 0.5], np.float32)


class PointEnvironment(Environment):
    """A point in the plane that is blown about and pushed back: x' = x + action + noise, reward -|x'|^2.

    An action is a push, from -0.5 to 1 along the first axis and from -1 to 0.5 along the second: bounds that are not
    symmetric, and not the same. Observations are the point, (B, 2) float32, held inside the square from -2 to 2, from
    whose inner half it starts. All that is random is a function of the seed and of how many steps were made.

    Args:
        num_envs: Members B.
        episode_length: Steps of an episode; member b's first one is b % episode_length shorter.
        truncates: Episodes are cut off by time (`truncated`, with `final_obs`) rather than `terminated`.
        noise: Standard deviation of the wind along each axis.
    """

    def __init__(
        self, num_envs: int = 8, *, episode_length: int = 10, truncates: bool = True, noise: float = 0.05
    ) -> None:
        self.num_envs = num_envs
        self.episode_length, self.truncates, self.noise = episode_length, truncates, noise
        self.single_observation_space = gymnasium.spaces.Box(-2.0, 2.0, (2,), np.float32)
        self.single_action_space = gymnasium.spaces.Box(_LOW, _HIGH, dtype=np.float32)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._seed = self._steps = 0
        self._point = np.zeros((num_envs, 2), np.float32)
        self._length = np.zeros(num_envs, np.int64)
        self._limit = np.full(num_envs, episode_length)
        self._return = np.zeros(num_envs)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None, out: StepBuffers | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Put every point somewhere. There are no options."""
        refuse_unknown_options(options or {}, "the environment of the contract")
        if seed is not None:
            self._seed = seed
        self._steps = 0
        self._point = self._starts(self._rng())
        self._length = np.zeros(self.num_envs, np.int64)
        self._limit = self.episode_length - np.arange(self.num_envs) % self.episode_length
        self._return = np.zeros(self.num_envs)
        return self._observe(out), {}

    def step(
        self, actions: Any, out: StepBuffers | None = None
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Push every point. Raises `ConfigurationError` for pushes of another shape, out of bounds or not finite."""
        pushes = self._checked(actions)
        self._steps += 1
        rng = self._rng()
        wind = self.noise * rng.standard_normal((self.num_envs, 2))
        self._point = np.clip(self._point + pushes + wind, -2.0, 2.0).astype(np.float32)
        rewards = -np.square(self._point).sum(1)
        self._length += 1
        self._return += rewards
        ended = self._length >= self._limit
        never = np.zeros(self.num_envs, np.bool_)
        terminated, truncated = (never, ended) if self.truncates else (ended, never)
        infos: dict[str, Any] = {"episode_return": self._return.copy(), "episode_length": self._length.copy()}
        if truncated.any():
            infos["final_obs"] = self._point.copy()
        self._point[ended] = self._starts(rng)[ended]
        self._length[ended], self._return[ended], self._limit[ended] = 0, 0.0, self.episode_length
        if out is not None:
            out.rewards[...], out.terminated[...], out.truncated[...] = rewards, terminated, truncated
            rewards, terminated, truncated = out.rewards, out.terminated, out.truncated
        return self._observe(out), rewards, terminated, truncated, infos

    def state_dict(self) -> dict[str, Any]:
        """Seed and steps, and each member's point and episode so far."""
        return {
            "seed": self._seed,
            "steps": self._steps,
            "point": self._point.copy(),
            "length": self._length.copy(),
            "limit": self._limit.copy(),
            "return": self._return.copy(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`."""
        if len(state["point"]) != self.num_envs:
            raise CheckpointError(
                f"PointEnvironment: the checkpoint has {len(state['point'])} members, expected {self.num_envs}"
            )
        self._seed, self._steps = int(state["seed"]), int(state["steps"])
        self._point, self._return = np.array(state["point"]), np.array(state["return"])
        self._length, self._limit = np.array(state["length"]), np.array(state["limit"])

    def _checked(self, actions: Any) -> NDArray[np.float64]:
        pushes = np.asarray(actions, np.float64)
        fits = pushes.shape == (self.num_envs, 2)
        if not fits or not ((pushes >= _LOW) & (pushes <= _HIGH)).all():
            raise ConfigurationError(
                f"PointEnvironment: got actions {pushes.tolist()}, expected {self.num_envs} pairs from "
                f"{_LOW.tolist()} to {_HIGH.tolist()}: keep to the bounds of the action space"
            )
        return pushes

    def _rng(self) -> np.random.Generator:
        return np.random.default_rng([self._seed, self._steps])

    def _starts(self, rng: np.random.Generator) -> NDArray[np.float32]:
        return rng.uniform(-1.0, 1.0, (self.num_envs, 2)).astype(np.float32)

    def _observe(self, out: StepBuffers | None) -> NDArray[Any]:
        if out is None:
            return self._point.copy()
        out.observations[...] = self._point
        return out.observations


class ContinuousAgentContract(AgentCases):
    """Runs as a pytest class: subclass it, set `spec` and `settings`.

    Attributes:
        spec: The agent.
        settings: A configuration that learns to steer the point of `PointEnvironment` within seconds, in at least four
            iterations.
        clock_prefix: Metrics with this prefix may differ between equal runs (clock times).
        trains_further: Whether the agent takes a given `policy`.
    """

    def task(self, num_envs: int, **kind: Any) -> PointEnvironment:
        """The point. An action out of bounds would raise."""
        return PointEnvironment(num_envs, **kind)

    def train(
        self, *, truncates: bool = True, seed: int = 0, stop_after: int | None = None, **options: Any
    ) -> tuple[Policy, RecordingContext]:
        """A fresh training on the point."""
        return self.finish(kind={"truncates": truncates}, seed=seed, stop_after=stop_after, given=options)

    def test_spec(self) -> None:
        """The spec names a continuous agent whose settings are valid, and every setting is described."""
        assert "continuous" in self.spec.trains_on
        assert isinstance(self.make(), Agent)
        for name, field in self.spec.config.model_fields.items():
            assert field.description, f"{name} has no description"

    @pytest.mark.parametrize("truncates", [True, False])
    def test_learns_to_steer_the_point(self, truncates: bool) -> None:
        """Of what a point costs that nobody pushes, less than a fifth is left, whether episodes are cut off by time or
        end."""
        policy, _ = self.train(truncates=truncates)
        assert _cost(policy) < 0.2 * _cost(None)

    @pytest.mark.parametrize("after", [1, 2, 3])
    @pytest.mark.parametrize("truncates", [True, False])
    def test_resumed_equals_uninterrupted(self, after: int, truncates: bool) -> None:
        """See `AgentTrainings.check_resumed_to_the_bit`."""
        self.check_resumed_to_the_bit(after, truncates=truncates)

    @pytest.mark.parametrize("truncates", [True, False])
    def test_goes_on_with_new_episodes(self, truncates: bool) -> None:
        """See `AgentTrainings.check_resumed_with_new_episodes`."""
        self.check_resumed_with_new_episodes(truncates=truncates)

    def test_policy_is_saved_and_loaded(self) -> None:
        """Weights in an untrained policy give the same actions; foreign weights are refused."""
        policy, context = self.train(stop_after=2)
        copy = self.make().build_policy(context.env)
        copy.load_state_dict({name: tensor.clone() for name, tensor in policy.state_dict().items()})
        observations = _observations(50)
        for deterministic in (True, False):
            ours, theirs = (
                each.act(observations, deterministic=deterministic, rng=np.random.default_rng(1))
                for each in (policy, copy)
            )
            np.testing.assert_array_equal(ours, theirs)
        with pytest.raises(CheckpointError):
            copy.load_state_dict({"foreign": torch.zeros(1)})

    def test_actions_lie_within_the_bounds(self) -> None:
        """For points far out too, where a push would go beyond them: likeliest or drawn, of the space's shape and
        type."""
        policy, context = self.train(stop_after=2)
        space = context.env.single_action_space
        rng = np.random.default_rng(3)
        for deterministic in (True, False):
            actions = policy.act(_observations(400), deterministic=deterministic, rng=rng)
            assert actions.shape == (400, 2)
            assert actions.dtype == space.dtype
            assert all(space.contains(action) for action in actions), "an action is out of bounds, or not finite"

    def test_policy_draws_from_the_generator_alone(self) -> None:
        """The same generator, the same actions, deterministic or not; a missing one is named."""
        policy, _ = self.train(stop_after=2)
        assert_randomness_is_given(policy, _observations(50))


def _observations(count: int) -> NDArray[np.float32]:
    """(count, 2) points of the whole square, its corners among them."""
    points = np.random.default_rng(0).uniform(-2.0, 2.0, (count, 2)).astype(np.float32)
    points[:4] = [[-2, -2], [-2, 2], [2, -2], [2, 2]]
    return points


def _cost(policy: Policy | None) -> float:
    """Mean cost of a step over ten episodes of 64 points, pushed by the policy or not at all."""
    env = PointEnvironment(64)
    rng = np.random.default_rng(11)
    observations, _ = env.reset(seed=11)
    total = 0.0
    for _ in range(100):
        actions = np.zeros((64, 2), np.float32) if policy is None else policy.act(observations, rng=rng)
        observations, rewards, *_ = env.step(actions)
        total -= float(rewards.mean())
    return total / 100
