"""Parameters that gates share or lack, masks that are widened, and limits: from configuration to what is learned."""

import numpy as np
import pytest
from pydantic import ValidationError

from qecforge.errors import ConfigurationError
from qecforge_ppo import ParameterPPOConfig
from qecforge_ppo.parameters.agent import ParameterPPO
from qecforge_ppo.parameters.search import ParameterSearch
from qecforge_surface_steering import SurfaceSteering, SurfaceSteeringConfig

BASE = {"distance": 3, "rounds": 3, "parameters_per_gate": 3, "cycles": 2000}
OWN = "R 0 1\nCX[cx{}] 0 1\nM 1\nDETECTOR rec[-1]"


def device(num_envs=4, seed=0, **settings):
    return SurfaceSteering(SurfaceSteeringConfig.model_validate(BASE | settings), num_envs=num_envs, seed=seed)


def test_gates_may_have_fewer_parameters():
    """The excess is the mean over those that a gate has."""
    env = device(parameters={"xy*": 1, "cz0-9": 2})
    names = env.parameter_names
    assert [name for name in names if name.startswith("xy3.")] == ["xy3.amplitude"]
    assert [name for name in names if name.startswith("cz0-9.")] == ["cz0-9.strength", "cz0-9.frequency"]
    assert len(names) == 17 + 2 + 23 * 3
    assert env.factor_graph.num_parameters == len(names)
    off = env.optimum()
    off[[names.index("xy3.amplitude"), names.index("cz0-9.frequency")]] += 1.0
    gates = [gate.name for gate in env.model.gates]
    excess = env.gate_errors(off) - env.gate_errors(env.optimum())
    assert excess[gates.index("xy3")] == pytest.approx(1e-3, rel=0.02)
    assert excess[gates.index("cz0-9")] == pytest.approx(4e-3 / 2, rel=0.02)
    assert np.count_nonzero(excess) == 2
    *_, infos = env.step(np.tile(off, (4, 1)))
    assert infos["true_cost"] == pytest.approx(env.true_rates(off, 0).mean(), abs=1e-12)


def test_a_shared_parameter_moves_all_its_gates_and_learns_from_all_their_detectors():
    env = device(shared=[{"name": "line", "gates": ["xy0", "xy8"], "kinds": ["amplitude"]}])
    assert "xy0.amplitude" not in env.parameter_names
    at = env.parameter_names.index("line.amplitude")
    gates = [gate.name for gate in env.model.gates]
    own = [gates.index(name) for name in ("xy0", "xy8")]
    moved = env.optimum()
    moved[at] += 1.0
    assert np.flatnonzero(env.gate_errors(moved) != env.gate_errors(env.optimum())).tolist() == own
    apart = env.model.factor_graph(1)
    assert set(env.factor_graph.objectives_of(at)) == set.union(*(set(apart.objectives_of(g)) for g in own))


def test_the_optimum_of_a_shared_parameter_is_where_the_mean_rate_is_least():
    env = device(shared=[{"name": "line", "gates": ["xy*"], "kinds": ["amplitude"]}])
    at, optimum = env.parameter_names.index("line.amplitude"), env.optimum()
    around = np.tile(optimum, (401, 1))
    around[:, at] += np.linspace(-1, 1, 401)
    best = around[np.argmin(env.true_rates(around).mean(axis=1)), at]
    assert best == pytest.approx(optimum[at], abs=0.03)
    assert env.true_rates(optimum).mean() > device().true_rates(device().optimum()).mean()


@pytest.mark.parametrize("normalize", ["none", "common", "objective"])
def test_shared_parameters_are_steered_to_their_compromise(normalize):
    """From a unit off; rates that are in units of the reward, a percent or so, want larger steps."""
    shared = [{"name": "line", "gates": ["xy*"]}]
    env = device(40, parameters_per_gate=1, shared=shared, start={"kind": "miscalibrated", "sigma": 1.0}, cycles=20_000)
    config = ParameterPPOConfig(
        candidates=40, normalize_advantages=normalize, learning_rate=30.0 if normalize == "none" else 0.1
    )
    search = ParameterPPO(config).search(env, 0)
    env.reset(seed=0)
    for _ in range(150):
        search.tell(env.step(search.ask())[1])
    least, start = (env.true_rates(x).mean() for x in (env.optimum(), env.initial_parameters))
    assert env.true_rates(search.mean).mean() - least < 0.1 * (start - least)


@pytest.mark.parametrize(
    ("widen", "partners"),
    [
        ({"pairs": [["xy0", "cz8-*"]]}, ["cz8-12", "cz8-16"]),
        ({"within": 0.0}, ["cz0-9", "cz0-11"]),
        ({"within": 1.5, "pairs": [["xy0", "xy8"]]}, ["xy8", "xy9", "cz0-9"]),
    ],
)
def test_a_widened_mask_connects_partners(widen, partners):
    env, plain = device(widen=widen), device()
    gates = [gate.name for gate in env.model.gates]
    partners = [name for name in partners if name in gates]
    assert partners
    seen, before = (
        set(graph.objectives_of(3 * gates.index("xy0"))) for graph in (env.factor_graph, plain.factor_graph)
    )
    wanted = set.union(*(set(plain.factor_graph.objectives_of(3 * gates.index(name))) for name in partners))
    assert before | wanted <= seen
    for one, other in env.config.crosstalk().tolist():
        for g, h in ((one, other), (other, one)):
            theirs = set(plain.factor_graph.objectives_of(3 * h))
            assert theirs <= set(env.factor_graph.objectives_of(3 * g))


def test_crosstalk_is_learned_with_a_widened_mask_only():
    """A device of ours: the amplitude of xy0 also disturbs xy8, far away, and five times as much as its own gate. What
    is best for both is found with the pair, and what is best for xy0 alone without it."""
    left = {}
    for widened in (False, True):
        env = device(40, parameters_per_gate=1, widen={"pairs": [["xy0", "xy8"]]} if widened else {})
        gates = [gate.name for gate in env.model.gates]
        own, far = gates.index("xy0"), gates.index("xy8")
        optimum, rng = env.optimum(), np.random.default_rng(0)

        def rates(x, env=env, own=own, far=far, optimum=optimum):
            errors = env.gate_errors(x)
            errors[..., far] += 5e-3 * np.square(x[..., own] - optimum[own] - 1.0)
            return env.model.rates(errors)

        search = ParameterSearch(
            ParameterPPOConfig(candidates=40, learning_rate=0.1),
            env.initial_parameters,
            env.exploration_scale,
            num_objectives=env.model.num_objectives,
            factor_graph=env.factor_graph,
        )
        for _ in range(150):
            exact = rates(search.ask().astype(np.float64))
            search.tell(-(exact + 1e-4 * rng.standard_normal(exact.shape)))
        left[widened] = search.mean[own] - optimum[own]
    assert abs(left[False]) < 0.2
    assert left[True] == pytest.approx(5 / 6, abs=0.2)


def test_limits_reach_the_agent():
    limits = [
        {"low": -9, "high": 9},
        {"parameters": ["cz*.strength"], "step": 0.1},
        {"parameters": ["cz0-9.*"], "high": 8},
    ]
    env = device(40, limits=limits)
    at = env.parameter_names.index("cz0-9.strength")
    assert (env.limits.lower[at], env.limits.upper[at], env.limits.largest_step[at]) == (-9, 8, 0.1)
    assert env.limits.largest_step[at + 1] == np.inf
    search = ParameterPPO(ParameterPPOConfig(candidates=40)).search(env, 0)
    assert np.abs(search.ask()[:, at] - env.initial_parameters[at]).max() == pytest.approx(0.1)
    with pytest.raises(
        ConfigurationError, match=r"limits: xy\d+\.\w+ starts at .* outside its bounds 2 to inf .*: widen"
    ):
        device(limits=[{"low": 2}])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"widen": {"pairs": [["xy0", "foo*"]]}}, r"widen: 'foo\*' matches no gate: there are xy0, xy1, …, cz0-9"),
        (
            {"code": "circuit", "distance": None, "circuit": OWN, "rounds": 1, "widen": {"within": 1}},
            "widen: within: qubit 0 of cx0-1 has no place",
        ),
        ({"parameters": {"xy*": 4}}, r"parameters: 'xy\*' has 4: give 1 to 3"),
        ({"parameters": {"xy*": 1, "xy3": 2}}, r"parameters: 'xy\*' and 'xy3' are both about xy3: keep one"),
        ({"shared": [{"name": "a", "gates": ["foo"]}]}, "'foo' matches no gate"),
        (
            {"shared": [{"name": "a", "gates": ["xy*"]}, {"name": "b", "gates": ["xy0"]}]},
            "shared: xy0.amplitude is part of a.amplitude and of b: keep one",
        ),
        ({"shared": [{"name": "xy0", "gates": ["xy1", "xy2"]}]}, "xy0.amplitude is the name of a gate's own parameter"),
        ({"limits": [{"parameters": ["foo"]}]}, "'foo' matches no parameter"),
        ({"limits": [{"low": 1, "high": 0}]}, "xy0.amplitude has to be from 1 to 0: let low be at most high"),
    ],
)
def test_what_is_refused(settings, message):
    with pytest.raises(ValidationError, match=message) as caught:
        SurfaceSteeringConfig.model_validate(BASE | settings)
    assert len(caught.value.errors()) == 1
    assert "\n" not in caught.value.errors()[0]["msg"]
