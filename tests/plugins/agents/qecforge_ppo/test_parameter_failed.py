"""Candidates that failed, or had fewer shots, cost their row and not the epoch."""

import numpy as np
import pytest

from qecforge.errors import ConfigurationError, QecforgeError
from qecforge.testing.parameters import QuadraticEnvironment
from qecforge_ppo import ParameterPPOConfig
from qecforge_ppo.parameters._failed import mean_of, shares_of, weighed
from qecforge_ppo.parameters.agent import ParameterPPO

K = 6


def search_of(**settings):
    env = QuadraticEnvironment(K)
    return env, ParameterPPO(ParameterPPOConfig(candidates=K, **settings)).search(env, 0)


def told(shots, spoiled=None, **settings):
    """Mean after three epochs, of which the second one's row 2 holds `spoiled`."""
    env, search = search_of(**settings)
    env.reset(seed=0)
    for epoch in range(3):
        rewards = np.array(env.step(search.ask())[1])
        if spoiled is not None and epoch == 1:
            rewards[2] = spoiled
        search.tell(rewards, shots=shots if epoch == 1 else None)
    return search.mean


def test_shares_and_means_by_hand():
    rewards = np.array([[1.0], [np.nan], [4.0]], np.float32)
    share = shares_of([100, 100, 50], rewards, mirrored=False)
    np.testing.assert_array_equal(share, [1.0, 0.0, 0.5])
    mean = mean_of(rewards, share)
    np.testing.assert_allclose(mean, [2.0])  # (1 + 4/2) / 1.5
    found = weighed(rewards, share, mean)
    np.testing.assert_allclose(found, [[1.0], [2.0], [3.0]])
    assert found.mean() == pytest.approx(mean[0])
    pairs = shares_of([9, 3, 9, 9], np.zeros((4, 1), np.float32), mirrored=True)
    np.testing.assert_allclose(pairs, [1.0, 1 / 3, 1.0, 1 / 3])


@pytest.mark.parametrize("settings", [{}, {"baseline": "learned"}, {"mirrored": True}])
def test_what_a_failed_candidate_says_does_not_matter(settings):
    shots = [40, 40, 0, 40, 40, 40]
    np.testing.assert_array_equal(told(shots, np.nan, **settings), told(shots, 7.0, **settings))
    np.testing.assert_array_equal(told(shots, np.nan, **settings), told([40] * K, np.inf, **settings))
    assert not np.array_equal(told(shots, 7.0, **settings), told(None, 7.0, **settings))


def test_equal_shots_change_nothing():
    np.testing.assert_array_equal(told([40] * K), told(None))
    assert not np.array_equal(told([40, 40, 40, 40, 40, 10]), told(None))


def test_too_few_are_refused_and_the_epoch_can_be_told_again():
    env, search = search_of()
    rewards = env.step(search.ask())[1]
    with pytest.raises(QecforgeError, match="2 of 6 candidates are left, expected 3 or more") as refusal:
        search.tell(rewards, shots=[1, 1, 0, 0, 0, 0])
    assert "\n" not in str(refusal.value)
    with pytest.raises(ConfigurationError, match=r"expected \(6,\) from 0 on"):
        search.tell(rewards, shots=[1, 1, -1, 1, 1, 1])
    search.tell(rewards, shots=[1, 1, 1, 1, 1, 0])
    assert (search.epoch, search.metrics()["failed_candidates"]) == (1, 1.0)


def test_it_learns_though_one_fails_in_every_epoch():
    env = QuadraticEnvironment(10)
    search = ParameterPPO(ParameterPPOConfig(candidates=10)).search(env, 0)
    env.reset(seed=0)
    before = env.rates(search.mean[None], 0).mean() - env.floor
    for epoch in range(150):
        rewards = np.array(env.step(search.ask())[1])
        shots = np.full(10, 1000)
        shots[epoch % 10], rewards[epoch % 10] = 0, np.nan
        search.tell(rewards, shots=shots)
    assert env.rates(search.mean[None], 150).mean() - env.floor < 0.5 * before
