"""Errors of gates: formula, limits, slopes; what is drawn and what is refused; the picture of the factor graph."""

import numpy as np
import pytest
import stim
from hypothesis import given, settings
from hypothesis import strategies as st

from qecforge.errors import ConfigurationError
from qecforge.reporting.figures import save_figure
from qecforge_surface_steering.device.circuits import surface_code
from qecforge_surface_steering.device.landscape import (
    Landscape,
    Miscalibrated,
    PerGate,
    Randomised,
    parameter_names,
    some_of,
)
from qecforge_surface_steering.device.regions import DetectionModel
from qecforge_surface_steering.device.tagged import TaggedCircuit
from qecforge_surface_steering.views.factor_graph import draw_factor_graph

NAMES, ARITY = ["xy0", "xy1", "cz0-1"], np.array([1, 1, 2])


def landscape(**changes):
    parts = {
        "floor": np.array([1e-3, 2e-3, 4e-3]),
        "curvature": np.array([0.1, 0.2, 0.4]),
        "p_max": np.array([0.75, 0.75, 15 / 16]),
        "optimum": np.arange(6.0),
        "parameters_per_gate": 2,
    }
    return Landscape(**(parts | changes))


def test_formula_by_hand():
    x = np.arange(6.0) + np.array([0, 0, 0.3, -0.1, 1, 2])
    excess = [0, 0.2 * (0.09 + 0.01) / 2, 0.4 * (1 + 4) / 2]
    expected = [
        p_max * (1 - np.exp(-(floor + more) / p_max))
        for p_max, floor, more in zip([0.75, 0.75, 15 / 16], [1e-3, 2e-3, 4e-3], excess, strict=True)
    ]
    np.testing.assert_allclose(landscape().errors(x), expected, rtol=1e-13)


def test_small_errors_are_floor_plus_excess_and_large_ones_saturate():
    device = landscape()
    assert device.errors(device.optimum) == pytest.approx(device.floor, rel=3e-3)
    at_scale = device.optimum + np.repeat(device.natural_scale, 2)
    assert device.errors(at_scale) == pytest.approx(2 * device.floor, rel=6e-3)
    far = device.errors(device.optimum + 1e3)
    assert far == pytest.approx(device.p_max)
    assert (far <= device.p_max).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_slopes_are_the_derivative(seed):
    device, x = landscape(), np.random.default_rng(seed).normal(0, 2, 6)
    numeric = [
        (device.errors(x + step)[i // 2] - device.errors(x - step)[i // 2]) / 2e-6
        for i, step in enumerate(1e-6 * np.eye(6))
    ]
    np.testing.assert_allclose(device.slopes(x), numeric, rtol=1e-6, atol=1e-8)


def test_optimum_can_be_elsewhere_and_candidates_come_in_batches():
    device = landscape()
    batch = np.random.default_rng(0).normal(size=(4, 3, 6))
    errors = device.errors(batch, device.optimum + 1)
    assert errors.shape == (4, 3, 3)
    np.testing.assert_array_equal(errors[1, 2], device.errors(batch[1, 2] - 1))
    assert device.slopes(batch).shape == batch.shape


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"floor": np.array([1e-3, 0.5, 0.1])}, r"floor: 0.5 of gate 1 leaves \(0, 0.5\)"),
        ({"floor": np.array([1e-3, np.nan, 0.1])}, "floor: nan of gate 1"),
        ({"curvature": np.array([1, 1, 0.0])}, r"curvature: 0 of gate 2 leaves \(0, inf\)"),
        ({"optimum": np.zeros(5)}, r"optimum has shape \(5,\): give \(6,\)"),
        ({"optimum": np.full(6, np.inf)}, "optimum is not finite"),
    ],
)
def test_landscapes_that_are_none(changes, message):
    with pytest.raises(ConfigurationError, match=message):
        landscape(**changes)


def test_names_say_what_a_parameter_does():
    assert parameter_names(NAMES, ARITY, 2) == (
        "xy0.amplitude", "xy0.frequency", "xy1.amplitude", "xy1.frequency", "cz0-1.strength", "cz0-1.frequency"
    )  # fmt: skip
    assert parameter_names(["cz0-1"], [2], 5)[2:] == ("cz0-1.phase", "cz0-1.p3", "cz0-1.p4")


def test_numbers_per_gate():
    rng = np.random.default_rng(0)
    exact = PerGate(single_qubit=0.1, two_qubit=0.2, gates={"xy1": 0.3})
    np.testing.assert_array_equal(exact.resolve(NAMES, ARITY, rng), [0.1, 0.3, 0.2])
    many = PerGate(single_qubit=0.1, two_qubit=0.2, spread=0.5, gates={"cz*": 0.4})
    names, arity = [*(f"xy{i}" for i in range(4000)), "cz0-1"], np.array([1] * 4000 + [2])
    values = many.resolve(names, arity, rng)
    assert values[-1] == 0.4
    assert np.log(values[:-1] / 0.1).std() == pytest.approx(0.5, rel=0.06)
    assert np.log(values[:-1] / 0.1).mean() == pytest.approx(0, abs=0.04)


def test_a_few_names_of_each_family_are_shown():
    names = [*(f"xy{qubit}" for qubit in range(9)), "cz0-9", "cz0-10", "global", "reset1"]
    assert some_of(names) == "xy0, xy1, …, cz0-9, cz0-10, global, reset1"
    assert some_of([f"{letter}0" for letter in "abcdefgh"]) == "a0, b0, c0, d0, e0, f0, …"


@pytest.mark.parametrize(
    ("gates", "message"),
    [
        ({"zz*": 0.1}, r"'zz\*' matches no gate: there are xy0, xy1, cz0-1"),
        ({"xy*": 0.1, "*0": 0.2}, r"'xy\*' and '\*0' both give a value to xy0: keep one"),
    ],
)
def test_numbers_per_gate_that_do_not_fit(gates, message):
    with pytest.raises(ValueError, match=message):
        PerGate(single_qubit=0.1, two_qubit=0.2, gates=gates).check(NAMES)


def test_starts():
    optimum = np.linspace(-1, 1, 5000)
    off = Miscalibrated(sigma=0.3).place(optimum, np.random.default_rng(1)) - optimum
    assert off.std() == pytest.approx(0.3, rel=0.05)
    anywhere = Randomised(half_width=7).place(optimum, np.random.default_rng(1))
    assert np.abs(anywhere).max() <= 7
    assert anywhere.std() == pytest.approx(7 / np.sqrt(3), rel=0.05)
    assert abs(np.corrcoef(anywhere, optimum)[0, 1]) < 0.06


def test_picture_shows_every_edge(tmp_path):
    circuit = TaggedCircuit(surface_code(3, 4, "x"))
    model = DetectionModel.from_circuits([circuit])
    edges = np.diff(model.indptr)
    axes = draw_factor_graph(model, circuit)
    assert len(axes.collections[0].get_segments()) == edges.sum()
    one = draw_factor_graph(model, circuit, objective=2)
    segments = one.collections[0].get_segments()
    assert len(segments) == edges[2]
    assert {tuple(segment[0]) for segment in segments} == {tuple(model.coordinates[2])}
    assert "gates an objective" in one.get_title()
    assert save_figure(one.figure, tmp_path / "graph.svg").stat().st_size > 1000
    with pytest.raises(ConfigurationError, match=r"no objective 8: give 0..7"):
        draw_factor_graph(model, circuit, objective=8)


def test_picture_without_coordinates():
    circuit = TaggedCircuit(stim.Circuit("R 0\nX[a] 0\nX[b] 0\nM 0\nDETECTOR rec[-1]"))
    segments = draw_factor_graph(DetectionModel.from_circuits([circuit]), circuit).collections[0].get_segments()
    assert len({tuple(segment[1]) for segment in segments}) == 2
