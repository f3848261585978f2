"""What every agent for discrete actions must do, and a trivial task to show it on.

from qecforge.testing.agents import AgentContract

class TestMyAgent(AgentContract):
    spec = my_spec                      # qecforge.hookspecs.AgentSpec
    settings = {"total_steps": 20_000}  # a configuration that learns the identity task within seconds
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from qecforge.contracts.agent import Agent, TrainingBatch
from qecforge.contracts.environment import Environment, StepBuffers, group_size, refuse_unknown_options
from qecforge.contracts.policy import Policy
from qecforge.errors import CheckpointError, ConfigurationError
from qecforge.testing._agents import (
    AgentCases,
    assert_equal_weights,
    assert_randomness_is_given,
)
from qecforge.testing.checks.views import check_view
from qecforge.testing.contexts import RecordingContext

__all__ = ["AgentContract", "IdentityEnvironment"]


class IdentityEnvironment(Environment):
    """Reward 1 for naming the one bit that is set in the observation, else 0.

    Every member draws its own targets, by counting: the same whatever the number of members. Those of a group
    (`reset(options={"group_size": G})`) draw the same ones and start together.

    Args:
        num_envs: Members B.
        num_actions: N; observations are (B, N) uint8, one bit set.
        masked: Some wrong actions are forbidden at each step; choosing one raises `ConfigurationError`.
        episode_length: Steps of an episode; the first one of member b, or of group b, is b % episode_length shorter.
        truncates: Episodes are cut off by time (`truncated`, with `final_obs`) rather than `terminated`.
        start: First action's number.
    """

    can_peek = True

    def __init__(
        self,
        num_envs: int = 8,
        *,
        num_actions: int = 5,
        masked: bool = False,
        episode_length: int = 10,
        truncates: bool = False,
        start: int = 0,
    ) -> None:
        self.num_envs = num_envs
        self.masked, self.episode_length, self.truncates = masked, episode_length, truncates
        self.single_observation_space = gymnasium.spaces.MultiBinary(num_actions)
        self.single_action_space = gymnasium.spaces.Discrete(num_actions, start=start)
        self.observation_space = gymnasium.vector.utils.batch_space(self.single_observation_space, num_envs)
        self.action_space = gymnasium.vector.utils.batch_space(self.single_action_space, num_envs)
        self._actions, self._first = num_actions, start
        self._group_size = 1
        self._seed = 0
        self._counter = 0
        self._elapsed = np.zeros(num_envs, np.int64)
        self._return = np.zeros(num_envs)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None, out: StepBuffers | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Start every member anew."""
        refuse_unknown_options(options or {}, "IdentityEnvironment", "group_size")
        self._group_size = group_size(options or {}, self.num_envs, "IdentityEnvironment")
        if seed is not None:
            self._seed = seed
        self._counter = 0
        self._elapsed = np.arange(self.num_envs) // self._group_size % self.episode_length
        self._return = np.zeros(self.num_envs)
        return self._show(out, {})

    def step(
        self, actions: Any, out: StepBuffers | None = None
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Score the actions and draw the next targets."""
        chosen = np.asarray(actions) - self._first
        if self.masked and not self._mask()[np.arange(self.num_envs), chosen].all():
            raise ConfigurationError("IdentityEnvironment: a masked action was taken: follow the action mask")
        rewards = (chosen == self._targets()).astype(np.float32)
        self._elapsed += 1
        self._return += rewards
        ended = self._elapsed >= self.episode_length
        never = np.zeros(self.num_envs, np.bool_)
        terminated, truncated = (never, ended) if self.truncates else (ended, never)
        infos: dict[str, Any] = {"episode_return": self._return.copy(), "episode_length": self._elapsed.copy()}
        if truncated.any():
            infos["final_obs"] = self._observations(self._targets())
        self._return[ended] = 0.0
        self._elapsed[ended] = 0
        self._counter += 1
        if out is not None:
            out.rewards[...], out.terminated[...], out.truncated[...] = rewards, terminated, truncated
            rewards, terminated, truncated = out.rewards, out.terminated, out.truncated
        observations, infos = self._show(out, infos)
        return observations, rewards, terminated, truncated, infos

    def state_dict(self) -> dict[str, Any]:
        """Seed, groups, count, and each member's episode so far."""
        return {
            "seed": self._seed,
            "group_size": self._group_size,
            "counter": self._counter,
            "elapsed": self._elapsed.copy(),
            "return": self._return.copy(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`."""
        if len(state["elapsed"]) != self.num_envs:
            raise CheckpointError(
                f"IdentityEnvironment: the checkpoint has {len(state['elapsed'])} members, expected {self.num_envs}"
            )
        self._seed, self._counter = int(state["seed"]), int(state["counter"])
        self._group_size = int(state["group_size"])
        self._elapsed, self._return = np.array(state["elapsed"]), np.array(state["return"])

    def compact_states(self) -> NDArray[Any]:
        """(B,) targets."""
        return self._targets()

    def peek(self, actions: NDArray[Any], states: NDArray[Any] | None = None) -> dict[str, NDArray[np.float64]]:
        """The reward that each candidate would bring."""
        targets = self._targets() if states is None else states
        rewards = (np.asarray(actions) - self._first == targets[:, None]).astype(np.float64)
        return {"reward": rewards, "now_reward": np.zeros(len(targets))}

    def _targets(self) -> NDArray[np.int64]:
        targets: NDArray[np.int64] = (self._hash(0) % np.uint64(self._actions)).astype(np.int64)
        return targets

    def _mask(self) -> NDArray[np.bool_]:
        bits = self._hash(1)[:, None] >> np.arange(self._actions, dtype=np.uint64)
        mask: NDArray[np.bool_] = (bits & np.uint64(1)).astype(np.bool_)
        mask[np.arange(self.num_envs), self._targets()] = True
        return mask

    def _hash(self, stream: int) -> NDArray[np.uint64]:
        """A well-mixed word of (seed, group, count, stream) for each member (the finalizer of splitmix64)."""
        groups = np.arange(self.num_envs, dtype=np.uint64) // np.uint64(self._group_size)
        key = np.uint64((self._seed * 0x9E3779B97F4A7C15 + self._counter * 2 + stream) % 2**64)
        with np.errstate(over="ignore"):
            word = key + (groups + np.uint64(1)) * np.uint64(0xD1342543DE82EF95)
            for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
                word = (word ^ (word >> np.uint64(shift))) * np.uint64(factor)
            mixed: NDArray[np.uint64] = word ^ (word >> np.uint64(31))
        return mixed

    def _observations(self, targets: NDArray[np.int64]) -> NDArray[np.int8]:
        observations = np.zeros((self.num_envs, self._actions), self.single_observation_space.dtype)
        observations[np.arange(self.num_envs), targets] = 1
        return observations

    def _show(self, out: StepBuffers | None, infos: dict[str, Any]) -> tuple[NDArray[Any], dict[str, Any]]:
        observations: NDArray[Any] = self._observations(self._targets())
        if self.masked:
            infos["action_mask"] = self._mask()
        if out is not None:
            out.observations[...] = observations
            observations = out.observations
            if self.masked and out.action_mask is not None:
                out.action_mask[...] = infos["action_mask"]
                infos["action_mask"] = out.action_mask
        return observations, infos


class _PullTowardsFirstAction:
    """An `ExtraLoss`: the cross entropy of action 0. Counts its calls."""

    needs_states = True

    def __init__(self) -> None:
        self.batches: list[TrainingBatch] = []

    def __call__(self, batch: TrainingBatch) -> torch.Tensor:
        self.batches.append(batch)
        return -10.0 * batch.logits.log_softmax(-1)[:, 0].mean()


class _GrowingPull(_PullTowardsFirstAction):
    """The same, heavier with every call: what it has counted so far must survive a checkpoint."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def __call__(self, batch: TrainingBatch) -> torch.Tensor:
        self.calls += 1
        return 0.01 * self.calls * super().__call__(batch)

    def state_dict(self) -> dict[str, Any]:
        return {"calls": self.calls}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.calls = int(state["calls"])

    @property
    def metrics(self) -> dict[str, float]:
        return {"calls": float(self.calls)}


class AgentContract(AgentCases):
    """Runs as a pytest class: subclass it, set `spec` and `settings`.

    Attributes:
        spec: The agent.
        settings: A configuration that learns `IdentityEnvironment` within seconds, in at least four iterations.
        clock_prefix: Metrics with this prefix may differ between equal runs (clock times).
        trains_further: Whether the agent takes `policy` and `extra_loss`.
    """

    def task(self, num_envs: int, **kind: Any) -> IdentityEnvironment:
        """The identity task."""
        return IdentityEnvironment(num_envs, **kind)

    def train(
        self, *, masked: bool = False, seed: int = 0, stop_after: int | None = None, **options: Any
    ) -> tuple[Policy, RecordingContext]:
        """A fresh training on the identity task."""
        return self.finish(kind={"masked": masked}, seed=seed, stop_after=stop_after, given=options)

    def test_spec(self) -> None:
        """The spec names a discrete agent whose settings are valid, and every setting is described."""
        assert "discrete" in self.spec.trains_on
        assert isinstance(self.make(), Agent)
        for name, field in self.spec.config.model_fields.items():
            assert field.description, f"{name} has no description"

    def test_view(self) -> None:
        """See `qecforge.testing.checks.views.check_view`."""
        check_view(self.spec.view)

    @pytest.mark.parametrize("masked", [False, True])
    def test_learns_the_identity_task(self, masked: bool) -> None:
        """The policy names the bit that is set, masked or not; a forbidden action would have raised."""
        policy, _ = self.train(masked=masked)
        env = IdentityEnvironment(200, masked=masked)
        observations, infos = env.reset(seed=7)
        rng = np.random.default_rng(7)
        _, rewards, *_ = env.step(policy.act(observations, action_mask=infos.get("action_mask"), rng=rng))
        assert rewards.mean() > 0.9

    @pytest.mark.parametrize("after", [1, 2, 3])
    @pytest.mark.parametrize("masked", [False, True])
    def test_resumed_equals_uninterrupted(self, after: int, masked: bool) -> None:
        """See `AgentTrainings.check_resumed_to_the_bit`."""
        self.check_resumed_to_the_bit(after, masked=masked)

    @pytest.mark.parametrize("masked", [False, True])
    def test_goes_on_with_new_episodes(self, masked: bool) -> None:
        """See `AgentTrainings.check_resumed_with_new_episodes`. An action chosen by an earlier mask would raise."""
        self.check_resumed_with_new_episodes(masked=masked)

    def test_policy_is_saved_and_loaded(self) -> None:
        """Weights in an untrained policy give the same actions; foreign weights are refused."""
        policy, context = self.train(stop_after=2)
        copy = self.make().build_policy(context.env)
        copy.load_state_dict({name: tensor.clone() for name, tensor in policy.state_dict().items()})
        observations = np.eye(5, dtype=np.int8)
        for deterministic in (True, False):
            ours = policy.act(observations, deterministic=deterministic, rng=np.random.default_rng(1))
            theirs = copy.act(observations, deterministic=deterministic, rng=np.random.default_rng(1))
            np.testing.assert_array_equal(ours, theirs)
        with pytest.raises(CheckpointError):
            copy.load_state_dict({"foreign": torch.zeros(1)})

    def test_policy_draws_from_the_generator_alone(self) -> None:
        """The same generator, the same actions, deterministic or not; a missing one is named."""
        policy, _ = self.train(stop_after=2)
        assert_randomness_is_given(policy, np.eye(5, dtype=np.int8))

    def test_policy_follows_the_mask(self) -> None:
        """No forbidden action, likeliest or drawn."""
        policy, _ = self.train(stop_after=1)
        rng = np.random.default_rng(0)
        mask = rng.random((400, 5)) < 0.4
        mask[np.arange(400), rng.integers(5, size=400)] = True
        observations = rng.integers(0, 2, (400, 5)).astype(np.int8)
        for deterministic in (True, False):
            actions = policy.act(observations, action_mask=mask, deterministic=deterministic, rng=rng)
            assert mask[np.arange(400), actions].all()

    def test_extra_loss_joins_the_objective(self) -> None:
        """It sees logits with gradient, what was done, the states it asked for, and it moves the policy."""
        if not self.trains_further:
            pytest.skip("the agent takes no extra loss")
        extra = _PullTowardsFirstAction()
        pulled, _ = self.train(stop_after=4, extra_loss=extra)
        plain, _ = self.train(stop_after=4)
        assert extra.batches
        for batch in extra.batches:
            assert batch.logits.requires_grad
            assert batch.logits.shape == (len(batch.observations), 5)
            assert batch.actions.shape == (len(batch.observations),)
            assert batch.states is not None
            np.testing.assert_array_equal(batch.observations.cpu().numpy().argmax(-1), batch.states)
            assert 0.0 <= batch.progress <= 1.0
        observations = np.repeat(np.eye(5, dtype=np.int8), 200, axis=0)

        def share(policy: Policy) -> float:
            actions = policy.act(observations, deterministic=False, rng=np.random.default_rng(0))
            return float((actions == 0).mean())

        assert share(pulled) > share(plain) + 0.1

    def test_the_state_of_an_extra_loss_is_kept(self) -> None:
        """Interrupted and resumed with a new loss object, whose state comes from the checkpoint: the same weights."""
        if not self.trains_further:
            pytest.skip("the agent takes no extra loss")
        whole, _ = self.train(seed=5, stop_after=4, extra_loss=_GrowingPull())
        checkpoint = self.interrupted(2, kind={}, given={"extra_loss": _GrowingPull()})
        loss = _GrowingPull()
        given = {"extra_loss": loss}
        resumed, _ = self.finish(kind={}, seed=5, checkpoint=checkpoint, stop_after=3, given=given)
        assert_equal_weights(whole, resumed)
        assert loss.calls > len(loss.batches)

    def test_the_metrics_of_an_extra_loss_are_logged(self) -> None:
        """As `quantizer/NAME`, from the first iteration on."""
        if not self.trains_further:
            pytest.skip("the agent takes no extra loss")
        loss = _GrowingPull()
        _, context = self.train(stop_after=4, extra_loss=loss)
        logged = context.metrics["quantizer/calls"]
        assert logged == sorted(logged)
        assert len(logged) >= 3
        assert logged[-1] == loss.calls
        _, plain = self.train(stop_after=4)
        assert not any(name.startswith("quantizer/") for name in plain.metrics)
