"""The filter against regression written out, and what it follows."""

import numpy as np
import pytest

from qecforge.contracts import FactorGraph
from qecforge.errors import ConfigurationError, QecforgeError
from qecforge.testing.parameters import QuadraticEnvironment, ring_graph
from qecforge_filter import ParameterFilterConfig
from qecforge_filter.agent import ParameterFilter
from qecforge_filter.search import MOST_PARAMETERS, FilterSearch
from qecforge_ppo import ParameterPPOConfig
from qecforge_ppo.parameters.agent import ParameterPPO
from qecforge_surface_steering import SurfaceSteering, SurfaceSteeringConfig


def search_of(env, seed=0, **settings):
    return ParameterFilter(ParameterFilterConfig(candidates=env.num_envs, **settings)).search(env, seed)


def test_candidates_are_pairs_around_the_mean():
    env = QuadraticEnvironment(400)
    search = search_of(env, exploration=0.3)
    away = (search.ask() - search.mean) / env.exploration_scale
    np.testing.assert_allclose(away[:200], -away[200:], atol=1e-12)
    assert away.std() == pytest.approx(0.3, rel=0.03)
    np.testing.assert_array_equal(search.ask(), search.ask())


def test_an_epoch_is_bayesian_regression_written_out():
    """Against the joint posterior of d by dense matrices, with the curvature and noise that the filter has learned."""
    env = QuadraticEnvironment(12, noise=0.001)
    search = search_of(env, drift=0.1, initial_uncertainty=0.7)
    env.reset(seed=0)
    candidates = search.ask().copy()
    start = search.mean
    rewards = np.array(env.step(candidates)[1], np.float64)
    search.tell(rewards)
    z = (candidates[:6] - start) / env.exploration_scale
    design, target, precision = [], [], []
    graph, weights = env.graph, search._weights * search._curvature
    for j in range(graph.num_objectives):
        design.append(-2 * z * weights[j, graph.group])
        target.append((rewards[:6, j] - rewards[6:, j]) / 2)
        precision.append(np.full(6, 1 / search._noise[j]))
    X, y, w = np.concatenate(design), np.concatenate(target), np.concatenate(precision)
    covariance = np.linalg.inv(X.T @ (X * w[:, None]) + np.eye(16) / (0.7**2 + 0.1**2))
    expected = start - env.exploration_scale * (covariance @ (X.T @ (w * y)))
    np.testing.assert_allclose(search.mean, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(search._variance, np.diag(covariance), rtol=1e-9)


def test_curvatures_that_nobody_knew_are_learned():
    """True ones are twice what the graph says."""
    env = QuadraticEnvironment(40, noise=0.0003, offset=0.2)
    graph = ring_graph(8, 2, 3, env.curvature / 2 / 2)
    search = FilterSearch(
        ParameterFilterConfig(candidates=40),
        env.initial_parameters,
        env.exploration_scale,
        num_objectives=8,
        factor_graph=graph,
    )
    env.reset(seed=0)
    for _ in range(40):
        search.tell(env.step(search.ask())[1])
    np.testing.assert_allclose(search._curvature, 2.0, rtol=0.15)
    assert search.metrics()["curvature"] == pytest.approx(2.0, rel=0.05)


def improvement(agent, frequency, seed, epochs=150, settle=20):
    """(N_agent - N_fixed) / (N_optimal - N_fixed), exploration included, of a sine on all parameters."""
    drift = [{"profile": "sinusoid", "frequency": frequency, "amplitude": 1.0}]
    settings = {"distance": 3, "rounds": 5, "parameters_per_gate": 1, "cycles": 36_000, "drift": drift}
    env = SurfaceSteering(SurfaceSteeringConfig.model_validate(settings), num_envs=50, seed=seed)
    search = agent.search(env, seed)
    env.reset(seed=seed)
    costs = np.zeros((3, epochs))
    for epoch in range(epochs):
        controls = (env.initial_parameters, env.optimum())
        costs[1:, epoch] = [env.true_rates(each, epoch).mean() for each in controls]
        _, rewards, _, _, infos = env.step(search.ask())
        costs[0, epoch] = infos["true_cost"]
        search.tell(rewards)
    ours, fixed, optimal = costs[:, settle:].mean(axis=1)
    return (ours - fixed) / (optimal - fixed)


def test_it_follows_what_policy_gradients_are_too_slow_for():
    """A period of 25 epochs: with the filter most of the gain is there, `parameter_ppo` is worse than doing nothing."""
    assert improvement(ParameterFilter(ParameterFilterConfig(candidates=50)), 1 / 25, 11) > 0.6
    assert improvement(ParameterPPO(ParameterPPOConfig(candidates=50)), 1 / 25, 11) < 0.0


def test_gates_that_differ_from_what_is_believed_are_followed_too():
    """Floors spread by e^0.5: a gate's curvature, in exploration scales, is its own floor; the median is known."""
    floor = {"single_qubit": 1e-3, "two_qubit": 4e-3, "spread": 0.5}
    settings = {"distance": 3, "parameters_per_gate": 3, "cycles": 20_000, "floor": floor}
    env = SurfaceSteering(
        SurfaceSteeringConfig.model_validate(settings | {"start": {"kind": "miscalibrated", "sigma": 0.5}}),
        num_envs=40,
        seed=4,
    )
    search = search_of(env)
    env.reset(seed=4)
    best = env.true_rates(env.optimum()).mean()
    excess = env.true_rates(search.mean).mean() - best
    for _ in range(40):
        search.tell(env.step(search.ask())[1])
    assert env.true_rates(search.mean).mean() - best < 0.2 * excess


def test_weights_of_the_graph_are_slopes_of_the_exact_rates():
    """A parameter one exploration scale off, beside what the graph says; of fewer and of shared parameters too."""
    shared = [{"name": "line", "gates": ["xy0", "xy1"], "kinds": ["amplitude"]}]
    settings = {"distance": 3, "rounds": 5, "parameters_per_gate": 3, "parameters": {"cz*": 2}, "shared": shared}
    env = SurfaceSteering(SurfaceSteeringConfig.model_validate(settings), num_envs=6, seed=0)
    graph = env.factor_graph
    weights = np.zeros((graph.num_objectives, graph.num_groups))
    weights[np.repeat(np.arange(graph.num_objectives), np.diff(graph.indptr)), graph.indices] = graph.weights
    for name in ("xy4.drag", "cz0-9.strength"):
        at = env.parameter_names.index(name)
        off = env.optimum()
        off[at] += 0.1 * env.exploration_scale[at]
        rise = (env.true_rates(off) - env.true_rates(env.optimum())) / 0.01
        np.testing.assert_allclose(rise, weights[:, graph.group[at]], rtol=0.02, atol=1e-9)
    line = env.parameter_names.index("line.amplitude")
    gates = [gate.name for gate in env.model.gates]
    apart = env.model._slopes(np.where(env.circuits[0].family == 1, 1e-3, 4e-3))[
        :, [gates.index("xy0"), gates.index("xy1")]
    ]
    np.testing.assert_allclose(weights[:, graph.group[line]], apart.sum(axis=1) * 1e-3 / 3)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (None, "does not say by how much objectives depend on parameters"),
        (FactorGraph([0, 1], [0], 1, 1, [0], 1), "takes a factor graph with weights"),
        (FactorGraph([0, 1], [0], 1, 2, [0, 0], 1, [1.0]), "1 objectives and 2 parameters, expected 1 and 1"),
    ],
)
def test_graphs_that_say_too_little_are_refused(graph, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        FilterSearch(ParameterFilterConfig(), [0.0], [1.0], num_objectives=1, factor_graph=graph)
    assert "\n" not in str(caught.value)


def test_too_many_parameters_are_refused():
    n = MOST_PARAMETERS + 1
    graph = FactorGraph([0, 1], [0], 1, n, np.zeros(n, int), 1, [1.0])
    with pytest.raises(ConfigurationError, match=f"{n} parameters are too many"):
        FilterSearch(ParameterFilterConfig(), np.zeros(n), np.ones(n), num_objectives=1, factor_graph=graph)


@pytest.mark.parametrize("weights", [[1.0, 2.0], [-1.0], [np.nan]])
def test_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(ConfigurationError, match="give one number from 0 for each of the 1 indices"):
        FactorGraph([0, 1], [0], 1, 1, [0], 1, weights)


def test_what_cannot_be_told():
    env = QuadraticEnvironment(6)
    search = search_of(env)
    with pytest.raises(ConfigurationError, match="call ask first"):
        search.tell(np.zeros((6, 8)))
    search.ask()
    with pytest.raises(ConfigurationError, match=r"rewards have shape \(5, 8\), expected \(6, 8\)"):
        search.tell(np.zeros((5, 8)))
    with pytest.raises(QecforgeError, match="a reward of epoch 0 is not finite"):
        search.tell(np.full((6, 8), np.nan))
    search.tell(np.zeros((6, 8)))
    assert np.isfinite(search.mean).all()
