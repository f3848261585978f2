"""Asking and telling, and what is refused."""

import numba
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from qecforge.contracts import FactorGraph
from qecforge.errors import CheckpointError, ConfigurationError, QecforgeError
from qecforge.parameters import GaussianParameters
from qecforge.testing.agents import IdentityEnvironment
from qecforge.testing.contexts import RecordingContext
from qecforge.testing.parameters import QuadraticEnvironment
from qecforge_ppo import ParameterPPOConfig
from qecforge_ppo.parameters import _setup
from qecforge_ppo.parameters.agent import ParameterPPO
from qecforge_ppo.parameters.search import ParameterSearch


def searched(env, epochs, seed=0, **settings):
    """A search that has seen so many epochs, and the true cost of the mean after each."""
    search = ParameterPPO(ParameterPPOConfig(candidates=env.num_envs, **settings)).search(env, seed)
    env.reset(seed=seed)
    costs = []
    for epoch in range(epochs):
        search.tell(env.step(search.ask())[1])
        costs.append(env.rates(search.mean[None], epoch).mean() - env.floor)
    return search, np.array(costs)


def test_candidates_are_drawn_from_the_policy():
    """In the parameters' own units, whatever they are."""
    env = QuadraticEnvironment(2000)
    search = ParameterSearch(
        ParameterPPOConfig(candidates=2000), env.initial_parameters, env.exploration_scale, num_objectives=8
    )
    z = (search.ask() - search.mean) / search.std
    assert np.abs(z.mean(0)).max() < 4 / np.sqrt(2000)
    np.testing.assert_allclose(z.std(0), 1, atol=0.07)
    np.testing.assert_allclose(search.std, 0.5 * env.exploration_scale, rtol=1e-6)
    np.testing.assert_array_equal(search.mean, env.initial_parameters)


def test_asking_twice_gives_the_same_candidates():
    search, _ = searched(QuadraticEnvironment(6), 3)
    first = search.ask().copy()
    np.testing.assert_array_equal(search.ask(), first)
    search.tell(np.zeros((6, 8)))
    assert not np.array_equal(search.ask(), first)


@pytest.mark.parametrize("ratio", ["coordinate", "objective"])
def test_threads_change_nothing(ratio):
    """8,000 parameters are enough to be shared out."""
    results = []
    for threads in (1, 2):
        env = QuadraticEnvironment(20, gates=400, per_gate=20)
        search, _ = searched(env, 4, ratio=ratio, threads=threads, learning_rate=0.02)
        assert search._tasks == min(threads, numba.get_num_threads())
        results.append(search)
    np.testing.assert_array_equal(results[0].mean, results[1].mean)
    np.testing.assert_array_equal(results[0].std, results[1].std)


def test_a_restored_search_continues_bit_for_bit_with_replay():
    """Also into another object that was seeded otherwise and has gone elsewhere; asked for or not."""
    env = QuadraticEnvironment(10, gates=70, per_gate=3)
    settings = {"replay": 3, "baseline": "learned"}
    search, _ = searched(env, 7, **settings)
    search.ask()
    state, clock = search.state_dict(), env.state_dict()
    other, _ = searched(QuadraticEnvironment(10, gates=70, per_gate=3), 4, seed=9, **settings)
    other.load_state_dict(state)
    for one in (search, other):
        env.load_state_dict(clock)
        for _ in range(5):
            one.tell(env.step(one.ask())[1])
    np.testing.assert_array_equal(search.mean, other.mean)
    np.testing.assert_array_equal(search.std, other.std)
    assert search.metrics() == other.metrics()


def test_a_checkpoint_is_small():
    """Replayed candidates are drawn again rather than kept."""
    env = QuadraticEnvironment(40, gates=100, per_gate=20)
    search, _ = searched(env, 4, replay=3)
    size = sum(np.asarray(value).nbytes for value in search.state_dict().values())
    assert size < 0.5 * search.ask().nbytes


def test_tracks_a_drifting_optimum():
    """A sine of one exploration scale: less than a quarter of a fixed policy's excess is left, on average."""
    env = QuadraticEnvironment(40, offset=0.0, amplitude=1.0, frequency=1 / 400)
    _, costs = searched(env, 800)
    fixed = [env.rates(env.initial_parameters[None], epoch).mean() - env.floor for epoch in range(800)]
    assert costs[400:].mean() < 0.25 * np.mean(fixed[400:])


def test_the_mask_saves_epochs_where_there_are_many_gates():
    """100 gates: with the mask a fraction of the excess is left of what plain PGPE leaves."""
    left = {}
    for mask in (True, False):
        env = QuadraticEnvironment(40, gates=100)
        left[mask] = searched(env, 150, mask=mask)[1][-1]
    assert left[True] < 0.3 * left[False]


def test_replay_saves_epochs():
    """Twice the rate with three epochs replayed is no noisier than without any."""
    env = QuadraticEnvironment(8, noise=0.01)
    _, alone = searched(env, 60, replay=0)
    _, replayed = searched(env, 60, replay=3)
    assert abs(np.log(replayed[-20:].mean() / alone[-20:].mean())) < 1.0


def test_entropy_keeps_the_deviation_wide_and_bounds_hold():
    env = QuadraticEnvironment(40)
    sigmas = [searched(env, 400, entropy=entropy)[0].metrics()["sigma"] for entropy in (0.0, 0.03, 0.3)]
    assert sigmas == sorted(sigmas)
    assert sigmas[2] > 1.5 * sigmas[0]
    search, _ = searched(env, 200, entropy=50.0, max_sigma=0.75)
    np.testing.assert_allclose(search.std, 0.75 * env.exploration_scale, rtol=1e-6)
    search, _ = searched(env, 600, entropy=0.0, sigma_learning_rate=0.1, min_sigma=0.4)
    assert (search.std >= 0.4 * env.exploration_scale * (1 - 1e-6)).all()


def test_schedules_are_followed():
    env = QuadraticEnvironment(10)
    frozen, _ = searched(env, 5, total_epochs=10, learning_rate={"from": 0.0, "to": 0.0})
    np.testing.assert_array_equal(frozen.mean, env.initial_parameters)
    search, _ = searched(env, 5, total_epochs=10, learning_rate={"from": 0.0, "to": 1.0})
    assert not np.array_equal(search.mean, env.initial_parameters)


def test_starts_from_a_given_policy_and_leaves_it_alone():
    env = QuadraticEnvironment(10)
    agent = ParameterPPO(ParameterPPOConfig(candidates=10, total_epochs=20))
    given = GaussianParameters(env.optimum, 0.2 * env.exploration_scale)
    context = RecordingContext(env, stop_after=1)
    same = agent.train(env, context, policy=given)
    np.testing.assert_allclose(same.mean, env.optimum, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(same.std, given.std, rtol=1e-5)
    trained = agent.train(env, RecordingContext(env), policy=given)
    assert not np.array_equal(trained.mean, same.mean)
    np.testing.assert_array_equal(given.mean, env.optimum)
    with pytest.raises(ConfigurationError, match="2 parameters, expected 16"):
        agent.train(env, RecordingContext(env), policy=GaussianParameters([0.0, 0.0], [1.0, 1.0]))


def test_reports_are_means_over_the_epochs_between():
    env = QuadraticEnvironment(10)
    rates = {}
    for every in (1, 5):
        agent = ParameterPPO(ParameterPPOConfig(candidates=10, total_epochs=12, report_every=every))
        context = RecordingContext(env)
        agent.train(env, context)
        assert context.advances[-1].step == 12
        rates[every] = context.metrics["cost"]
    expected = [np.mean(rates[1][start : start + 5]) for start in (0, 5, 10)]
    np.testing.assert_allclose(rates[5], expected)


def test_what_is_told_must_fit():
    search, _ = searched(QuadraticEnvironment(6), 2)
    with pytest.raises(ConfigurationError, match="call ask first"):
        search.tell(np.zeros((6, 8)))
    search.ask()
    with pytest.raises(ConfigurationError, match=r"shape \(6,\), expected \(6, 8\)"):
        search.tell(np.zeros(6))
    for bad in (np.nan, np.inf):
        rewards = np.zeros((6, 8))
        rewards[2, 3] = bad
        with pytest.raises(QecforgeError, match="epoch 2 is not finite"):
            search.tell(rewards)
    search.tell(np.zeros((6, 8)))
    assert search.epoch == 3


def test_a_parameter_without_objective_is_named():
    graph = FactorGraph([0, 1], [0], num_objectives=1, num_parameters=6, group=[0, 1, 1, 1, 1, 0], num_groups=2)
    settings = {"num_objectives": 1, "factor_graph": graph, "parameter_names": [f"gate{i}" for i in range(6)]}
    with pytest.raises(ConfigurationError, match="parameter gate1, gate2, gate3 and 1 more: leave them out"):
        ParameterSearch(ParameterPPOConfig(), np.zeros(6), np.ones(6), **settings)
    ParameterSearch(ParameterPPOConfig(mask=False), np.zeros(6), np.ones(6), **settings)


@pytest.mark.parametrize(
    ("initial", "scale", "message"),
    [
        ([0.0, 0.0], [1.0], "two rows alike"),
        ([], [], "two rows alike"),
        ([0.0, np.nan], [1.0, 1.0], "not finite"),
        ([0.0, 0.0], [1.0, 0.0], "scales > 0"),
    ],
)
def test_arrays_are_checked(initial, scale, message):
    with pytest.raises(ConfigurationError, match=message):
        ParameterSearch(ParameterPPOConfig(), initial, scale)


def test_another_graph_is_refused():
    env = QuadraticEnvironment()
    with pytest.raises(ConfigurationError, match="8 objectives and 16 parameters, expected 8 and 4"):
        ParameterSearch(ParameterPPOConfig(), np.zeros(4), np.ones(4), num_objectives=8, factor_graph=env.factor_graph)


def test_too_many_candidates_are_refused_before_anything_is_allocated(monkeypatch):
    monkeypatch.setattr(_setup, "_available_memory", lambda: 2**30)
    with pytest.raises(
        ConfigurationError, match=r"1000000 candidates of 109470 parameters in 2 epochs take 1224\.2 GiB"
    ):
        ParameterSearch(ParameterPPOConfig(candidates=1_000_000), np.zeros(109_470), np.ones(109_470))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"initial_sigma": 0.0}, "greater than 0"),
        ({"initial_sigma": 20.0}, "initial_sigma: 20.0 lies outside"),
        ({"candidates": 1}, "greater than or equal to 2"),
        ({"candidates": 5, "mirrored": True}, "set an even number from 4"),
        ({"clip": 1.0}, "less than 1"),
        ({"adam_betas": (0.9, 1.0)}, "adam_betas: got"),
        ({"entropy": -1.0}, "entropy"),
        ({"gamma": 0.9}, "Extra inputs"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ValidationError, match=message):
        ParameterPPOConfig.model_validate(settings)


def test_unfitting_environments_and_arguments_are_refused():
    agent = ParameterPPO(ParameterPPOConfig(candidates=10))
    env = QuadraticEnvironment(8)
    with pytest.raises(ConfigurationError, match="has 8 members, expected 10"):
        agent.train(env, RecordingContext(env))
    identity = IdentityEnvironment(10)
    with pytest.raises(ConfigurationError, match="IdentityEnvironment does not take parameter vectors"):
        agent.train(identity, RecordingContext(identity))
    env = QuadraticEnvironment(10)
    with pytest.raises(ConfigurationError, match="got an extra loss"):
        agent.train(env, RecordingContext(env), extra_loss=lambda batch: torch.zeros(()))


def test_foreign_checkpoints_are_refused():
    search, _ = searched(QuadraticEnvironment(6), 3)
    state = search.state_dict()
    other, _ = searched(QuadraticEnvironment(6, gates=80), 1)
    for wrong in (state, {}, {**other.state_dict(), "advantages": np.zeros(3)}):
        with pytest.raises(CheckpointError, match="this checkpoint does not fit"):
            other.load_state_dict(wrong)


class _Ahead:
    """A loop in which the next candidates are asked for before this epoch's rewards are told."""

    def __init__(self, env, seed=0, **settings):
        self.env = env
        self.search = ParameterSearch(
            ParameterPPOConfig(candidates=env.num_envs, **settings),
            env.initial_parameters,
            env.exploration_scale,
            num_objectives=env.reward_space.shape[0],
            factor_graph=env.factor_graph,
            seed=seed,
            ahead=True,
        )

    def epochs(self, count):
        for _ in range(count):
            now = self.search.ask().copy()
            following = self.search.ask_ahead().copy()
            np.testing.assert_array_equal(self.search.ask(), now)
            self.search.tell(self.env.step(now)[1])
            np.testing.assert_array_equal(self.search.ask(), following)


@pytest.mark.parametrize("ratio", ["coordinate", "objective"])
def test_a_search_that_works_ahead_tracks_nearly_as_well(ratio):
    """One update late: no more than a third of excess more than without delay, over a drift that moves."""
    env = QuadraticEnvironment(40, offset=0.0, amplitude=1.0, frequency=1 / 400)
    loop, costs = _Ahead(env, ratio=ratio, learning_rate=0.1), []
    env.reset(seed=0)
    for epoch in range(600):
        loop.epochs(1)
        costs.append(env.rates(loop.search.mean[None], epoch).mean() - env.floor)
    _, waited = searched(env, 600, ratio=ratio, learning_rate=0.1)
    assert np.mean(costs[200:]) < 1.34 * waited[200:].mean()


def test_a_search_that_works_ahead_continues_bit_for_bit():
    """The candidates that were under way are drawn again."""
    ends = []
    for stop in (None, 5):
        env = QuadraticEnvironment(10)
        env.reset(seed=0)
        loop, clock = _Ahead(env, replay=2), env.state_dict()
        for epoch in range(9):
            if epoch == stop:
                state, under_way = loop.search.state_dict(), loop.search.ask().copy()
                loop = _Ahead(env, seed=3, replay=2)
                loop.epochs(2)
                env.load_state_dict(clock)
                loop.search.load_state_dict(state)
                np.testing.assert_array_equal(loop.search.ask(), under_way)
            loop.epochs(1)
            clock = env.state_dict()
        ends.append(loop.search.mean)
    np.testing.assert_array_equal(*ends)


def test_asking_too_early_is_refused():
    env = QuadraticEnvironment(10)
    with pytest.raises(ConfigurationError, match="asked for too early: make the search with ahead=True"):
        searched(env, 1)[0].ask_ahead()
    with pytest.raises(ConfigurationError, match="ask for those of this epoch first"):
        _Ahead(env).search.ask_ahead()
