"""Whatever an environment does about `out`, the arrays that an agent gave are filled."""

import numpy as np
import pytest

from qecforge.contracts import StepBuffers
from qecforge.errors import QecforgeError
from qecforge.learning.stepping import FilledSteps
from qecforge.testing.agents import IdentityEnvironment


class Deaf(IdentityEnvironment):
    """Takes `out` and does nothing with it."""

    def reset(self, *, seed=None, options=None, out=None):
        return super().reset(seed=seed, options=options)

    def step(self, actions, out=None):
        return super().step(actions)


class Plain(IdentityEnvironment):
    """Has gymnasium's signature, and its float64 rewards."""

    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed, options=options)

    def step(self, actions):
        observations, rewards, *rest = super().step(actions)
        return observations, rewards.astype(np.float64), *rest


class Wrong(IdentityEnvironment):
    """Returns something else."""

    returned = 0
    value = None

    def step(self, actions, out=None):
        found = list(super().step(actions))
        found[self.returned] = self.value
        return tuple(found)


def buffers():
    return StepBuffers(
        np.full((8, 5), 9, np.int8),
        np.full(8, 9.0, np.float32),
        np.ones(8, np.bool_),
        np.ones(8, np.bool_),
        np.zeros((8, 5), np.bool_),
    )


def played(kind):
    """All that ten steps leave in the buffers, by field."""
    env = kind(8, masked=True, truncates=True)
    steps, seen = FilledSteps(env), []
    first = buffers()
    observations, infos = steps.reset(seed=3, out=first)
    assert observations is first.observations
    assert first.action_mask.any()
    for _ in range(10):
        out = buffers()
        actions = infos["action_mask"].argmax(1)
        *returned, infos = steps.step(actions, out)
        given = [out.observations, out.rewards, out.terminated, out.truncated]
        assert all(one is other for one, other in zip(returned, given, strict=True))
        seen.append([*given, out.action_mask])
    return [first.observations, *(np.stack(arrays) for arrays in zip(*seen, strict=True))]


@pytest.mark.parametrize("kind", [Deaf, Plain])
def test_arrays_are_filled_as_by_an_environment_that_fills_them(kind):
    for ours, theirs in zip(played(kind), played(IdentityEnvironment), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("returned", "value", "said"),
    [
        (0, np.zeros((8, 4), np.int8), "observations are int8 of shape (8, 4), expected int8 of shape (8, 5)"),
        (1, np.zeros((8, 1), np.float32), "rewards are float32 of shape (8, 1)"),
        (1, None, "rewards are nothing"),
        (2, np.zeros(8), "terminated are float64 of shape (8,), expected bool"),
        (4, {}, "action_mask are nothing"),
    ],
)
def test_what_does_not_fit_is_refused(returned, value, said):
    env = Wrong(8, masked=True)
    env.returned, env.value = returned, value
    steps = FilledSteps(env)
    _, infos = steps.reset(seed=0)
    with pytest.raises(QecforgeError) as caught:
        steps.step(infos["action_mask"].argmax(1), buffers())
    assert said in str(caught.value)
    assert str(caught.value).startswith("Wrong: its ")
