"""The loop: log, snapshots, assessments, checkpoints. `Walk` is a search whose mean after t epochs is known."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from qecforge.errors import CheckpointError, ConfigurationError, Interrupted
from qecforge.parameters import GaussianParameters, ParameterAgent, ParameterAgentConfig
from qecforge.parameters._log import Snapshots
from qecforge.testing.agents import IdentityEnvironment
from qecforge.testing.contexts import RecordingContext
from qecforge.testing.parameters import QuadraticEnvironment


class Walk:
    """Goes from where it starts towards (1, 1, ...) times the epoch; learns nothing."""

    def __init__(self, env, seed):
        self.epoch, self.shape = 0, (env.num_envs, len(env.parameter_names))
        self.start = env.initial_parameters

    def ask(self):
        return np.broadcast_to(self.start + self.epoch, self.shape).astype(np.float64)

    def tell(self, rewards):
        self.epoch += 1

    def metrics(self):
        return {"sigma": 1.0, "displacement": float(self.epoch)}

    def policy(self):
        return GaussianParameters(self.start + self.epoch, np.ones(self.shape[1]))

    def start_from(self, policy):
        self.start = policy.mean

    def state_dict(self):
        return {"epoch": self.epoch}

    def load_state_dict(self, state):
        self.epoch = state["epoch"]


class Walker(ParameterAgent):
    name = "walker"
    initial_sigma = 0.5

    def search(self, env, seed):
        return Walk(self.checked(env), seed)


class Counting(QuadraticEnvironment):
    """Knows no epoch after the 20th, and remembers when it was assessed, and of what."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.assessed = []

    def assess(self, parameters):
        assert self._epoch < 20
        self.assessed.append((self._epoch, parameters))
        return {"logical_error_rate": float(self._epoch), **super().assess(parameters)}


def walked(total=20, stop_after=None, env=None, policy=None, **settings):
    agent = Walker(ParameterAgentConfig(candidates=4, total_epochs=total, **settings))
    env = Counting(4) if env is None else env
    context = RecordingContext(env, stop_after=stop_after)
    return agent.train(env, context, policy=policy), context


def test_snapshots_are_evenly_spread_and_are_the_mean_of_their_epochs():
    policy, context = walked(snapshots=6)
    start = context.env.initial_parameters
    np.testing.assert_array_equal(policy.trajectory.epochs, [0, 4, 8, 12, 16, 20])
    expected = (start + np.arange(0, 21, 4)[:, None]).astype(np.float32)
    np.testing.assert_array_equal(policy.trajectory.means, expected)
    np.testing.assert_array_equal(policy.mean, start + 20)


def test_without_snapshots_there_is_no_trajectory():
    policy, _ = walked(snapshots=0)
    assert policy.trajectory is None


def test_a_search_cut_short_ends_its_trajectory_where_it_stopped():
    policy, _ = walked(snapshots=3, report_every=7, stop_after=2)
    np.testing.assert_array_equal(policy.trajectory.epochs, [0, 7])
    np.testing.assert_array_equal(policy.trajectory.means[-1], policy.mean.astype(np.float32))


@given(count=st.integers(2, 300), total=st.integers(1, 2000))
def test_start_and_end_are_always_among_the_snapshots(count, total):
    snapshots = Snapshots(count, total)
    for epoch in range(total + 1):
        if snapshots.due(epoch):
            snapshots.add(epoch, np.array([float(epoch)]))
            assert not snapshots.due(epoch)
    trajectory = snapshots.trajectory(total, np.array([float(total)]))
    gaps = np.diff(trajectory.epochs)
    assert (trajectory.epochs[0], trajectory.epochs[-1]) == (0, total)
    assert len(trajectory.epochs) == min(count, total + 1)
    assert gaps.max() - gaps.min() <= 1
    np.testing.assert_array_equal(trajectory.means[:, 0], trajectory.epochs)


def test_one_snapshot_is_refused():
    with pytest.raises(
        ValidationError, match=r"1 snapshot is too few: set 2 or more \(the first and the last epoch\), or 0 for none"
    ):
        ParameterAgentConfig(snapshots=1)


def test_assessments_are_of_the_mean_in_their_epoch_and_come_with_the_next_report():
    """Every 5 epochs, reported every 10: the report at 10 is the mean of those at 5 and 10; none at the end."""
    _, context = walked(assess_every=5, report_every=10)
    assert [epoch for epoch, _ in context.env.assessed] == [0, 5, 10, 15]
    for epoch, mean in context.env.assessed:
        np.testing.assert_array_equal(mean, context.env.initial_parameters + epoch)
    reported = [advance.metrics["logical_error_rate"] for advance in context.advances]
    assert reported == [0.0, 7.5, 15.0]
    assert context.advances[0].metrics.keys() == {"logical_error_rate", "excess"}


def test_reports_without_an_assessment_are_silent_on_it():
    _, context = walked(assess_every=10, report_every=5)
    reported = [advance.metrics.get("logical_error_rate") for advance in context.advances]
    assert reported == [0.0, None, 10.0, None, None]


def test_without_assess_every_nothing_is_assessed():
    _, context = walked()
    assert context.env.assessed == []
    assert context.advances[0].metrics == {}


@pytest.mark.parametrize("after", [1, 2, 3, 4])
def test_an_interrupted_walk_resumes_with_its_snapshots_and_reports(after):
    settings = {"snapshots": 8, "report_every": 6, "assess_every": 4}
    whole, reference = walked(**settings)
    agent = Walker(ParameterAgentConfig(candidates=4, total_epochs=20, **settings))
    context = RecordingContext(Counting(4), interrupt_after=after)
    with pytest.raises(Interrupted):
        agent.train(context.env, context)
    resumed_context = RecordingContext(Counting(4), checkpoint=context.checkpoint)
    resumed = agent.train(resumed_context.env, resumed_context)
    np.testing.assert_array_equal(resumed.trajectory.epochs, whole.trajectory.epochs)
    np.testing.assert_array_equal(resumed.trajectory.means, whole.trajectory.means)
    for ours, theirs in zip(resumed_context.advances, reference.advances[after - 1 :], strict=True):
        ours.metrics.pop("time/epochs_per_second", None)
        theirs.metrics.pop("time/epochs_per_second", None)
        assert ours == theirs


def test_a_given_policy_is_where_the_trajectory_starts():
    given_policy = GaussianParameters(np.full(16, 3.0), np.ones(16))
    policy, _ = walked(snapshots=2, policy=given_policy)
    np.testing.assert_array_equal(policy.trajectory.means, np.array([np.full(16, 3.0), np.full(16, 23.0)]))


@pytest.mark.parametrize(
    ("missing", "message"),
    [("metrics", "no metrics"), ("search", "no search"), ("snapshots", "no snapshots")],
)
def test_checkpoints_of_others_are_refused(missing, message):
    context = RecordingContext(Counting(4), stop_after=2)
    agent = Walker(ParameterAgentConfig(candidates=4))
    agent.train(context.env, context)
    del context.checkpoint["agent"][missing]
    again = RecordingContext(Counting(4), checkpoint=context.checkpoint)
    with pytest.raises(CheckpointError, match=message):
        agent.train(again.env, again)


def test_snapshots_of_another_environment_are_refused():
    context = RecordingContext(Counting(4), stop_after=2)
    agent = Walker(ParameterAgentConfig(candidates=4))
    agent.train(context.env, context)
    again = RecordingContext(Counting(4, gates=9), checkpoint=context.checkpoint)
    with pytest.raises(CheckpointError, match="snapshots of the mean: means: this checkpoint does not fit"):
        agent.train(again.env, again)


def test_unfitting_environments_and_arguments_are_refused():
    agent = Walker(ParameterAgentConfig(candidates=10))
    env = QuadraticEnvironment(8)
    with pytest.raises(ConfigurationError, match="walker: the environment has 8 members, expected 10"):
        agent.train(env, RecordingContext(env))
    identity = IdentityEnvironment(10)
    with pytest.raises(ConfigurationError, match="IdentityEnvironment does not take parameter vectors"):
        agent.train(identity, RecordingContext(identity))
    with pytest.raises(ConfigurationError, match="IdentityEnvironment does not take parameter vectors"):
        agent.build_policy(identity)
    env = QuadraticEnvironment(10)
    with pytest.raises(ConfigurationError, match="walker: got an extra loss"):
        agent.train(env, RecordingContext(env), extra_loss=lambda batch: torch.zeros(()))
    with pytest.raises(ConfigurationError, match="the given policy is object, expected GaussianParameters"):
        agent.train(env, RecordingContext(env), policy=object())


def test_an_untrained_policy_is_what_a_search_starts_from():
    env = QuadraticEnvironment(3)
    policy = Walker(ParameterAgentConfig()).build_policy(env)
    np.testing.assert_array_equal(policy.mean, env.initial_parameters)
    np.testing.assert_array_equal(policy.std, 0.5 * env.exploration_scale)
    assert policy.trajectory is None
