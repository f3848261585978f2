"""The check of closing passes what keeps the contract and catches what does not."""

import numpy as np
import pytest

from qecforge.contracts import CompiledReward, Reward, RewardBuffers
from qecforge.testing.agents import IdentityEnvironment
from qecforge.testing.checks.closing import check_closing, closes_what_it_made


class Zero(Reward):
    def compile(self, subject):
        return CompiledZero()


class CompiledZero(CompiledReward):
    def score(self, batch, out=None):
        return RewardBuffers(np.zeros(len(batch), np.float32))


class Sound(IdentityEnvironment):
    def __init__(self, num_envs, seed, reward):
        super().__init__(num_envs)
        self.reward, self.compiled = reward, [reward.compile(name) for name in ("one", "other")]

    def close_extras(self, **kwargs):
        for each in self.compiled:
            each.close()


class Leaking(Sound):
    def close_extras(self, **kwargs):
        self.compiled[0].close()


class Greedy(Sound):
    def close_extras(self, **kwargs):
        super().close_extras()
        self.reward.close()


class Overriding(Sound):
    def close(self, **kwargs):
        self.close_extras()


def test_what_keeps_the_contract_passes():
    reward = Zero()
    check_closing(lambda num_envs, seed: Sound(num_envs, seed, reward), reward)
    assert vars(reward) == {}
    check_closing(lambda num_envs, seed: IdentityEnvironment(num_envs))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Leaking, "compiled reward 2 was closed 0 times, expected 1"),
        (Greedy, "the reward that it was given was closed 1 times, expected 0"),
        (Overriding, "close.. was overridden"),
    ],
)
def test_what_breaks_the_contract_is_caught(broken, message):
    reward = Zero()
    with pytest.raises(AssertionError, match=message):
        check_closing(lambda num_envs, seed: broken(num_envs, seed, reward), reward)


def test_what_a_check_makes_is_closed_where_it_fails():
    made = []

    def make(num_envs, seed):
        made.append(IdentityEnvironment(num_envs))
        return made[-1]

    @closes_what_it_made
    def check(make):
        make(2, 0)
        make(3, 1)
        raise AssertionError("no")

    with pytest.raises(AssertionError, match="no"):
        check(make)
    assert [env.closed for env in made] == [True, True]
