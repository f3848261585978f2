"""A small environment of parameters whose gradients are known, and what every agent for parameters must do.

from qecforge.testing.parameters import ParameterAgentContract

class TestMyAgent(ParameterAgentContract):
    spec = my_spec                       # qecforge.hookspecs.AgentSpec
    settings = {"total_epochs": 300}     # a configuration that calibrates `QuadraticEnvironment` within seconds
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from qecforge.contracts.agent import Agent
from qecforge.contracts.environment import ParameterEnvironment, StepBuffers, refuse_unknown_options
from qecforge.contracts.metrics import COST, TRUE_COST
from qecforge.contracts.parameters.factor_graph import FactorGraph
from qecforge.contracts.policy import Policy
from qecforge.errors import CheckpointError
from qecforge.parameters import GaussianParameters, ParameterAgentConfig
from qecforge.testing._agents import AgentTrainings, assert_equal_weights, assert_randomness_is_given, weights_differ
from qecforge.testing.checks.views import check_view
from qecforge.testing.contexts import RecordingContext

__all__ = ["ParameterAgentContract", "QuadraticEnvironment", "ring_graph"]


def ring_graph(gates: int, per_gate: int, reach: int, weight: float = 1.0) -> FactorGraph:
    """Objective j of as many as gates knows of the gates j .. j + reach - 1 around a ring; a gate's parameters are a
    group, and all weights alike."""
    rows = [sorted({(j + step) % gates for step in range(reach)}) for j in range(gates)]
    return FactorGraph(
        indptr=np.concatenate([[0], np.cumsum([len(row) for row in rows])]),
        indices=np.concatenate(rows),
        num_objectives=gates,
        num_parameters=gates * per_gate,
        group=np.repeat(np.arange(gates), per_gate),
        num_groups=gates,
        weights=np.full(sum(map(len, rows)), weight),
    )


class QuadraticEnvironment(ParameterEnvironment):
    """Rates that grow with the square of each parameter's distance from an optimum, which may move.

    Objective j has the rate D_j = floor + curvature sum_g mean_i ((x_gi - x*_gi) / scale)^2 over the gates g that it
    knows of, and the reward -D_j plus normal noise. Optima lie a deviation of `offset` scales from where control
    starts; drift adds `amplitude` scales times sin(2 pi frequency epoch).

    Args:
        num_envs: Candidates K.
        gates, per_gate, reach: See `ring_graph`.
        noise: Standard deviation of an objective's reward.
        scalar: The reward is the objectives' mean, and there is no factor graph.
        seed: Decides optima, and noise after `reset(seed=None)`.
    """

    floor, curvature, horizon = 0.02, 0.01, 1000

    def __init__(
        self,
        num_envs: int = 40,
        *,
        gates: int = 8,
        per_gate: int = 2,
        reach: int = 3,
        noise: float = 0.002,
        offset: float = 1.0,
        amplitude: float = 0.0,
        frequency: float = 0.0,
        scalar: bool = False,
        seed: int = 0,
    ) -> None:
        P = gates * per_gate
        rng = np.random.default_rng(seed)
        self.num_envs = num_envs
        self.parameter_names = [f"gate{g}[{i}]" for g in range(gates) for i in range(per_gate)]
        self.initial_parameters = rng.normal(size=P)
        self.exploration_scale = np.exp(rng.normal(size=P))
        self.optimum = self.initial_parameters + offset * self.exploration_scale * rng.normal(size=P)
        self.graph = ring_graph(gates, per_gate, reach, self.curvature / per_gate)
        self.factor_graph = None if scalar else self.graph
        self.reward_space = gymnasium.spaces.Box(-np.inf, np.inf, (1 if scalar else gates,), np.float32)
        self.single_observation_space = gymnasium.spaces.Box(0.0, 1.0, (1,), np.float32)
        self.single_action_space = gymnasium.spaces.Box(-np.inf, np.inf, (P,), np.float32)
        self.observation_space = gymnasium.vector.utils.batch_space(self.single_observation_space, num_envs)
        self.action_space = gymnasium.vector.utils.batch_space(self.single_action_space, num_envs)
        self.noise, self.amplitude, self.frequency, self.scalar = noise, amplitude, frequency, scalar
        self._per_gate, self._connected = per_gate, self.graph.dense()[:, ::per_gate].astype(np.float64)
        self._seed, self._epoch = seed, 0

    def optimum_at(self, epoch: int) -> NDArray[np.float64]:
        """(P,) the best parameters."""
        drift = self.amplitude * np.sin(2 * np.pi * self.frequency * epoch)
        optimum: NDArray[np.float64] = self.optimum + self.exploration_scale * drift
        return optimum

    def rates(self, parameters: NDArray[Any], epoch: int = 0) -> NDArray[np.float64]:
        """(K, m) the objectives' rates without noise, of candidates (K, P)."""
        away = (np.asarray(parameters, np.float64) - self.optimum_at(epoch)) / self.exploration_scale
        of_gate = np.square(away).reshape(len(away), -1, self._per_gate).mean(-1)
        rates: NDArray[np.float64] = self.floor + self.curvature * of_gate @ self._connected.T
        return rates

    def gradient(self, mean: NDArray[np.float64], epoch: int = 0) -> NDArray[np.float64]:
        """(P,) slope of the *sum* of all rates with respect to the mean of any distribution."""
        away = (mean - self.optimum_at(epoch)) / np.square(self.exploration_scale)
        known_by = np.repeat(self._connected.sum(0), self._per_gate)
        slope: NDArray[np.float64] = 2 * self.curvature / self._per_gate * known_by * away
        return slope

    def assess(self, parameters: NDArray[np.float64]) -> dict[str, float]:
        """`excess`: what the mean rate exceeds its floor by, without noise."""
        return {"excess": float(self.rates(parameters[None], self._epoch).mean() - self.floor)}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None, out: StepBuffers | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Start the clock anew."""
        refuse_unknown_options(options or {}, "the device")
        if seed is not None:
            self._seed = seed
        self._epoch = 0
        return self._observe(out), {}

    def step(
        self, actions: Any, out: StepBuffers | None = None
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Score one epoch's candidates."""
        rates = self.rates(actions, self._epoch)
        rng = np.random.default_rng([self._seed, self._epoch])
        measured = rates + self.noise * rng.standard_normal(rates.shape)
        rewards = (-measured.mean(1) if self.scalar else -measured).astype(np.float32)
        self._epoch += 1
        never = np.zeros(self.num_envs, np.bool_)
        terminated, truncated = never, never.copy()
        if out is not None:
            out.rewards[...], out.terminated[...], out.truncated[...] = rewards, terminated, truncated
            rewards, terminated, truncated = out.rewards, out.terminated, out.truncated
        infos = {COST: float(measured.mean()), TRUE_COST: float(rates.mean())}
        return self._observe(out), rewards, terminated, truncated, infos

    def state_dict(self) -> dict[str, Any]:
        """Seed and clock."""
        return {"seed": self._seed, "epoch": self._epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`."""
        try:
            self._seed, self._epoch = int(state["seed"]), int(state["epoch"])
        except (KeyError, TypeError) as error:
            raise CheckpointError(f"QuadraticEnvironment: the checkpoint has no {error}: restore its own") from error

    def _observe(self, out: StepBuffers | None) -> NDArray[Any]:
        observations = np.full((self.num_envs, 1), min(self._epoch / self.horizon, 1.0), np.float32)
        if out is None:
            return observations
        out.observations[...] = observations
        return out.observations


class ParameterAgentContract(AgentTrainings):
    """Runs as a pytest class: subclass it, set `spec` and `settings`.

    Attributes:
        spec: The agent.
        settings: A configuration that calibrates `QuadraticEnvironment` within seconds, reporting at least four times.
        clock_prefix: Metrics with this prefix may differ between equal runs (clock times).
        scalar: Train on the scalar reward rather than on the vector.
    """

    scalar: ClassVar[bool] = False

    def task(self, num_envs: int, **kind: Any) -> QuadraticEnvironment:
        """What it trains on."""
        return QuadraticEnvironment(num_envs, scalar=self.scalar)

    def environment(self, agent: Agent) -> QuadraticEnvironment:
        """The task, with a member for each candidate."""
        return self.task(agent.num_envs)

    def train(self, *, seed: int = 0, stop_after: int | None = None) -> tuple[Policy, RecordingContext]:
        """A fresh training."""
        return self.finish(kind={}, seed=seed, stop_after=stop_after)

    def test_spec(self) -> None:
        """The spec names an agent for parameters whose settings are valid, and every setting is described."""
        assert "parameters" in self.spec.trains_on
        assert isinstance(self.make(), Agent)
        for name, field in self.spec.config.model_fields.items():
            assert field.description, f"{name} has no description"

    def test_view(self) -> None:
        """See `qecforge.testing.checks.views.check_view`."""
        check_view(self.spec.view)

    def test_calibrates(self) -> None:
        """Of what the rates exceed their floor by at the start, less than a tenth is left."""
        policy, context = self.train()
        env = self.environment(self.make())
        before = env.rates(env.initial_parameters[None]).mean() - env.floor
        after = env.rates(policy.act(np.zeros((1, 1), np.float32), rng=np.random.default_rng(0))).mean() - env.floor
        assert after < 0.1 * before
        assert context.metrics[COST][-1] < context.metrics[COST][0]

    def test_same_seed_same_policy(self) -> None:
        """Two trainings from one seed agree bit for bit, from another seed they do not."""
        first, context = self.train(seed=3, stop_after=3)
        second, again = self.train(seed=3, stop_after=3)
        other, _ = self.train(seed=4, stop_after=3)
        assert_equal_weights(first, second)
        assert self.timeless(context.metrics) == self.timeless(again.metrics)
        assert weights_differ(first, other)

    @pytest.mark.parametrize("after", [1, 2, 3])
    def test_resumed_equals_uninterrupted(self, after: int) -> None:
        """See `AgentTrainings.check_resumed_to_the_bit`."""
        self.check_resumed_to_the_bit(after)

    def test_reports_finite_metrics(self) -> None:
        """Steps are epochs and grow; metrics are finite numbers and hold `cost`."""
        _, context = self.train(stop_after=3)
        steps = [advance.step for advance in context.advances]
        assert steps[0] == 0
        assert steps == sorted(set(steps))
        assert COST in context.metrics
        assert all(np.isfinite(values).all() for values in context.metrics.values())

    def test_keeps_and_assesses_the_mean(self) -> None:
        """An agent with `ParameterAgentConfig`'s settings: its trajectory goes from where control starts to what it
        ends with, and neither snapshots nor assessments change what it learns."""
        if not issubclass(self.spec.config, ParameterAgentConfig):
            pytest.skip(f"{self.spec.name} has no snapshots")
        policies = []
        for more in ({"snapshots": 0}, {"snapshots": 5, "assess_every": 1}):
            agent = self.spec.make(self.spec.config.model_validate({**self.settings, **more}))
            env = self.environment(agent)
            context = RecordingContext(env, 6, stop_after=3)
            policies.append(agent.train(env, context))
        plain, kept = policies
        assert isinstance(plain, GaussianParameters)
        assert isinstance(kept, GaussianParameters)
        assert plain.trajectory is None
        assert kept.trajectory is not None
        np.testing.assert_array_equal(kept.mean, plain.mean)
        np.testing.assert_array_equal(kept.std, plain.std)
        np.testing.assert_allclose(kept.trajectory.means[0], env.initial_parameters, rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(kept.trajectory.means[-1], kept.mean.astype(np.float32))
        assert (kept.trajectory.epochs[0], kept.trajectory.epochs[-1]) == (0, context.advances[-1].step)
        assert len(context.metrics["excess"]) == len(context.advances)

    def test_policy_is_saved_and_loaded(self) -> None:
        """A policy's state in an untrained one gives the same actions, one for each observation; foreign states are
        refused."""
        policy, context = self.train(stop_after=2)
        copy = self.make().build_policy(context.env)
        observations = np.zeros((3, 1), np.float32)

        def act(which: Policy) -> NDArray[Any]:
            return which.act(observations, rng=np.random.default_rng(0))

        assert not np.array_equal(act(copy), act(policy))
        copy.load_state_dict({name: tensor.clone() for name, tensor in policy.state_dict().items()})
        np.testing.assert_array_equal(act(copy), act(policy))
        assert act(copy).shape == (3, len(self.environment(self.make()).initial_parameters))
        assert_randomness_is_given(policy, observations)
        with pytest.raises(CheckpointError):
            copy.load_state_dict({"foreign": torch.zeros(1)})
