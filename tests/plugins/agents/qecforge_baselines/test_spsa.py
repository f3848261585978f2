"""SPSA: gains by hand, the estimate against loops and against the true gradient, and what is refused."""

import numpy as np
import pytest
from pydantic import ValidationError

from qecforge.errors import CheckpointError, ConfigurationError, QecforgeError
from qecforge.parameters import GaussianParameters
from qecforge.testing.parameters import QuadraticEnvironment
from qecforge_baselines import SPSAConfig
from qecforge_baselines.agents import SPSA


def searching(env, seed=0, **settings):
    return SPSA(SPSAConfig(candidates=env.num_envs, **settings)).search(env, seed)


def searched(env, epochs, seed=0, **settings):
    search = searching(env, seed, **settings)
    env.reset(seed=seed)
    for _ in range(epochs):
        search.tell(env.step(search.ask())[1])
    return search


def excess(env, search, epoch=0):
    return env.rates(search.policy().mean[None], epoch).mean() - env.floor


def test_gains_are_those_of_spall():
    """By hand, with A = 0.1 * 100: c_3 = 0.5 / 4^0.101 and a_3 = a / 14^0.602, a set by the first step's size."""
    search = searched(QuadraticEnvironment(4), 3, total_epochs=100)
    assert search.perturbation == pytest.approx(0.5 / 4**0.101)
    assert search.step_size == pytest.approx(search.gain / 14**0.602)
    assert search.metrics()["sigma"] == search.perturbation


def test_the_first_step_has_the_size_that_was_set():
    for size in (0.02, 0.2):
        search = searched(QuadraticEnvironment(10), 1, first_step=size)
        assert search.metrics()["displacement"] == pytest.approx(size)


def test_one_pair_by_hand():
    """Slope 3 in one direction: a pair sees it exactly, and the first step is first_step, upwards."""
    env = QuadraticEnvironment(2, gates=1, per_gate=1, reach=1)
    search = searching(env, perturbation=0.25, first_step=0.1)
    asked = (search.ask() - env.initial_parameters) / env.exploration_scale
    np.testing.assert_allclose(np.sort(asked.ravel()), [-0.25, 0.25])
    search.tell(3.0 * asked)
    np.testing.assert_allclose(search.mean, [0.1])
    assert search.gain == pytest.approx(0.1 / 3.0 * 101**0.602)


def test_the_estimate_is_that_of_plain_loops():
    env = QuadraticEnvironment(8, noise=0.01)
    search = searched(env, 3)
    before, gain = search.mean.copy(), search.step_size
    asked = (search.ask() - env.initial_parameters) / env.exploration_scale
    _, rewards, *_ = env.step(search.ask())
    estimate = np.zeros(16)
    for pair in range(4):
        for i in range(16):
            change = rewards[pair].mean(dtype=float) - rewards[pair + 4].mean(dtype=float)
            estimate[i] += change / (asked[pair, i] - asked[pair + 4, i]) / 4
    search.tell(rewards)
    np.testing.assert_allclose(search.mean, before + gain * estimate, rtol=1e-9, atol=1e-12)


def test_the_estimate_is_unbiased():
    """Of a quadratic reward: mirrored pairs cancel its curvature, and 20,000 pairs leave the gradient."""
    env = QuadraticEnvironment(40_000, gates=3, reach=1, noise=0.0)
    search = searched(env, 1, perturbation=0.7)
    slope = -env.gradient(env.initial_parameters) * env.exploration_scale / 3  # of the mean of three objectives
    estimate = search.mean / (search.gain / 101**0.602)
    np.testing.assert_allclose(estimate, slope, atol=5 * np.linalg.norm(slope) / np.sqrt(20_000))


def test_directions_are_signs_and_pairs_are_mirrored():
    env = QuadraticEnvironment(2000)
    asked = (searching(env).ask() - env.initial_parameters) / env.exploration_scale
    np.testing.assert_allclose(np.abs(asked), 0.5, rtol=1e-12)
    np.testing.assert_allclose(asked[:1000], -asked[1000:], rtol=1e-9)
    assert np.abs(np.sign(asked[:1000]).mean(0)).max() < 5 / np.sqrt(1000)


def test_a_fixed_seed_gives_this_trajectory():
    """Elementary operations only: the same on every machine."""
    search = searched(QuadraticEnvironment(4, noise=0.0), 5, seed=11, total_epochs=50)
    np.testing.assert_allclose(search.mean[:4], [0.1404418, 0.1347085, -0.0133963, -0.0367526], rtol=1e-4)


def test_flat_rewards_move_nothing_and_the_gain_waits():
    env = QuadraticEnvironment(4)
    search = searching(env)
    search.ask()
    search.tell(np.zeros((4, 8)))
    assert search.gain is None
    assert search.metrics() == {"sigma": search.perturbation, "displacement": 0.0, "step_size": 0.0}
    search.tell(env.step(search.ask())[1])
    assert search.metrics()["displacement"] == pytest.approx(0.1)


def test_steps_are_cut():
    """The gain that a nearly flat start leads to is far too large elsewhere."""
    env = QuadraticEnvironment(4)
    search = searching(env, max_step=0.15)
    asked = search.ask()
    search.tell(1e-9 * np.arange(4)[:, None] * np.ones(8))
    before = search.mean.copy()
    search.ask()
    search.tell(np.square(asked).sum(1, keepdims=True) * np.ones(8))
    assert np.sqrt(np.square(search.mean - before).mean()) == pytest.approx(0.15)


def test_steps_that_do_not_decay_follow_a_drifting_optimum():
    left = {}
    for decay in (0.0, 0.602):
        env = QuadraticEnvironment(40, amplitude=1.0, frequency=1 / 150)
        search = searching(env, step_decay=decay, perturbation_decay=decay / 6, total_epochs=900)
        env.reset(seed=0)
        costs = []
        for epoch in range(900):
            search.tell(env.step(search.ask())[1])
            costs.append(excess(env, search, epoch))
        left[decay] = np.mean(costs[600:])
    assert left[0.0] < 0.5 * left[0.602]


def test_a_restored_search_continues_bit_for_bit():
    """Also into another object that was seeded otherwise; asked for or not; before the first gain too."""
    for epochs in (0, 3):
        env = QuadraticEnvironment(6)
        search = searched(env, epochs, seed=4)
        search.ask()
        other = searched(QuadraticEnvironment(6), 2, seed=9)
        other.load_state_dict(search.state_dict())
        clock = env.state_dict()
        for one in (search, other):
            env.load_state_dict(clock)
            for _ in range(3):
                one.tell(env.step(one.ask())[1])
        np.testing.assert_array_equal(search.mean, other.mean)
        assert search.metrics() == other.metrics()


def test_starts_from_a_given_policy():
    env = QuadraticEnvironment(4)
    search = searching(env)
    search.ask()
    search.start_from(GaussianParameters(env.optimum, np.ones(16)))
    np.testing.assert_allclose(search.ask().mean(0), env.optimum, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(search.policy().std, 0.5 * env.exploration_scale)
    with pytest.raises(ConfigurationError, match="spsa: the given policy has 2 parameters, expected 16"):
        search.start_from(GaussianParameters([0.0, 0.0], [1.0, 1.0]))


def test_what_is_told_must_fit():
    search = searching(QuadraticEnvironment(6))
    with pytest.raises(ConfigurationError, match="call ask first"):
        search.tell(np.zeros((6, 8)))
    search.ask()
    with pytest.raises(ConfigurationError, match=r"shape \(6,\), expected \(6, 8\)"):
        search.tell(np.zeros(6))
    with pytest.raises(QecforgeError, match="a reward of epoch 0 is not finite"):
        search.tell(np.full((6, 8), np.nan))
    search.tell(np.zeros((6, 8)))
    assert search.epoch == 1


def test_foreign_checkpoints_are_refused():
    search = searching(QuadraticEnvironment(6, gates=9))
    for wrong in ({}, searching(QuadraticEnvironment(6)).state_dict(), {**search.state_dict(), "gain": "much"}):
        with pytest.raises(CheckpointError, match=r"spsa: .*this checkpoint does not fit"):
            search.load_state_dict(wrong)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"candidates": 5}, "5 do not make pairs: set an even number"),
        ({"first_step": 0.3}, "max_step: 0.2 is below first_step 0.3"),
        ({"perturbation": 0.0}, "greater than 0"),
        ({"first_step": -1.0}, "greater than 0"),
        ({"learning_rate": 0.1}, "Extra inputs"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ValidationError, match=message):
        SPSAConfig.model_validate(settings)
