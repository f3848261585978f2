"""Both engines beside stim: marginals exactly, samples within intervals, faults mechanism by mechanism."""

import numpy as np
import pytest
import stim

from qecforge_surface_steering.device.circuits import color_code, surface_code
from qecforge_surface_steering.device.faults import FaultTable
from qecforge_surface_steering.device.landscape import Landscape
from qecforge_surface_steering.device.regions import DetectionModel
from qecforge_surface_steering.device.tagged import TaggedCircuit
from qecforge_surface_steering.engines import _kernels
from qecforge_surface_steering.engines.base import Device
from qecforge_surface_steering.engines.closed_form import ClosedForm
from qecforge_surface_steering.engines.stim_engine import StimEngine

REPETITION = """
    R 0 1 2 3 4
    H[h{}] 1
    CX[a] 0 1
    CX[b] 2 1
    SQRT_X[x] 0 2
    SQRT_X_DAG[y] 0 2
    X_ERROR(0.02) 0
    MR(0.01) 3
    H[h{}] 1
    CX[a] 2 3 0 4
    MR 1 3 4
    DETECTOR rec[-2] rec[-1]
    DETECTOR rec[-3]
    M 0 2
    DETECTOR rec[-1] rec[-2]
"""
P = 2


def surface(**noise):
    return tuple(TaggedCircuit(surface_code(3, 3, basis), **noise) for basis in ("x", "z"))


CIRCUITS = {
    "surface": surface,
    "noisy": lambda: surface(measurement_error=0.01, reset_error=0.005),
    "one basis": lambda: (TaggedCircuit(surface_code(3, 2, "x")),),
    "color": lambda: (TaggedCircuit(color_code(3, 3)),),
}


def device(circuits, *, floor=4e-3, shots=3, objectives="stabilizer", bulk_only=True, seed=0):
    model = DetectionModel.from_circuits(circuits, objectives=objectives, bulk_only=bulk_only)
    rng = np.random.default_rng(seed)
    G = model.num_gates
    landscape = Landscape(
        floor=floor * rng.uniform(0.5, 1.5, G),
        curvature=floor * rng.uniform(0.5, 1.5, G),
        p_max=circuits[0].p_max,
        optimum=rng.normal(size=G * P),
        parameters_per_gate=P,
    )
    return Device(circuits, model, landscape, shots)


def measure(engine, x, epoch=0):
    rewards = np.full((engine.num_envs, engine.device.model.num_objectives), np.nan, np.float32)
    cost = engine.measure(x, engine.device.landscape.optimum, _kernels.stream_key(5, epoch), rewards)
    return rewards, cost


def dem_marginals(circuit):
    """(D,) detection rates of a noisy circuit: every error of stim's model, multiplied out."""
    logs = np.zeros(circuit.num_detectors)
    for detectors, probability in dem_mechanisms(circuit).items():
        logs[list(detectors)] += np.log1p(-2 * probability)
    return -np.expm1(logs) / 2


def dem_mechanisms(circuit):
    """Detectors -> probability, the logical observables left out."""
    found = {}
    for error in circuit.detector_error_model(flatten_loops=True):
        if error.type == "error":
            key = tuple(sorted(t.val for t in error.targets_copy() if t.is_relative_detector_id()))
            (p,) = error.args_copy()
            q = found.get(key, 0.0)
            found[key] = p + q - 2 * p * q
    found.pop((), None)
    return found


def own_noise(circuit, errors, gates):
    """`with_noise` for gates numbered as in `gates`."""
    number = {gate.name: g for g, gate in enumerate(gates)}
    return circuit.with_noise(errors[[number[gate.name] for gate in circuit.gates]])


@pytest.mark.parametrize("bulk_only", [True, False])
@pytest.mark.parametrize("name", CIRCUITS)
def test_exact_rates_are_the_marginals_of_the_detector_error_model(name, bulk_only):
    built = device(CIRCUITS[name](), bulk_only=bulk_only)
    model, landscape = built.model, built.landscape
    x = landscape.optimum + 0.5 * np.random.default_rng(1).normal(size=(2, len(landscape.optimum)))
    engine = ClosedForm(built, 2)
    _, cost = measure(engine, x)
    means = []
    for k in range(2):
        errors = landscape.errors(x[k])
        total, seen = np.zeros(model.num_objectives), np.zeros(model.num_objectives)
        for circuit, classes in zip(built.circuits, model.detector_class, strict=True):
            marginals = dem_marginals(own_noise(circuit, errors, model.gates))
            used = classes >= 0
            np.testing.assert_allclose(engine._evaluated.rates[k, classes[used]], marginals[used], rtol=0, atol=1e-12)
            np.add.at(total, model.objective[classes[used]], marginals[used])
            np.add.at(seen, model.objective[classes[used]], 1)
        np.testing.assert_array_equal(seen * built.shots, built.trials)
        means.append((total / seen).mean())
    assert cost == pytest.approx(np.mean(means), abs=1e-12)


@pytest.mark.parametrize("name", [*CIRCUITS, "own"])
def test_faults_make_up_stims_detector_error_model(name):
    circuits = (TaggedCircuit(stim.Circuit(REPETITION)),) if name == "own" else CIRCUITS[name]()
    gates = circuits[0].gates
    errors = np.random.default_rng(2).uniform(0.01, 0.3, len(gates))
    for circuit in circuits:
        table = FaultTable.of(circuit, tuple(gate.name for gate in gates))
        expected = dem_mechanisms(own_noise(circuit, errors, gates))
        found = dem_mechanisms(circuit.fixed_noise())
        for g in range(len(gates)):
            for use in range(table.first_use[g], table.first_use[g + 1]):
                kinds = 2 ** table.bits[use]
                single = -np.expm1(np.log1p(-errors[g] * kinds / (kinds - 1)) / (kinds / 2)) / 2
                for pauli in range(1, kinds):
                    flipped = set()
                    for bit in range(table.bits[use]):
                        if pauli >> bit & 1:
                            at = table.generator[use] + bit
                            flipped ^= set(table.detectors[table.indptr[at] : table.indptr[at + 1]].tolist())
                    key = tuple(sorted(flipped))
                    q = found.get(key, 0.0)
                    found[key] = single + q - 2 * single * q
        found.pop((), None)
        assert found.keys() == expected.keys()
        assert max(abs(found[key] - expected[key]) for key in expected) < 1e-12


def test_heralds_keep_their_place_in_the_record():
    plain = TaggedCircuit(stim.Circuit("R 0\nH[h{}] 0\nM 0\nDETECTOR rec[-1]".replace("H[", "X[")))
    heralded = TaggedCircuit(stim.Circuit("R 0 1\nHERALDED_ERASE(0.1) 1\nX[h{}] 0\nM 0\nDETECTOR rec[-1]"))
    one, other = FaultTable.of(plain, ("h0",)), FaultTable.of(heralded, ("h0",))
    for field in ("first_use", "indptr", "detectors"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
    assert one.detectors.tolist() == [0]


K, SHOTS = 6000, 3


def covariance_and_error(samples):
    """Covariance of (N, m) samples and the standard error of each entry."""
    centred = samples - samples.mean(axis=0)
    products = centred[:, :, None] * centred[:, None, :]
    return products.mean(axis=0), products.std(axis=0) / np.sqrt(len(samples))


def stims_own(built, x, seed):
    """(K, m) minus the rates, sampled by stim from circuits with noise."""
    errors, model = built.landscape.errors(x), built.model
    rewards = np.zeros((K, model.num_objectives))
    for number, (circuit, classes) in enumerate(zip(built.circuits, model.detector_class, strict=True)):
        noisy = own_noise(circuit, errors, model.gates)
        events = noisy.compile_detector_sampler(seed=seed + number).sample(K * SHOTS).reshape(K, SHOTS, -1).sum(axis=1)
        for detector in np.flatnonzero(classes >= 0):
            rewards[:, model.objective[classes[detector]]] -= events[:, detector]
    return rewards / built.trials


@pytest.mark.parametrize("name", ["surface", "noisy", "color"])
def test_sampled_means_and_covariances_are_those_of_stims_sampler(name):
    built = device(CIRCUITS[name](), floor=0.02, shots=SHOTS)
    x = built.landscape.optimum + 0.7
    many = np.tile(x, (K, 1)).astype(np.float32)
    reference = stims_own(built, x, seed=11)
    exact = built.model.rates(built.landscape.errors(x))
    expected, expected_error = covariance_and_error(reference)
    binomial = exact * (1 - exact) / built.trials
    off = ~np.eye(len(exact), dtype=np.bool_)
    for engine, correlated in ((StimEngine(built, K), True), (ClosedForm(built, K), False)):
        rewards, _ = measure(engine, many)
        error = np.sqrt(np.diag(expected) / K)
        assert (np.abs(rewards.mean(axis=0) + exact) < 5 * error).all()
        found, found_error = covariance_and_error(rewards.astype(np.float64))
        if correlated:
            assert (np.abs(found - expected) < 5 * np.hypot(found_error, expected_error)).all()
        else:
            assert (np.abs(found[off]) < 5 * found_error[off]).all()
            assert (np.abs(np.diag(found) - binomial) < 5 * np.diag(found_error)).all()
    assert (np.abs(expected[off]) > 8 * expected_error[off]).any(), "true covariances would show"


@pytest.mark.parametrize("kind", [ClosedForm, StimEngine])
def test_gates_that_are_far_off_depolarize_completely(kind):
    engine = kind(device(surface(), shots=2000), 2)
    far = np.full((2, len(engine.device.landscape.optimum)), 1e6)
    rewards, cost = measure(engine, far)
    assert cost == pytest.approx(0.5, abs=1e-12)
    assert (np.abs(rewards + 0.5) < 5 * 0.5 / np.sqrt(engine.device.trials) * 2).all()


@pytest.mark.parametrize("kind", [ClosedForm, StimEngine])
def test_a_key_decides_what_is_drawn(kind):
    built = device(surface(measurement_error=0.01), shots=20)
    x = np.tile(built.landscape.optimum, (5, 1))
    first, again = measure(kind(built, 5), x)[0], measure(kind(built, 5), x)[0]
    other = measure(kind(built, 5), x, epoch=1)[0]
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert len(np.unique(first, axis=0)) == 5, "candidates have noise of their own"


def test_memory_of_engines_is_told_beforehand():
    built = device(surface(measurement_error=0.01), shots=20)
    for kind in (ClosedForm, StimEngine):
        engine = kind(built, 50)
        held = sum(v.nbytes for v in vars(engine).values() if isinstance(v, np.ndarray) and len(v) == 50)
        flips = sum(array.nbytes for array in getattr(engine, "_flips", ()))
        told = kind.bytes_needed(built, 50)
        assert held + flips <= told <= 3 * (held + flips) + 50 * 20 * 2 * 24


def test_landscapes_for_other_gates_are_refused():
    from dataclasses import replace

    from qecforge.errors import ConfigurationError

    built = device(surface())
    with pytest.raises(ConfigurationError, match=r"p_max is not where .*: give TaggedCircuit\.p_max"):
        replace(built, landscape=replace(built.landscape, p_max=built.landscape.p_max[::-1].copy() * 0.9))
    with pytest.raises(ConfigurationError, match="shots: 0 is too few"):
        replace(built, shots=0)
