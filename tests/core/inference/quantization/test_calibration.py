import gymnasium
import numpy as np
import pytest

from qecforge.errors import ConfigurationError
from qecforge.evaluation import collect_states
from qecforge.inference.quantization.calibration import rollout_states, space_holds_levels
from qecforge.testing.agents import IdentityEnvironment
from qecforge.testing.quantizers import PerceptronPolicy

spaces = gymnasium.spaces


def test_states_are_those_that_the_policy_meets():
    env, policy = IdentityEnvironment(8, num_actions=12, masked=True), PerceptronPolicy()
    env.reset(seed=9)
    states = rollout_states(policy, env, 50, seed=3)
    twin = IdentityEnvironment(8, num_actions=12, masked=True)
    np.testing.assert_array_equal(states, collect_states(twin, policy, 50, seed=3).observations)


def test_the_environment_goes_on_as_if_untouched():
    env, twin = (IdentityEnvironment(8, num_actions=12) for _ in range(2))
    for each in (env, twin):
        each.reset(seed=9)
        each.step(np.zeros(8, np.int64))
    rollout_states(PerceptronPolicy(), env, 30)
    for ours, theirs in zip(env.step(np.ones(8, np.int64))[:4], twin.step(np.ones(8, np.int64))[:4], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_too_few_are_refused():
    with pytest.raises(ConfigurationError, match="calibration_states: 0 is too small"):
        rollout_states(PerceptronPolicy(), IdentityEnvironment(8, num_actions=12), 0)


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (spaces.MultiBinary(5), True),
        (spaces.Box(0, 1, (5,), np.uint8), True),
        (spaces.Box(0, 255, (5,), np.uint8), True),
        (spaces.Box(0, 256, (5,), np.int64), False),
        (spaces.Box(-1, 1, (5,), np.int8), False),
        (spaces.Box(0, 1, (5,), np.float32), False),
        (spaces.Discrete(5), False),
    ],
)
def test_integer_observations_are_levels(space, expected):
    assert space_holds_levels(space, 8) is expected
