"""CMA-ES: the library driven by hand against the agent's search, and that it is quiet, seeded and restored."""

import sys

import numpy as np
import pytest
from pydantic import ValidationError

from qecforge.errors import CheckpointError, ConfigurationError, MissingDependency, QecforgeError
from qecforge.parameters import GaussianParameters
from qecforge.testing.parameters import QuadraticEnvironment
from qecforge_baselines import CMAESConfig
from qecforge_baselines.agents import CMAES
from qecforge_baselines.units import own_generator

cma = pytest.importorskip("cma")


def searching(env, seed=0, **settings):
    return CMAES(CMAESConfig(candidates=env.num_envs, **settings)).search(env, seed)


def searched(env, epochs, seed=0, **settings):
    search = searching(env, seed, **settings)
    env.reset(seed=seed)
    for _ in range(epochs):
        search.tell(env.step(search.ask())[1])
    return search


@pytest.mark.parametrize("diagonal", [True, False])
def test_it_is_the_library_in_exploration_scales(diagonal):
    """20 generations by hand on the mean rate, in units of the scale from where control starts: the same mean."""
    env = QuadraticEnvironment(12, noise=0.0)
    search = searched(env, 20, seed=3, diagonal=diagonal)
    rng = own_generator("cma_es", 3)
    options = {"popsize": 12, "CMA_diagonal": diagonal, "seed": np.nan, "verbose": -10, "verb_log": 0}
    options["randn"] = lambda *shape: rng.standard_normal(shape)
    strategy = cma.CMAEvolutionStrategy(np.zeros(16), 0.5, options)
    for _ in range(20):
        points = strategy.ask()
        parameters = env.initial_parameters + env.exploration_scale * np.array(points)
        strategy.tell(points, env.rates(parameters).astype(np.float32).mean(1, dtype=np.float64).tolist())
    np.testing.assert_allclose(search.mean, strategy.mean, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(search.std, strategy.stds, rtol=1e-5)
    policy = search.policy()
    np.testing.assert_allclose(policy.mean, env.initial_parameters + env.exploration_scale * search.mean)
    np.testing.assert_allclose(policy.std, env.exploration_scale * search.std)


def test_candidates_are_drawn_from_the_policy():
    env = QuadraticEnvironment(2000)
    search = searching(env)
    policy = search.policy()
    np.testing.assert_array_equal(policy.mean, env.initial_parameters)
    np.testing.assert_allclose(policy.std, 0.5 * env.exploration_scale, rtol=1e-4)
    z = (search.ask() - policy.mean) / policy.std
    assert np.abs(z.mean(0)).max() < 4.5 / np.sqrt(2000)
    np.testing.assert_allclose(z.std(0), 1, atol=0.08)
    assert search.metrics() == {"sigma": pytest.approx(0.5, rel=1e-4), "displacement": 0.0}


def test_the_covariance_is_diagonal_beyond_two_thousand_parameters():
    for gates, diagonal in ((1000, False), (1001, True)):
        strategy = searching(QuadraticEnvironment(4, gates=gates))._strategy
        assert strategy.opts["CMA_diagonal"] is diagonal
    assert searching(QuadraticEnvironment(4), diagonal=True)._strategy.opts["CMA_diagonal"] is True


def test_global_random_numbers_are_left_alone_and_nothing_is_said(capfd):
    before = np.random.get_state()[1].copy()
    search = searched(QuadraticEnvironment(4), 30)
    for _ in range(30):
        search.ask()
        search.tell(np.zeros((4, 8)))
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    assert capfd.readouterr() == ("", "")


def test_no_file_is_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    searched(QuadraticEnvironment(4), 5)
    assert list(tmp_path.iterdir()) == []


def test_asking_twice_gives_the_same_candidates():
    search = searched(QuadraticEnvironment(6), 3)
    first = search.ask().copy()
    np.testing.assert_array_equal(search.ask(), first)
    search.tell(np.zeros((6, 8)))
    assert not np.array_equal(search.ask(), first)


@pytest.mark.parametrize("settings", [{}, {"diagonal": True}, {"min_sigma": 0.3}])
def test_a_restored_search_continues_bit_for_bit(settings):
    """From a policy that it was given, asked for, into another object that was seeded otherwise."""
    env = QuadraticEnvironment(6)
    search = searching(env, 4, **settings)
    search.start_from(GaussianParameters(env.optimum, 0.2 * env.exploration_scale))
    for _ in range(12):
        search.tell(env.step(search.ask())[1])
    search.ask()
    state, clock = search.state_dict(), env.state_dict()
    other = searched(QuadraticEnvironment(6), 2, seed=9, **settings)
    other.load_state_dict(state)
    assert other.epoch == 12
    for one in (search, other):
        env.load_state_dict(clock)
        for _ in range(12):
            one.tell(env.step(one.ask())[1])
    np.testing.assert_array_equal(search.mean, other.mean)
    np.testing.assert_array_equal(search.std, other.std)


def test_a_checkpoint_holds_what_was_told():
    search = searched(QuadraticEnvironment(6, gates=50), 7)
    state = search.state_dict()
    assert state["rewards"].shape == (7, 6)
    assert (state["rewards"] < 0).all()


def test_starts_from_a_given_policy():
    env = QuadraticEnvironment(400)
    search = searching(env)
    given = GaussianParameters(env.optimum, np.linspace(0.1, 2.0, 16) * env.exploration_scale)
    search.start_from(given)
    np.testing.assert_allclose(search.policy().mean, given.mean, rtol=1e-12)
    np.testing.assert_allclose(search.policy().std, given.std, rtol=1e-4)
    z = (search.ask() - given.mean) / given.std
    np.testing.assert_allclose(z.std(0), 1, atol=0.2)
    with pytest.raises(ConfigurationError, match="cma_es: the given policy has 2 parameters, expected 16"):
        search.start_from(GaussianParameters([0.0, 0.0], [1.0, 1.0]))


def test_deviations_stay_above_their_bound():
    env = QuadraticEnvironment(20)
    assert searched(env, 200).std.min() < 0.1
    assert searched(env, 200, min_sigma=0.2).std.min() >= 0.2 * (1 - 1e-9)


def test_what_is_told_must_fit():
    search = searching(QuadraticEnvironment(6))
    with pytest.raises(ConfigurationError, match="call ask first"):
        search.tell(np.zeros((6, 8)))
    search.ask()
    with pytest.raises(ConfigurationError, match=r"shape \(5, 8\), expected \(6, 8\)"):
        search.tell(np.zeros((5, 8)))
    with pytest.raises(QecforgeError, match="a reward of epoch 0 is not finite"):
        search.tell(np.full((6, 8), np.inf))
    search.tell(np.zeros((6, 8)))
    assert search.epoch == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"candidates": 2}, "2 are too few for cma: set 3 or more"),
        ({"initial_sigma": 0.0}, "greater than 0"),
        ({"min_sigma": -0.1}, "greater than or equal to 0"),
        ({"diagonal": "sometimes"}, "diagonal"),
        ({"mask": True}, "Extra inputs"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ValidationError, match=message):
        CMAESConfig.model_validate(settings)


@pytest.mark.parametrize(("candidates", "gates", "per_gate"), [(3, 8, 2), (5, 2, 1), (4, 1, 1)])
def test_few_candidates_and_few_parameters_will_do(candidates, gates, per_gate):
    env = QuadraticEnvironment(candidates, gates=gates, per_gate=per_gate, reach=1, noise=0.0)
    before = env.rates(env.initial_parameters[None]).mean() - env.floor
    after = env.rates(searched(env, 200).policy().mean[None]).mean() - env.floor
    assert after < 0.1 * before


def test_foreign_checkpoints_are_refused():
    search = searching(QuadraticEnvironment(6, gates=9))
    for wrong in ({}, searched(QuadraticEnvironment(6), 1).state_dict(), {**search.state_dict(), "rewards": [[0.0]]}):
        with pytest.raises(CheckpointError, match=r"cma_es: .*this checkpoint does not fit"):
            search.load_state_dict(wrong)


def test_a_missing_library_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "cma", None)
    with pytest.raises(MissingDependency, match=r"cma is not installed: pip install 'cma>=\d+'"):
        searching(QuadraticEnvironment(4))
