"""The environment: what a step measures, where its optimum is, what it refuses, and how it goes on."""

import numpy as np
import pytest

from qecforge.contracts import StepBuffers
from qecforge.errors import CheckpointError, ConfigurationError
from qecforge_surface_steering import SurfaceSteering, SurfaceSteeringConfig
from qecforge_surface_steering.engines import _memory

STEP = {"profile": "step", "begins": 3, "amplitude": 0.7, "gates": ["cz*"]}


def make(num_envs=4, seed=0, **settings):
    defaults = {"distance": 3, "rounds": 3, "parameters_per_gate": 2, "cycles": 300, "horizon": 10}
    return SurfaceSteering(SurfaceSteeringConfig.model_validate(defaults | settings), num_envs=num_envs, seed=seed)


def tiled(env, offset=0.0):
    return np.tile(env.initial_parameters + offset, (env.num_envs, 1))


def test_a_step_measures_the_true_rates_within_shot_noise():
    env = make(400, start={"kind": "miscalibrated", "sigma": 0.5}, cycles=1000)
    _, rewards, _, _, infos = env.step(tiled(env))
    exact = env.true_rates(env.initial_parameters, 0)
    error = np.sqrt(exact * (1 - exact) / env.trials / env.num_envs)
    assert (np.abs(rewards.mean(axis=0) + exact) < 5 * error).all()
    assert infos["true_cost"] == pytest.approx(exact.mean(), abs=1e-12)
    assert infos["cost"] == pytest.approx(-rewards.mean(), abs=1e-7)


def test_counts_are_whole_numbers_of_detector_outcomes():
    for engine in ("closed_form", "stim"):
        env = make(engine=engine)
        counts = -env.step(tiled(env, 2.0))[1] * env.trials
        np.testing.assert_allclose(counts, np.rint(counts), atol=1e-4)
        assert counts.max() > 0
    assert env.trials.tolist() == (env.model.multiplicity * 50).tolist()


def test_control_starts_at_the_optimum_and_the_optimum_drifts():
    env = make(drift=[STEP])
    np.testing.assert_array_equal(env.optimum(), env.initial_parameters)
    costs = [env.step(tiled(env))[4]["true_cost"] for _ in range(6)]
    assert costs[:3] == [costs[0]] * 3
    assert costs[3:] == [costs[3]] * 3
    assert costs[3] > 1.1 * costs[0]
    moved = np.flatnonzero(env.optimum() != env.initial_parameters)
    assert {env.parameter_names[i][:2] for i in moved} == {"cz"}
    env.reset()
    env.step(tiled(env))
    assert env.epoch == 1
    env.reset(options={"epoch": 3})
    following = np.tile(env.optimum(), (env.num_envs, 1))
    assert env.step(following)[4]["true_cost"] == pytest.approx(costs[0], abs=1e-12)


def test_time_is_shown_as_a_fraction_of_the_horizon():
    env = make()
    shown = [env.reset()[0]] + [env.step(tiled(env))[0] for _ in range(12)]
    assert [float(row[0, 0]) for row in shown] == pytest.approx([min(1, t / 10) for t in range(13)])
    assert env.reset(options={"epoch": 5})[0].tolist() == [[0.5]] * 4


def test_the_scalar_reward_is_the_mean_of_the_vector():
    vector, scalar = make(), make(reward="scalar")
    np.testing.assert_allclose(
        scalar.step(tiled(scalar))[1], vector.step(tiled(vector))[1].mean(axis=1), rtol=1e-6, atol=0
    )
    assert scalar.factor_graph is None
    assert scalar.reward_space.shape == (1,)
    assert vector.reward_space.shape == (8,)


def test_single_precision_differs_by_rounding_only():
    env = make(start={"kind": "miscalibrated", "sigma": 0.5})
    x = tiled(env)
    double = env.step(x)[4]["true_cost"]
    env.reset(seed=0)
    assert env.step(x.astype(np.float32))[4]["true_cost"] == pytest.approx(double, rel=1e-6)


def test_noise_is_new_after_a_reset_and_the_same_after_one_with_the_seed():
    env = make()
    first = env.step(tiled(env))[1]
    second = env.step(tiled(env))[1]
    assert (first != second).any()
    env.reset()
    assert (env.step(tiled(env))[1] != first).any()
    env.reset(seed=0)
    np.testing.assert_array_equal(env.step(tiled(env))[1], first)


def test_a_seed_draws_the_device_unless_it_has_one_of_its_own():
    env = make(seed=0)
    before = env.optimum()
    env.reset(seed=1)
    np.testing.assert_array_equal(env.optimum(), make(seed=1).optimum())
    assert (env.optimum() != before).any()
    one, other = make(seed=0, device_seed=4), make(seed=1, device_seed=4)
    np.testing.assert_array_equal(one.optimum(), other.optimum())
    assert (one.step(tiled(one))[1] != other.step(tiled(other))[1]).any()


def test_noisy_circuits_have_the_rates_that_are_measured():
    env = make(memory="both", start={"kind": "miscalibrated", "sigma": 1.0})
    exact = env.true_rates(env.initial_parameters)
    seen, events = np.zeros(8), np.zeros(8)
    for number, circuit in enumerate(env.noisy_circuits(env.initial_parameters)):
        rates = circuit.compile_detector_sampler(seed=number).sample(20_000).mean(axis=0)
        classes = env.model.detector_class[number]
        np.add.at(events, env.model.objective[classes[classes >= 0]], rates[classes >= 0])
        np.add.at(seen, env.model.objective[classes[classes >= 0]], 1)
    assert (np.abs(events / seen - exact) < 5 * np.sqrt(exact / seen / 20_000)).all()


def test_a_checkpoint_of_another_seed_brings_its_device():
    env = make(seed=3, drift=[STEP | {"direction": "normal"}])
    for _ in range(4):
        env.step(tiled(env))
    other = make(seed=8, drift=[STEP | {"direction": "normal"}])
    other.load_state_dict(env.state_dict())
    np.testing.assert_array_equal(other.optimum(), env.optimum())
    np.testing.assert_array_equal(other.initial_parameters, env.initial_parameters)
    np.testing.assert_array_equal(other.step(tiled(env))[1], env.step(tiled(env))[1])
    with pytest.raises(CheckpointError, match="another configuration"):
        make(cycles=301).load_state_dict(env.state_dict())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_memory_gib": 4e-6}, r"^num_envs: 4 candidates of 82 parameters need 4\.5 KiB, 4\.2 KiB are allowed"),
        ({"num_envs": 0}, r"^num_envs is 0: give 1 or more candidates$"),
        (
            {"num_envs": 10**10},
            r"^num_envs: 10000000000 candidates of 82 parameters need 1\d\.\d TiB, .* are free: give",
        ),
        (
            {"num_envs": 10**9, "engine": "stim", "measurement_error": 0.1},
            r"are free: give fewer candidates or cycles$",
        ),
    ],
)
def test_sizes_that_do_not_fit_are_refused_before_they_are_allocated(settings, message):
    with pytest.raises(ConfigurationError, match=message):
        make(**settings)


def test_actions_and_buffers_that_do_not_fit_are_refused():
    env = make()
    with pytest.raises(ConfigurationError, match=r"actions are float64 of shape \(4, 81\): give .* \(4, 82\)"):
        env.step(tiled(env)[:, :-1])
    with pytest.raises(ConfigurationError, match="actions are int64"):
        env.step(np.zeros((4, 82), np.int64))
    bad = tiled(env)
    bad[2, 7] = np.nan
    with pytest.raises(ConfigurationError, match="candidate 2 has a parameter that is not finite, or too large"):
        env.step(bad)
    with pytest.raises(ConfigurationError, match="unknown reset option 'time'"):
        env.reset(options={"time": 3})
    with pytest.raises(ConfigurationError, match="option 'epoch': -1 is no epoch"):
        env.reset(options={"epoch": -1})
    flags = np.zeros(4, np.bool_)
    wrong = StepBuffers(np.zeros((4, 1), np.float32), np.zeros((4, 8)), flags, flags.copy())
    with pytest.raises(
        ConfigurationError, match=r"out\.rewards is float64 of shape \(4, 8\): give a C-contiguous float32"
    ):
        env.step(tiled(env), out=wrong)
    with pytest.raises(ConfigurationError, match="brings its own reward"):
        SurfaceSteering(env.config, num_envs=1, seed=0, reward=object())


def test_a_table_that_has_ended_stops_the_clock():
    env = make(drift=[{"profile": "table", "values": [0.0] * 12}], horizon=12)
    for _ in range(12):
        env.step(tiled(env))
    with pytest.raises(ConfigurationError, match="the table ends at epoch 12"):
        env.step(tiled(env))
    assert env.epoch == 12


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0.0 bytes"), (1023, "1,023.0 bytes"), (1536, "1.5 KiB"), (2**31, "2.0 GiB"), (2**60, "1,048,576.0 TiB")],
)
def test_sizes_are_said_in_the_largest_fitting_unit(size, text):
    assert _memory.shown(size) == text
