"""What the suites of agents share: trainings that are resumed, comparisons to the bit, and what every policy does with
randomness."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from qecforge.contracts.agent import Agent
from qecforge.contracts.environment import Environment
from qecforge.contracts.policy import Policy
from qecforge.errors import ConfigurationError, Interrupted
from qecforge.hookspecs import AgentSpec
from qecforge.learning.rows import RowTable
from qecforge.testing.contexts import RecordingContext

__all__ = [
    "AgentCases",
    "AgentTrainings",
    "assert_equal_states",
    "assert_equal_weights",
    "assert_randomness_is_given",
    "weights_differ",
]


class AgentTrainings:
    """Trainings of an agent on a task, in memory: to the end, interrupted, resumed.

    Attributes:
        spec: The agent.
        settings: Its configuration.
        clock_prefix: Metrics with this prefix may differ between equal runs (clock times).
    """

    spec: ClassVar[AgentSpec]
    settings: ClassVar[Mapping[str, Any]] = {}
    clock_prefix: ClassVar[str] = "time/"

    def task(self, num_envs: int, **kind: Any) -> Environment:
        """What is trained on."""
        raise NotImplementedError

    def make(self) -> Agent:
        """The agent with `settings`."""
        return self.spec.make(self.spec.config.model_validate(dict(self.settings)))

    def timeless(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """`metrics` without clock times."""
        return {name: value for name, value in metrics.items() if not name.startswith(self.clock_prefix)}

    def finish(
        self,
        *,
        kind: Mapping[str, Any],
        seed: int,
        given: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> tuple[Policy, RecordingContext]:
        """A training by a new agent until the context says stop.

        Args:
            kind: Which task.
            given: What `Agent.train` takes besides.
            options: Of the `RecordingContext`, which has more environments of the task for an agent that asks for them.
        """
        agent = self.make()
        context = RecordingContext(
            self.task(agent.num_envs, **kind), seed, make=lambda num_envs, _: self.task(num_envs, **kind), **options
        )
        with closing(context):
            return agent.train(context.env, context, **(given or {})), context

    def interrupted(
        self, after: int, *, kind: Mapping[str, Any], given: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The checkpoint of a training, seed 5, that was interrupted at its n-th report."""
        agent = self.make()
        context = RecordingContext(
            self.task(agent.num_envs, **kind),
            5,
            make=lambda num_envs, _: self.task(num_envs, **kind),
            interrupt_after=after,
        )
        with closing(context), pytest.raises(Interrupted):
            agent.train(context.env, context, **(given or {}))
        assert context.checkpoint is not None
        return context.checkpoint

    def check_resumed_to_the_bit(self, after: int, **kind: Any) -> None:
        """Interrupted at its n-th report, saved, restored in new objects: the same weights, metrics and environment."""
        if self.spec.resumes != "to_the_bit":
            pytest.skip("the agent's spec says that it resumes between episodes")
        whole, reference = self.finish(kind=kind, seed=5, stop_after=4)
        checkpoint = self.interrupted(after, kind=kind)
        resumed, context = self.finish(kind=kind, seed=5, checkpoint=checkpoint, stop_after=4 - after + 1)
        assert_equal_weights(whole, resumed)
        for advance, expected in zip(context.advances[1:], reference.advances[after:], strict=True):
            assert advance.step == expected.step
            assert self.timeless(advance.metrics) == self.timeless(expected.metrics)
        assert str(context.env.state_dict()) == str(reference.env.state_dict())
        assert context.checkpoint is not None
        assert reference.checkpoint is not None
        assert_equal_states(context.checkpoint["agent"], reference.checkpoint["agent"], self.clock_prefix)

    def check_resumed_with_new_episodes(self, **kind: Any) -> None:
        """Resumed where the environment had to begin anew: what was learned is kept, and the agent goes on."""
        learned, reference = self.finish(kind=kind, seed=5, stop_after=2)
        checkpoint = self.interrupted(2, kind=kind)
        policy, _ = self.finish(kind=kind, seed=5, checkpoint=checkpoint, stop_after=1, begins_anew=True)
        assert_equal_weights(policy, learned)
        _, context = self.finish(kind=kind, seed=5, checkpoint=checkpoint, stop_after=3, begins_anew=True)
        steps = [advance.step for advance in context.advances]
        assert steps[0] == reference.advances[1].step
        assert steps[0] < steps[1] < steps[2]
        assert all(np.isfinite(values).all() for values in context.metrics.values())


class AgentCases(AgentTrainings):
    """Cases of agents whose environment has episodes, whatever their actions.

    Attributes:
        trains_further: Whether the agent takes `policy` and `extra_loss`.
    """

    trains_further: ClassVar[bool] = True

    def train(self, *, seed: int = 0, stop_after: int | None = None, **options: Any) -> tuple[Policy, RecordingContext]:
        """A fresh training on the task."""
        raise NotImplementedError

    def test_same_seed_same_policy(self) -> None:
        """Two trainings from one seed agree bit for bit, from another seed they do not."""
        first, context = self.train(seed=3, stop_after=3)
        second, again = self.train(seed=3, stop_after=3)
        other, _ = self.train(seed=4, stop_after=3)
        assert_equal_weights(first, second)
        assert self.timeless(context.metrics) == self.timeless(again.metrics)
        assert weights_differ(first, other)

    def test_stops_when_told(self) -> None:
        """After `advance` said no, nothing more is trained, and steps had only grown."""
        _, context = self.train(stop_after=2)
        assert len(context.advances) == 2
        steps = [advance.step for advance in context.advances]
        assert steps[0] == 0
        assert steps[1] > 0

    def test_reports_finite_metrics(self) -> None:
        """Metrics are finite numbers and hold `episode_return`."""
        _, context = self.train(stop_after=3)
        assert "episode_return" in context.metrics
        assert all(np.isfinite(values).all() for values in context.metrics.values())

    def test_starts_from_a_given_policy(self) -> None:
        """A given policy that is stopped at once comes back as it was; trained on, it changes."""
        if not self.trains_further:
            pytest.skip("the agent takes no policy")
        teacher, _ = self.train(stop_after=2)
        before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
        untouched, _ = self.train(stop_after=1, policy=teacher)
        assert all(torch.equal(tensor, before[name]) for name, tensor in untouched.state_dict().items())
        trained, _ = self.train(stop_after=2, policy=teacher)
        assert any(not torch.equal(tensor, before[name]) for name, tensor in trained.state_dict().items())


def assert_equal_weights(first: Policy, second: Policy) -> None:
    """Two policies agree bit for bit."""
    ours, theirs = first.state_dict(), second.state_dict()
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name


def weights_differ(first: Policy, second: Policy) -> bool:
    """Whether any weight of two policies of the same names does."""
    theirs = second.state_dict()
    return any(not torch.equal(tensor, theirs[name]) for name, tensor in first.state_dict().items())


def assert_equal_states(first: Any, second: Any, clock_prefix: str, place: str = "state") -> None:
    """Nested states agree bit for bit, clock times aside."""
    assert type(first) is type(second), place
    if isinstance(first, Mapping):
        assert first.keys() == second.keys(), place
        for key in first:
            if not str(key).startswith(clock_prefix):
                assert_equal_states(first[key], second[key], clock_prefix, f"{place}[{key!r}]")
    elif isinstance(first, list):
        assert len(first) == len(second), place
        for index, (ours, theirs) in enumerate(zip(first, second, strict=True)):
            assert_equal_states(ours, theirs, clock_prefix, f"{place}[{index}]")
    elif isinstance(first, RowTable):
        assert (first.columns, first.capacity) == (second.columns, second.capacity), place
        assert first.appended == second.appended, place
        for name in first.columns:
            np.testing.assert_array_equal(first.column(name), second.column(name), err_msg=f"{place}, column {name}")
    elif isinstance(first, torch.Tensor):
        assert torch.equal(first, second), place
    elif isinstance(first, np.ndarray):
        np.testing.assert_array_equal(first, second, err_msg=place)
    else:
        assert first == second or (first != first and second != second), place


def assert_randomness_is_given(policy: Policy, observations: NDArray[Any]) -> None:
    """Actions are a function of observations and of the generator's state, deterministic or not; where there is no
    generator and one is needed, that is said in one line."""
    before = observations.copy()
    for deterministic in (True, False):
        draws = []
        for seed in (0, 1):
            np.random.seed(seed)
            torch.manual_seed(seed)
            draws.append(policy.act(observations, deterministic=deterministic, rng=np.random.default_rng(7)))
        first, again = draws
        np.testing.assert_array_equal(
            first, again, err_msg="the same generator gave other actions: draw from rng alone"
        )
        refusal = _refusal_without_generator(policy, observations, deterministic)
        if refusal is None:
            assert deterministic, "drawn actions without rng: raise ConfigurationError where it is missing"
        else:
            assert "rng" in refusal, f"{refusal}: it does not say that rng is missing"
    np.testing.assert_array_equal(observations, before, err_msg="act changed the observations")


def _refusal_without_generator(policy: Policy, observations: NDArray[Any], deterministic: bool) -> str | None:
    try:
        policy.act(observations, deterministic=deterministic, rng=None)
    except ConfigurationError as error:
        return str(error)
    return None
