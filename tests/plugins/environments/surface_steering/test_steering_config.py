"""Configuration: what it builds, that it round-trips, and one clear line for what it refuses."""

import numpy as np
import pytest
from pydantic import ValidationError

from qecforge_surface_steering.config import SurfaceSteeringConfig

CIRCUIT = "R 0 1\nH[h{}] 0 1\nCZ[cz{}] 0 1\nCZ[cz{}] 0 1\nH[h{}] 0 1\nM 0 1\nDETECTOR rec[-1]\nDETECTOR rec[-2]"

FULL = {
    "distance": 3,
    "rounds": 4,
    "parameters_per_gate": 2,
    "floor": {"single_qubit": 1e-3, "two_qubit": 5e-3, "spread": 0.2, "gates": {"xy3": 0.01}},
    "start": {"kind": "miscalibrated", "sigma": 0.5},
    "drift": [
        {"profile": "step", "begins": 20, "amplitude": 1, "gates": ["xy*"]},
        {"profile": "sinusoid", "frequency": 0.01, "amplitude": 1, "phase": "random"},
        {"profile": "stroboscopic", "period": 9, "amplitude": 1},
        {"profile": "random_walk", "step": 0.1},
        {"profile": "one_over_f", "amplitude": 0.1},
        {"profile": "table", "values": [1, 2, 3], "beyond": "hold"},
    ],
}


@pytest.mark.parametrize(
    "given",
    [FULL, {"distance": 3}, {"code": "color", "distance": 5}, {"code": "circuit", "circuit": CIRCUIT, "rounds": 1}],
)
def test_round_trip(given):
    config = SurfaceSteeringConfig.model_validate(given)
    assert SurfaceSteeringConfig.model_validate_json(config.model_dump_json()) == config


def test_surface_code_in_both_bases():
    config = SurfaceSteeringConfig(distance=3, rounds=5, parameters_per_gate=4)
    circuits = config.circuits()
    assert len(circuits) == 2
    assert circuits[0].gates == circuits[1].gates
    assert config.model().num_objectives == 8
    assert len(config.parameter_names()) == len(config.landscape(0).optimum) == 164
    assert config.compiled_drift(0).offset(5).shape == (164,)
    assert len(SurfaceSteeringConfig(distance=3, memory="x").circuits()) == 1


def test_paper_scale():
    config = SurfaceSteeringConfig(distance=15, rounds=3, parameters_per_gate=30)
    assert len(config.initial_parameters(0)) == 38_670


def test_shots_are_the_cycles():
    assert SurfaceSteeringConfig(distance=3).shots == 20
    assert SurfaceSteeringConfig(distance=3, memory="z").shots == 40
    assert SurfaceSteeringConfig(distance=3, cycles=3).shots == 1
    assert SurfaceSteeringConfig(code="circuit", circuit=CIRCUIT, rounds=1, cycles=70).shots == 70


def test_own_circuit():
    config = SurfaceSteeringConfig(
        code="circuit", circuit=CIRCUIT, rounds=1, parameters_per_gate=1, measurement_error=0.01, objectives="detector"
    )
    assert config.parameter_names() == ("h0.amplitude", "h1.amplitude", "cz0-1.strength")
    assert config.model().num_objectives == 2
    assert config.model().class_rates([0, 0, 0]) == pytest.approx([0.01, 0.01])


def test_circuit_and_table_are_read_at_once(tmp_path):
    (tmp_path / "own.stim").write_text(CIRCUIT, encoding="utf-8")
    config = SurfaceSteeringConfig(code="circuit", circuit=str(tmp_path / "own.stim"), rounds=1)
    assert config.circuit == CIRCUIT


def test_seed_draws_the_device():
    config = SurfaceSteeringConfig.model_validate(FULL)
    one, two = config.landscape(0), config.landscape(1)
    assert not np.allclose(one.optimum, two.optimum)
    assert not np.allclose(one.floor, two.floor)
    np.testing.assert_array_equal(one.floor, config.landscape(0).floor)
    assert one.floor[3] == two.floor[3] == 0.01
    assert not np.array_equal(config.initial_parameters(0), config.initial_parameters(1))
    fixed = config.model_copy(update={"device_seed": 7})
    np.testing.assert_array_equal(fixed.initial_parameters(0), fixed.initial_parameters(1))
    np.testing.assert_array_equal(fixed.compiled_drift(0).offset(9), config.compiled_drift(7).offset(9))


def test_calibrated_is_the_optimum_of_the_first_epoch():
    config = SurfaceSteeringConfig(distance=3, drift=[{"profile": "one_over_f", "amplitude": 1}])
    start = config.initial_parameters(4)
    np.testing.assert_array_equal(start, config.landscape(4).optimum + config.compiled_drift(4).offset(0))
    far = SurfaceSteeringConfig(distance=3, start={"kind": "miscalibrated", "sigma": 0.25})
    off = far.initial_parameters(4) - far.landscape(4).optimum
    assert off.std() == pytest.approx(0.25, rel=0.1)
    assert abs(np.corrcoef(off, far.landscape(4).optimum)[0, 1]) < 0.2


def test_given_optimum():
    optimum = tuple(range(3))
    config = SurfaceSteeringConfig(
        code="circuit", circuit=CIRCUIT, rounds=1, parameters_per_gate=1, optimum=optimum, start="calibrated"
    )
    np.testing.assert_array_equal(config.initial_parameters(0), optimum)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"distance": 4}, "distance: 4 is not an odd number, 3 or more: set it to 5, for example"),
        ({"distance": 1001}, "distance: 1001 is too large: set it to 101 or less"),
        ({}, "distance: the surface code needs one"),
        ({"distance": 3, "code": "circuit", "circuit": CIRCUIT}, "distance: your circuit has its own"),
        ({"code": "circuit"}, "circuit: missing"),
        ({"distance": 3, "circuit": CIRCUIT}, "circuit: code is surface, which brings its own"),
        ({"code": "circuit", "circuit": CIRCUIT}, "rounds: missing, but rates are per cycle"),
        ({"code": "circuit", "rounds": 1, "circuit": "H[h] 0"}, "circuit: it has no detectors"),
        ({"code": "circuit", "rounds": 1, "circuit": CIRCUIT.replace("[h{}]", "")}, "the gate 'H 0' has no tag"),
        ({"code": "circuit", "rounds": 1, "circuit": "HH 0"}, "circuit: stim cannot read it"),
        ({"code": "circuit", "circuit": "/nowhere/at/all.stim"}, "cannot be read"),
        ({"code": "color", "distance": 3, "memory": "x"}, "memory: x is a choice for the surface code only"),
        ({"code": "color", "distance": 3, "rounds": 1}, "rounds: 1 is too few"),
        ({"distance": 3, "measurement_error": 0.5}, "less than 0.5"),
        (
            {"distance": 3, "floor": {"single_qubit": 0.5, "two_qubit": 0.1}},
            r"floor: single_qubit is 0.5, expected a probability inside \(0, 1/2\)",
        ),
        (
            {"distance": 3, "floor": {"single_qubit": 0.1, "two_qubit": 0.1, "gates": {"xy1": 0.7}}},
            r"floor: gates.xy1 is 0.7, expected a probability inside \(0, 1/2\)",
        ),
        (
            {"distance": 3, "floor": {"single_qubit": 0.1, "two_qubit": 0.1, "gates": {"zz": 0.1}}},
            "floor: gates: 'zz' matches no gate",
        ),
        ({"distance": 3, "curvature": {"single_qubit": 0, "two_qubit": 0.1}}, "greater than 0"),
        ({"distance": 3, "optimum": [1.0, 2.0]}, "optimum: it has 2 numbers: give 410"),
        ({"distance": 3, "start": {"kind": "miscalibrated", "sigma": 0}}, "greater than 0"),
        ({"distance": 3, "start": "sideways"}, "does not match any of the expected tags"),
        (
            {"distance": 3, "drift": [{"profile": "table", "values": [0.0] * 999}]},
            r"drift\[0\]: 999 rows end at epoch 999 of 1000: give 1000 rows, or set beyond",
        ),
        (
            {"distance": 3, "drift": [{"profile": "table", "values": [[0.0, 1.0]], "beyond": "hold"}]},
            r"drift\[0\]: rows have 2 numbers, but 410 parameters drift: give 1 or 410",
        ),
        (
            {"distance": 3, "drift": [{"profile": "step", "begins": 1, "amplitude": 1, "gates": ["q"]}]},
            r"drift\[0\]: 'q' matches",
        ),
        ({"distance": 3, "colour": "red"}, "Extra inputs are not permitted"),
        ({"distance": 3, "cycles": 0}, "greater than or equal to 1"),
    ],
)
def test_refused_in_one_line(given, message):
    with pytest.raises(ValidationError, match=message) as caught:
        SurfaceSteeringConfig.model_validate(given)
    assert all("\n" not in error["msg"] for error in caught.value.errors())


def test_drawn_floor_above_a_half():
    config = SurfaceSteeringConfig(distance=3, floor={"single_qubit": 0.4, "two_qubit": 0.4, "spread": 3})
    with pytest.raises(ValueError, match=r"floor: .* lower it, or its spread"):
        config.landscape(0)


def test_a_gate_that_no_detector_sees_is_refused_with_the_manifest():
    blind = "R 0 1\nH[seen{}] 0\nH[seen{}] 0\nH[blind] 1\nM 0\nDETECTOR(0, 0, 0) rec[-1]"
    with pytest.raises(ValidationError, match=r"circuit: factor graph: 1 of 2 gates are seen by no detector \(blind\)"):
        SurfaceSteeringConfig(code="circuit", circuit=blind, rounds=1)
