"""The suites of continuous agents and environments: what keeps them, and what they catch."""

import re
from typing import Any, ClassVar

import numpy as np
import pytest
import toy_continuous as toys
from toy_continuous import CrossEntropy, LinearPolicy, PulseConfig, Pulses

from qecforge.errors import ConfigurationError
from qecforge.testing.continuous import ContinuousAgentContract, PointEnvironment
from qecforge.testing.environments import CHECKS, EnvironmentContract, check_environment

SETTINGS = {"total_steps": 20_000, "candidates": 40, "horizon": 10}


class TestCrossEntropy(ContinuousAgentContract):
    spec = toys.CROSS_ENTROPY
    settings: ClassVar = SETTINGS


class TestPolicyThatSamplesInside(ContinuousAgentContract):
    spec = toys.BITS
    settings: ClassVar = SETTINGS


class TestPulses(EnvironmentContract):
    spec = toys.PULSES


class TestPulsesThatAreLostAtOnce(EnvironmentContract):
    """Episodes that end before their time among those that are over."""

    spec = toys.PULSES
    settings: ClassVar = {"steps": 5, "drift": 0.3, "shots": 10}


@pytest.mark.parametrize("truncates", [True, False])
def test_the_suites_own_environment_keeps_the_contract(truncates):
    found = check_environment(lambda members, seed: PointEnvironment(members, truncates=truncates))
    assert found == dict.fromkeys(CHECKS)


def test_the_point_goes_where_it_is_pushed():
    env = PointEnvironment(3, noise=0.0, episode_length=2)
    start, _ = env.reset(seed=4)
    pushes = np.array([[1.0, 0.5], [-0.5, -1.0], [0.25, 0.0]], np.float32)
    shown, rewards, terminated, truncated, infos = env.step(pushes)
    expected = np.clip(start + pushes, -2, 2)
    np.testing.assert_allclose(rewards, -np.square(expected).sum(1), rtol=1e-6)
    assert (terminated.tolist(), truncated.tolist()) == ([False] * 3, [False, True, False])
    np.testing.assert_allclose(infos["final_obs"], expected, rtol=1e-6)
    np.testing.assert_allclose(shown[[0, 2]], expected[[0, 2]], rtol=1e-6)
    assert abs(shown[1] - expected[1]).max() > 1e-3, "the next episode starts elsewhere"
    assert infos["episode_length"].tolist() == [1, 1, 1]


def test_what_is_wrong_with_an_action_is_said_in_one_line():
    env = PointEnvironment(2)
    env.reset(seed=0)
    for actions in (np.full((2, 2), np.nan), np.full((2, 2), 0.6), np.zeros((2, 3)), np.zeros(2)):
        with pytest.raises(ConfigurationError) as caught:
            env.step(actions)
        message = str(caught.value)
        assert "\n" not in message
        assert "expected 2 pairs from [-0.5, -1.0] to [1.0, 0.5]: keep to the bounds of the action space" in message


class Lenient(Pulses):
    """Makes good actions of bad ones of one kind."""

    kind = ""

    def checked(self, actions):
        given = np.asarray(actions)
        if self.kind == "clips" and np.isfinite(given).all() and given.shape == self.errors.shape:
            given = np.clip(given, toys.LOW, toys.HIGH)
        if self.kind == "takes_nan":
            given = np.nan_to_num(given, posinf=9.0, neginf=9.0)
        if self.kind == "takes_infinite":
            given = np.where(np.isinf(given), 0.0, given)
        if self.kind == "takes_an_axis_more" and given.ndim == 3:
            given = given[..., 0]
        if self.kind == "takes_an_axis_less" and given.ndim == 1:
            given = np.zeros(self.errors.shape)
        if self.kind == "takes_a_number_more" and given.ndim == 2:
            given = given[:, :2]
        if self.kind == "takes_a_member_less" and given.ndim == 2 and len(given) < self.num_envs:
            given = np.zeros(self.errors.shape)
        return super().checked(given)


def lenient(kind):
    return type(kind, (Lenient,), {"kind": kind})


class MovesFirst(Pulses):
    def checked(self, actions):
        self.length += 1
        try:
            return super().checked(actions)
        finally:
            self.length -= 1 if np.asarray(actions).shape == self.errors.shape else 0


class CountsNoErrors(Pulses):
    def checked(self, actions):
        try:
            return super().checked(actions)
        except ConfigurationError as error:
            raise IndexError(str(error)) from error


class KeepsTheLastObservation(Pulses):
    def step(self, actions, out=None):
        *found, infos = super().step(actions, out)
        infos.pop("final_obs", None)
        return *found, infos


class ShowsErrorsAsTheyAre(Pulses):
    def step(self, actions, out=None):
        *found, infos = super().step(actions, out)
        if "final_obs" in infos:
            infos["final_obs"] = self.errors * 100
        return *found, infos


@pytest.mark.parametrize(
    ("broken", "check", "message"),
    [
        (lenient("clips"), "bad_actions", "out of bounds: .* was not refused"),
        (lenient("takes_nan"), "bad_actions", "an action that is NaN: .* was not refused"),
        (lenient("takes_infinite"), "bad_actions", "an infinite action: .* was not refused"),
        (lenient("takes_an_axis_more"), "bad_actions", "actions of one axis too many: .* was not refused"),
        (lenient("takes_an_axis_less"), "bad_actions", "actions of one axis too few: .* was not refused"),
        (lenient("takes_a_number_more"), "bad_actions", "actions of one number too many: .* was not refused"),
        (lenient("takes_a_member_less"), "bad_actions", "an action is missing: .* was not refused"),
        (MovesFirst, "bad_actions", "after a refused step"),
        (CountsNoErrors, "bad_actions", None),
        (KeepsTheLastObservation, "episodes", "truncation needs infos"),
        (ShowsErrorsAsTheyAre, "episodes", "outside the observation space"),
    ],
)
def test_the_suite_of_environments_catches(broken, check, message):
    def make(members, seed):
        return broken(PulseConfig(), num_envs=members, seed=seed, reward=None)

    with pytest.raises(AssertionError if message else IndexError) as caught:
        CHECKS[check](make)
    assert re.search(message or "pulses: got actions", " ".join(str(caught.value).split()))
    CHECKS["step"](make)


class Unbounded(LinearPolicy):
    def act(self, observations, **options):
        return self.aimed(observations, options.get("deterministic", True), options.get("rng")).astype(np.float32)


class OfAnotherType(LinearPolicy):
    def act(self, observations, **options):
        return super().act(observations, **options).astype(np.float64)


class DrawsFromTheGlobalGenerator(LinearPolicy):
    def aimed(self, observations, deterministic, rng):
        return super().aimed(observations, True, rng) + 0.01 * np.random.standard_normal((len(observations), 2))


class DrawsWithoutOne(LinearPolicy):
    def aimed(self, observations, deterministic, rng):
        return super().aimed(observations, deterministic, rng or np.random.default_rng(0))


class ForgetsItsConstant(LinearPolicy):
    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.weights[:, -1] = 0.0


class ForgetsItsGenerator(CrossEntropy):
    def train(self, env, context, **options):
        if context.restored is not None:
            context._restored = {**context.restored, "rng": np.random.default_rng(1).bit_generator.state}
        return super().train(env, context, **options)


class NeverLearns(CrossEntropy):
    def train(self, env, context, **options):
        learner = super().train(env, context, **options)
        learner.weights *= 0.0
        return learner


class KnowsNoSeed(CrossEntropy):
    def train(self, env, context, **options):
        context.seed = 0
        return super().train(env, context, **options)


class StartsAnew(CrossEntropy):
    def train(self, env, context, *, policy=None, extra_loss=None):
        return super().train(env, context)


@pytest.mark.parametrize(
    ("broken", "test", "arguments"),
    [
        (Unbounded, "test_actions_lie_within_the_bounds", ()),
        (OfAnotherType, "test_actions_lie_within_the_bounds", ()),
        (DrawsFromTheGlobalGenerator, "test_policy_draws_from_the_generator_alone", ()),
        (DrawsWithoutOne, "test_policy_draws_from_the_generator_alone", ()),
        (ForgetsItsConstant, "test_policy_is_saved_and_loaded", ()),
        (ForgetsItsGenerator, "test_resumed_equals_uninterrupted", (2, True)),
        (NeverLearns, "test_learns_to_steer_the_point", (True,)),
        (KnowsNoSeed, "test_same_seed_same_policy", ()),
        (StartsAnew, "test_starts_from_a_given_policy", ()),
    ],
)
def test_the_suite_of_agents_catches(broken, test, arguments):
    agent: Any = broken if issubclass(broken, CrossEntropy) else type("Broken", (CrossEntropy,), {"policy": broken})

    class Contract(ContinuousAgentContract):
        spec = toys.agent_spec("broken", agent)
        settings = SETTINGS

    with pytest.raises(AssertionError):
        getattr(Contract(), test)(*arguments)
    Contract().test_spec()
