"""Whole episodes, played without learning: what is counted, and when it ends."""

import math

import numpy as np
import pytest

from qecforge.contracts import Policy
from qecforge.errors import ConfigurationError
from qecforge.evaluation.policies.returns import PlayedEpisodes, evaluate_policy
from qecforge.testing.agents import IdentityEnvironment


class NamesTheBit(Policy):
    """Right every time but for a member that it fails on purpose."""

    def __init__(self, wrong=()):
        self.wrong, self.given = list(wrong), []

    def act(self, observations, *, action_mask=None, deterministic=True, rng=None):
        self.given.append((deterministic, rng))
        actions = observations.argmax(1)
        actions[self.wrong] = (actions[self.wrong] + 1) % observations.shape[1]
        return actions

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def test_every_member_plays_as_many_episodes():
    env = IdentityEnvironment(3, episode_length=4)
    played = evaluate_policy(env, NamesTheBit(wrong=[1]), episodes=5, seed=2)
    assert played.lengths.tolist() == [4, 4, 4, 4, 4, 4]
    assert played.returns.tolist() == [4.0, 4.0, 0.0, 0.0, 2.0, 4.0], "the third member's first episode is half as long"


def test_values_are_mean_deviation_and_interval():
    played = PlayedEpisodes(np.array([1.0, 2.0, 3.0, 6.0]), np.array([2, 4, 4, 2]))
    values = played.values()
    assert values["return_mean"] == 3.0
    assert values["length_mean"] == 3.0
    assert values["return_std"] == pytest.approx(math.sqrt(14 / 3))
    half = 3.182446 * math.sqrt(14 / 3) / 2
    assert (values["return_low"], values["return_high"]) == pytest.approx((3 - half, 3 + half), rel=1e-6)
    assert played.to_payload() == {"returns": [1.0, 2.0, 3.0, 6.0], "lengths": [2, 4, 4, 2]}


@pytest.mark.parametrize("deterministic", [True, False])
def test_the_policy_is_asked_as_wanted(deterministic):
    policy = NamesTheBit()
    evaluate_policy(IdentityEnvironment(2, episode_length=3), policy, episodes=2, deterministic=deterministic)
    assert {asked for asked, _ in policy.given} == {deterministic}
    assert len({id(rng) for _, rng in policy.given}) == 1
    assert policy.given[0][1] is not None


def test_progress_counts_the_episodes_that_have_ended():
    reports = []
    env = IdentityEnvironment(3, episode_length=4)
    evaluate_policy(env, NamesTheBit(), episodes=6, progress=lambda done, total: reports.append((done, total)))
    assert reports == [(1, 6), (2, 6), (3, 6), (4, 6), (5, 6), (6, 6)]


def test_what_was_cut_off_is_not_counted():
    asked = []
    env = IdentityEnvironment(3, episode_length=4)
    played = evaluate_policy(env, NamesTheBit(), episodes=9, should_stop=lambda: asked.append(1) or len(asked) > 4)
    assert len(played.returns) == len(played.lengths) == 3
    assert (played.returns > 0).all()


def test_a_reward_of_several_numbers_has_no_return():
    class Several(IdentityEnvironment):
        def step(self, actions, out=None):
            observations, rewards, *rest = super().step(actions)
            return observations, np.stack([rewards, -rewards], axis=1), *rest

    with pytest.raises(ConfigurationError, match=r"^returns: the reward is a vector of 2 numbers, expected one: "):
        evaluate_policy(Several(2), NamesTheBit(), episodes=1)


def test_no_episode_is_refused():
    with pytest.raises(ConfigurationError, match="episodes: got 0, expected 1 or more"):
        evaluate_policy(IdentityEnvironment(2), NamesTheBit(), episodes=0)


def test_the_policy_is_shown_the_mask():
    class FirstAllowed(NamesTheBit):
        def act(self, observations, *, action_mask=None, deterministic=True, rng=None):
            return action_mask.argmax(1)

    played = evaluate_policy(IdentityEnvironment(20, masked=True, episode_length=30), FirstAllowed(), episodes=20)
    assert 0.2 < played.returns.sum() / played.lengths.sum() < 0.8, "a forbidden action would have raised"
