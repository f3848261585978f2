"""Readouts and resets as gates: exact rates, faults, decoders' priors and inference, beside stim's error model."""

import numpy as np
import pytest
import stim

from qecforge_surface_steering import SurfaceSteering, SurfaceSteeringConfig
from qecforge_surface_steering.decoding.fault_model import FaultModel
from qecforge_surface_steering.decoding.priors import GateErrorInference
from qecforge_surface_steering.device.circuits import color_code, surface_code
from qecforge_surface_steering.device.regions import DetectionModel
from qecforge_surface_steering.device.tagged import TaggedCircuit
from qecforge_surface_steering.device.tagging import name_readouts

OWN = """
    RX[rx{}] 0
    R[r{}] 1 2
    H[h{}] 0
    REPEAT 3 {
        CX[cx{}] 0 1
        M[m{}](0.01) !1 2
        R[r{}] 1
        DETECTOR rec[-2]
        DETECTOR rec[-1]
    }
    MX[m{}x] 2
    MX[m{}x] 2
    DETECTOR rec[-1] rec[-2]
    MY(0.02) 2
    RY[ry{}] 2
    MR[own{}] 1 1
    DETECTOR rec[-2] rec[-2] rec[-1]
    M[m{}] 0
    DETECTOR rec[-1]
    MY[my{}] 2
    DETECTOR rec[-1]
    OBSERVABLE_INCLUDE(0) rec[-2]
"""
CASES = {
    "surface": name_readouts(surface_code(3, 4, "x")),
    "colour": name_readouts(color_code(3, 3)),
    "own": stim.Circuit(OWN),
}


@pytest.fixture(params=CASES)
def tagged(request):
    return TaggedCircuit(CASES[request.param], measurement_error=0.01, reset_error=0.003)


def faults_of(circuit):
    """Detectors and observables that a fault flips -> its probability."""
    found = {}
    for line in circuit.detector_error_model(flatten_loops=True):
        if line.type == "error":
            key = tuple(sorted(str(target) for target in line.targets_copy()))
            (p,) = line.args_copy()
            q = found.get(key, 0.0)
            found[key] = p + q - 2 * p * q
    return found


def errors_of(tagged, seed=0):
    return np.random.default_rng(seed).uniform(0.001, 0.05, tagged.num_gates)


def test_families_and_names():
    gates = TaggedCircuit(CASES["own"]).gates
    assert {gate.name: gate.family for gate in gates} == {
        "h0": 1,
        "cx0-1": 2,
        **dict.fromkeys(["m0", "m1", "m2", "m2x", "my2", "own1"], 3),
        **dict.fromkeys(["r1", "r2", "rx0", "ry2"], 4),
    }
    assert [gate.family for gate in gates] == sorted(gate.family for gate in gates)
    surface = TaggedCircuit(CASES["surface"])
    assert (surface.family == 3).sum() == (surface.family == 4).sum() == 8
    assert (surface.p_max[surface.family >= 3] == 0.5).all()


def test_closed_form_is_stims_detector_error_model(tagged):
    model = DetectionModel.from_circuits([tagged], objectives="detector", bulk_only=False)
    errors = errors_of(tagged)
    logs = np.zeros(tagged.circuit.num_detectors)
    for targets, p in faults_of(tagged.with_noise(errors)).items():
        for target in targets:
            if target.startswith("D"):
                logs[int(target[1:])] += np.log1p(-2 * p)
    rates = model.class_rates(errors)[model.detector_class[0]]
    np.testing.assert_allclose(rates, -0.5 * np.expm1(logs), rtol=0, atol=1e-12)


def test_error_models_are_stims(tagged):
    faults, errors = FaultModel.of(tagged, decompose=False), errors_of(tagged, 1)
    expected = {
        key: p for key, p in faults_of(tagged.with_noise(errors)).items() if any(name.startswith("D") for name in key)
    }
    found = {
        tuple(sorted(map(str, targets))): q
        for targets, q in zip(faults.targets, faults.probabilities(errors), strict=True)
    }
    assert found.keys() == expected.keys()
    assert max(abs(found[key] - expected[key]) for key in found) < 1e-12


def test_parities_of_detectors_are_exact(tagged):
    """Singles and pairs; what the noise of the circuit itself adds is in `fixed`."""
    errors, inference = errors_of(tagged, 2), GateErrorInference([tagged], np.full(tagged.num_gates, 0.01))
    means = inference.means(errors)[inference.classes[0]]
    flips = [
        ({int(name[1:]) for name in key if name[0] == "D"}, p)
        for key, p in faults_of(tagged.with_noise(errors)).items()
    ]
    for (one, other), mean in zip(inference.detectors[0].tolist(), means, strict=True):
        wanted = {one} ^ ({other} if other >= 0 else set())
        expected = np.prod([1 - 2 * p for hit, p in flips if len(hit & wanted) % 2])
        assert mean == pytest.approx(expected, abs=1e-12)


def test_a_bad_readout_is_found_in_events():
    """But for the ends of an experiment, a qubit's readout and its reset flip the same detectors: it is their sum."""
    tagged = TaggedCircuit(name_readouts(surface_code(3, 10, "z")))
    nominal = np.array([np.nan, 1e-3, 4e-3, 5e-3, 2e-3])[tagged.family]
    errors, names = nominal.copy(), [gate.name for gate in tagged.gates]
    errors[[names.index("m10"), names.index("r12")]] = 0.05
    events = tagged.with_noise(errors).compile_detector_sampler(seed=5).sample(20_000, bit_packed=True)
    inference = GateErrorInference([tagged], nominal)
    found = inference.infer(inference.count([events]))
    for qubit in range(9, 17):
        pair = [names.index(f"{kind}{qubit}") for kind in "mr"]
        assert found[pair].sum() == pytest.approx(errors[pair].sum(), rel=0.25), qubit


@pytest.mark.parametrize("engine", ["closed_form", "stim"])
def test_the_environment_steers_readouts(engine):
    settings = {"distance": 3, "rounds": 3, "parameters_per_gate": 2, "cycles": 3000, "readout": True, "engine": engine}
    env = SurfaceSteering(SurfaceSteeringConfig.model_validate(settings), num_envs=20, seed=0)
    assert {"m10.power", "r10.frequency"} <= set(env.parameter_names)
    off = env.initial_parameters.copy()
    off[[name.startswith(("m", "r")) for name in env.parameter_names]] += 1.0
    _, rewards, _, _, infos = env.step(np.tile(off, (20, 1)))
    exact = env.true_rates(off, 0)
    assert infos["true_cost"] == pytest.approx(exact.mean(), abs=1e-12)
    assert exact.mean() > 1.1 * env.true_rates(env.initial_parameters, 0).mean()
    error = np.sqrt(exact * (1 - exact) / env.trials / env.num_envs)
    assert (np.abs(rewards.mean(axis=0) + exact) < 6 * error).all()


def test_naming_changes_no_result():
    """Records and detectors are those of the plain circuit, whose MR it takes apart."""
    plain = surface_code(3, 3, "x")
    named = name_readouts(plain)
    assert named.num_measurements == plain.num_measurements
    noise = TaggedCircuit(named).with_noise(np.where(TaggedCircuit(named).family < 3, 0.01, 0.0))
    assert faults_of(noise) == pytest.approx(faults_of(TaggedCircuit(plain).with_noise([0.01] * 41)), abs=1e-12)
