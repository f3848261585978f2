"""Bounds and largest steps of parameters: kept by every candidate and by the mean, and learned within."""

import numpy as np
import pytest

from qecforge.contracts import ParameterLimits
from qecforge.errors import ConfigurationError
from qecforge.parameters import GaussianParameters
from qecforge.testing.contexts import RecordingContext
from qecforge.testing.parameters import QuadraticEnvironment
from qecforge_baselines.agents import CMAES, SPSA
from qecforge_baselines.config import CMAESConfig, SPSAConfig
from qecforge_ppo import ParameterPPOConfig
from qecforge_ppo.parameters.agent import ParameterPPO

K = 20


def limited(**limits):
    env = QuadraticEnvironment(K)
    env.limits = ParameterLimits.of(len(env.initial_parameters), **limits)
    return env


def agent_of(kind, epochs=60):
    if kind == "spsa":
        return SPSA(SPSAConfig(candidates=K, total_epochs=epochs))
    return ParameterPPO(ParameterPPOConfig(candidates=K, total_epochs=epochs, ratio=kind, learning_rate=0.1))


@pytest.mark.parametrize("kind", ["coordinate", "objective", "spsa"])
def test_candidates_and_mean_keep_the_box_and_the_largest_step(kind):
    """Steps of a tenth of the deviation: most candidates are moved, and none is further off, in any epoch."""
    start = QuadraticEnvironment(K).initial_parameters
    scale = QuadraticEnvironment(K).exploration_scale
    step = 0.05 * scale
    env = limited(lower=start - 0.3 * scale, upper=start + 0.2 * scale, largest_step=step)
    search = agent_of(kind).search(env, 0)
    env.reset(seed=0)
    for _ in range(60):
        before, candidates = search.policy().mean, search.ask().copy()
        assert (candidates >= env.limits.lower).all()
        assert (candidates <= env.limits.upper).all()
        assert (np.abs(candidates - before) <= step * (1 + 1e-12)).all()
        assert (np.abs(candidates - before) > 0.99 * step).mean() > 0.3
        search.tell(env.step(candidates)[1])
        after = search.policy().mean
        assert (np.abs(after - before) <= step * (1 + 1e-5) + 1e-7).all()
        assert (after >= env.limits.lower).all()
        assert (after <= env.limits.upper).all()
    assert np.abs(after - start).max() > 0.19 * scale.min(), "it never went to its bounds"


def test_an_optimum_beyond_the_bounds_is_met_at_the_bound_and_one_inside_is_found():
    env = QuadraticEnvironment(K, noise=0.0005)
    outside = np.abs(env.optimum - env.initial_parameters) > 0.5 * env.exploration_scale
    assert 3 < outside.sum() < len(outside) - 3
    half = 0.5 * env.exploration_scale
    env.limits = ParameterLimits(
        env.initial_parameters - half, env.initial_parameters + half, np.full(len(half), np.inf)
    )
    search = ParameterPPO(ParameterPPOConfig(candidates=K, initial_sigma=0.2, entropy=0.0)).search(env, 1)
    env.reset(seed=1)
    for _ in range(400):
        search.tell(env.step(search.ask())[1])
    best = env.limits.inside(env.optimum)
    assert np.sqrt(np.mean(np.square((search.mean - best) / env.exploration_scale))) < 0.12


def test_without_limits_nothing_changes_and_wide_ones_change_no_step():
    means = []
    for limits in (None, ParameterLimits.of(16, lower=-1e6, upper=1e6, largest_step=1e6)):
        env = QuadraticEnvironment(K)
        env.limits = limits
        search = agent_of("coordinate").search(env, 3)
        env.reset(seed=3)
        for _ in range(5):
            search.tell(env.step(search.ask().astype(np.float32))[1])
        means.append(search.mean)
    np.testing.assert_array_equal(*means)


def test_a_restored_search_keeps_them_and_goes_on_bit_for_bit():
    found = []
    for stop in (None, 7):
        env = limited(largest_step=0.02)
        agent = agent_of("coordinate", 20)
        search = agent.search(env, 0)
        env.reset(seed=0)
        for epoch in range(20):
            if epoch == stop:
                state = search.state_dict()
                search = agent.search(env, 9)
                search.load_state_dict(state)
            search.tell(env.step(search.ask())[1])
        found.append(search.mean)
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"lower": 5.0}, r"gate0\[0\] starts at .*, outside its bounds 5 to inf \(\d+ more likewise\): widen them"),
        ({"lower": 1.0, "upper": -1.0}, "parameter 0 has the bounds 1 and -1: give two numbers, the lower one first"),
        ({"lower": np.nan}, "parameter 0 has the bounds nan and inf"),
        ({"largest_step": 0.0}, "the largest step of parameter 0 is 0: give a number above 0"),
        ({"upper": [1.0, 2.0]}, r"upper has shape \(2,\): give a number, or one for each of the 16"),
    ],
)
def test_what_is_refused(limits, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        agent_of("coordinate").search(limited(**limits), 0)
    assert "\n" not in str(caught.value)


def test_a_policy_outside_the_bounds_is_no_start():
    env = limited(lower=-8.0, upper=8.0)
    policy = GaussianParameters(np.full(16, 9.0), np.ones(16))
    with pytest.raises(ConfigurationError, match="starts at 9, outside its bounds -8 to 8"):
        agent_of("coordinate").train(env, RecordingContext(env), policy=policy)


def test_an_agent_that_keeps_no_limits_is_refused():
    with pytest.raises(ConfigurationError, match="cma_es: it keeps no limits of parameters"):
        CMAES(CMAESConfig(candidates=K)).search(limited(largest_step=1.0), 0)
