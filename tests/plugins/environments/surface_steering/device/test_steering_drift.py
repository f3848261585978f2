"""Drift: each profile's values, which parameters it moves, and that an epoch's offset has no memory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from qecforge.errors import ConfigurationError
from qecforge_surface_steering.device._paths import Octaves, Walk
from qecforge_surface_steering.device.drift import CompiledDrift, Drift

NAMES, ARITY, P = ["xy0", "xy1", "cz0-1"], np.array([1, 1, 2]), 2
PROFILES = [
    {"profile": "step", "begins": 3, "amplitude": 1.5},
    {"profile": "sinusoid", "frequency": 0.01, "amplitude": 2, "phase": "random", "direction": "normal"},
    {"profile": "stroboscopic", "period": 7, "amplitude": 1, "duty": 0.3, "direction": "random_sign"},
    {"profile": "random_walk", "step": 0.1, "begins": 5},
    {"profile": "one_over_f", "amplitude": 0.5},
    {"profile": "table", "values": [1, 2, 3], "every": 4, "beyond": "repeat"},
]


def drift(*profiles, seed=0, names=NAMES, arity=ARITY, parameters_per_gate=P):
    models = TypeAdapter(tuple[Drift, ...]).validate_python(profiles)
    return CompiledDrift(models, names, arity, parameters_per_gate, seed)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 5000), min_size=1, max_size=12))
def test_an_offset_does_not_depend_on_what_was_asked_before(epochs):
    walked = drift(*PROFILES, seed=3)
    for epoch in epochs:
        np.testing.assert_array_equal(walked.offset(epoch), drift(*PROFILES, seed=3).offset(epoch))


def test_offsets_are_the_callers_own():
    path = drift({"profile": "one_over_f", "amplitude": 1}, {"profile": "random_walk", "step": 1})
    first = path.offset(6)
    kept = first.copy()
    first[:] = 99
    np.testing.assert_array_equal(path.offset(6), kept)


def test_another_seed_is_another_drift():
    one, two = (drift(*PROFILES, seed=seed).offset(40) for seed in (0, 1))
    assert not np.allclose(one, two)


def test_step():
    path = drift(PROFILES[0])
    np.testing.assert_array_equal([path.offset(t)[0] for t in (0, 2, 3, 1000)], [0, 0, 1.5, 1.5])


def test_sinusoid():
    path = drift({"profile": "sinusoid", "frequency": 0.125, "amplitude": 2, "begins": 4})
    expected = [0, 0, 0, 0, 0, np.sqrt(2), 2, np.sqrt(2), 0, -np.sqrt(2), -2]
    np.testing.assert_allclose([path.offset(t)[3] for t in range(11)], expected, atol=1e-14)


def test_stroboscopic():
    path = drift({"profile": "stroboscopic", "period": 5, "duty": 0.4, "amplitude": -1})
    np.testing.assert_array_equal([path.offset(t)[0] for t in range(10)], [0, 0, 0, -1, -1] * 2)


def test_table():
    rows = [[1, 2], [3, 4]]
    wide = {"profile": "table", "values": rows, "every": 2, "begins": 1, "gates": ["xy1"]}
    path = drift(wide | {"beyond": "hold"})
    np.testing.assert_array_equal(
        [path.offset(t)[2:4] for t in (0, 1, 2, 3, 4, 5, 50)], [[0, 0], [1, 2], [1, 2], [3, 4], [3, 4], [3, 4], [3, 4]]
    )
    np.testing.assert_array_equal(path.offset(3)[[0, 1, 4, 5]], 0)
    np.testing.assert_array_equal(drift(wide | {"beyond": "repeat"}).offset(5)[2:4], [1, 2])
    with pytest.raises(ConfigurationError, match="table ends at epoch 5, asked was 5"):
        drift(wide).offset(5)


def test_table_from_a_file(tmp_path):
    (tmp_path / "drift.csv").write_text("0.5,1\n1.5,2\n", encoding="utf-8")
    path = drift({"profile": "table", "values": str(tmp_path / "drift.csv"), "gates": ["cz*"]})
    np.testing.assert_array_equal(path.offset(1), [0, 0, 0, 0, 1.5, 2])
    with pytest.raises(ValidationError, match="cannot be read"):
        drift({"profile": "table", "values": str(tmp_path / "none.csv")})


def test_subsets_of_gates_and_kinds():
    chosen = drift(
        {"profile": "step", "begins": 1, "amplitude": 1, "gates": ["xy*"], "kinds": ["amplitude"]},
        {"profile": "step", "begins": 1, "amplitude": 10, "kinds": ["frequency"]},
    )
    np.testing.assert_array_equal(chosen.offset(1), [1, 10, 1, 10, 0, 10])
    np.testing.assert_array_equal(chosen.drifting(), [1, 1, 1, 1, 0, 1])
    assert drift().constant
    assert not chosen.constant


def test_directions():
    names, arity = [f"xy{i}" for i in range(3000)], np.ones(3000, dtype=int)
    base = {"profile": "step", "begins": 1, "amplitude": 2}
    signs = drift(base | {"direction": "random_sign"}, names=names, arity=arity).offset(1)
    assert set(signs.tolist()) == {-2.0, 2.0}
    assert abs(signs.mean()) < 0.15
    normal = drift(base | {"direction": "normal"}, names=names, arity=arity).offset(1)
    assert normal.std() == pytest.approx(2, rel=0.05)


class Units:
    """In place of random vectors: one that has a 1 for its own address. A path then shows its coefficients."""

    def __init__(self, size):
        self.size = size

    def __call__(self, address, level=0):
        unit = np.zeros(self.size)
        unit[address] = 1
        return unit


def test_random_walk_has_the_covariance_of_one():
    walk = Walk(1.0, Units(130))
    coefficients = np.array([walk.at(t) for t in range(65)])
    times = np.arange(65.0)
    np.testing.assert_allclose(coefficients @ coefficients.T, np.minimum.outer(times, times), atol=1e-12)


def test_random_walk_steps():
    names, arity = [f"xy{i}" for i in range(2000)], np.ones(2000, dtype=int)
    path = drift({"profile": "random_walk", "step": 0.5, "begins": 2}, names=names, arity=arity, parameters_per_gate=1)
    offsets = np.array([path.offset(t) for t in range(40)])
    np.testing.assert_array_equal(offsets[:3], 0)
    steps = np.diff(offsets[2:], axis=0)
    assert steps.std() == pytest.approx(0.5, rel=0.01)
    assert abs(np.mean(steps[1:] * steps[:-1])) < 0.25 * 5 / np.sqrt(steps.size)


def test_one_over_f_has_its_spectrum():
    names, arity = [f"xy{i}" for i in range(200)], np.ones(200, dtype=int)
    path = drift({"profile": "one_over_f", "amplitude": 0.7, "octaves": 11}, names=names, arity=arity)
    offsets = np.array([path.offset(t) for t in range(4096)])
    assert offsets.std() == pytest.approx(0.7, rel=0.05)
    power = (np.abs(np.fft.rfft(offsets, axis=0)) ** 2).mean(axis=1)
    frequency = np.arange(len(power)) / 4096
    octaves = [(2.0**-k, 2.0 ** (1 - k)) for k in range(3, 10)]
    levels = [power[(frequency >= low) & (frequency < high)].mean() for low, high in octaves]
    slope = np.polyfit(np.log([low for low, _ in octaves]), np.log(levels), 1)[0]
    assert slope == pytest.approx(-1, abs=0.15)


def test_octaves_are_equally_strong_and_independent():
    class Level(Units):
        def __call__(self, address, level=0):
            return super().__call__(level)

        def generator(self, address, level):
            return np.random.default_rng(address)

    np.testing.assert_allclose(Octaves(3.0, 9, Level(9)).at(77), 1.0)


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ({"profile": "step", "begins": 1, "amplitude": 1, "gates": ["q*"]}, r"drift\[0\]: 'q\*' matches no gate"),
        ({"profile": "step", "begins": 1, "amplitude": 1, "kinds": ["drag"]}, "'drag' matches no kind of parameter"),
        (
            {"profile": "step", "begins": 1, "amplitude": 1, "gates": ["xy0"], "kinds": ["strength"]},
            r"drift\[0\]: gates xy0 have no parameters of kind strength: give kinds among amplitude, frequency",
        ),
        ({"profile": "table", "values": [[1, 2, 3]]}, "rows have 3 numbers, but 6 parameters drift: give 1 or 6"),
    ],
)
def test_profiles_that_do_not_fit(profile, message):
    with pytest.raises(ConfigurationError, match=message):
        drift(profile)


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ({"profile": "table", "values": [[1, 2], [3]]}, "rows have 1 and 2 numbers"),
        ({"profile": "table", "values": [float("nan")]}, "not all offsets are finite"),
        ({"profile": "table", "values": []}, "at least 1 item"),
        ({"profile": "random_walk", "step": 0}, "greater than 0"),
        ({"profile": "sinusoid", "frequency": -1, "amplitude": 1}, "greater than 0"),
        ({"profile": "step", "amplitude": 1}, "begins"),
        ({"profile": "leap"}, "does not match any of the expected tags"),
    ],
)
def test_profiles_that_are_none(profile, message):
    with pytest.raises(ValidationError, match=message):
        drift(profile)


def test_there_is_no_epoch_before_the_first():
    with pytest.raises(ConfigurationError, match="no epoch -1"):
        drift().offset(-1)
