"""What a decoder believes of the gates: exact parities, what can be inferred from them, and what that is worth."""

from itertools import combinations

import numpy as np
import pytest
import stim
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import lsq_linear

from qecforge.errors import ConfigurationError
from qecforge_surface_steering import SurfaceSteeringConfig, TaggedCircuit
from qecforge_surface_steering.decoding.logical import LogicalMemory
from qecforge_surface_steering.decoding.priors import GateErrorInference, ParityCounts, _bounded, nominal_errors
from qecforge_surface_steering.device.circuits import color_code, surface_code

NOISE = {"measurement_error": 3e-3, "reset_error": 2e-3}


def bases(distance=3, rounds=5, **noise):
    return [TaggedCircuit(surface_code(distance, rounds, basis), **noise) for basis in "xz"]


def nominal_of(circuit, scale=1.0):
    return scale * np.where(circuit.arity == 1, 1e-3, 4e-3)


def exact_counts(inference, errors, trials=10**14):
    odd = np.rint((1 - inference.means(errors)) / 2 * trials).astype(np.int64)
    return ParityCounts(odd, np.full(len(odd), trials))


def test_nominal_is_what_all_gates_of_a_kind_are_said_to_be():
    config = SurfaceSteeringConfig.model_validate(
        {"distance": 3, "floor": {"single_qubit": 0.002, "two_qubit": 0.01, "spread": 0.7, "gates": {"cz*": 0.3}}}
    )
    assert nominal_errors(config, [1, 2, 1]).tolist() == [0.002, 0.01, 0.002]


@pytest.mark.parametrize("circuit", [surface_code(3, 3, "x"), color_code(3, 4)], ids=["surface", "color"])
def test_parities_have_the_means_of_stims_error_model(circuit):
    tagged = TaggedCircuit(circuit, **NOISE)
    errors = nominal_of(tagged, 3) * np.exp(np.random.default_rng(2).standard_normal(tagged.num_gates))
    inference = GateErrorInference([tagged], nominal_of(tagged))
    faults = []
    for line in tagged.with_noise(errors).detector_error_model(flatten_loops=True):
        if line.type == "error":
            hit = {target.val for target in line.targets_copy() if target.is_relative_detector_id()}
            faults.append((hit, np.log1p(-2 * line.args_copy()[0])))
    ((detectors,), (classes,)) = inference.detectors, inference.classes
    means = inference.means(errors)
    for pair, number in zip(detectors.tolist(), classes, strict=True):
        own = {detector for detector in pair if detector >= 0}
        expected = sum(log for hit, log in faults if len(hit & own) == 1)
        assert np.log(means[number]) == pytest.approx(expected, rel=1e-11, abs=1e-13)
    seen = {tuple(pair) for pair in detectors.tolist()}
    D = tagged.circuit.num_detectors
    assert {(detector, -1) for detector in range(D)} <= seen
    for line in TaggedCircuit(circuit).with_noise(errors).detector_error_model(flatten_loops=True):
        if line.type == "error":
            hit = sorted(target.val for target in line.targets_copy() if target.is_relative_detector_id())
            assert set(combinations(hit, 2)) <= seen


def test_counts_are_those_of_a_plain_loop():
    circuits = bases(rounds=3)
    inference = GateErrorInference(circuits, nominal_of(circuits[0]))
    rng = np.random.default_rng(8)
    shots = [rng.random((77, circuit.circuit.num_detectors)) < 0.3 for circuit in circuits]
    odd = np.zeros(len(inference.fixed), np.int64)
    trials = np.zeros_like(odd)
    for events, pairs, classes in zip(shots, inference.detectors, inference.classes, strict=True):
        for (first, second), number in zip(pairs.tolist(), classes, strict=True):
            parity = events[:, first] ^ (events[:, second] if second >= 0 else False)
            odd[number] += parity.sum()
            trials[number] += len(events)
    counts = inference.count([np.packbits(events, axis=1, bitorder="little") for events in shots])
    np.testing.assert_array_equal(counts.odd, odd)
    np.testing.assert_array_equal(counts.trials, trials)
    twice = counts + counts
    np.testing.assert_array_equal(twice.odd, 2 * odd)


def test_sampled_parities_agree_with_their_means():
    circuits = bases(rounds=6, **NOISE)
    nominal = nominal_of(circuits[0], 2)
    inference = GateErrorInference(circuits, nominal)
    memory = LogicalMemory(circuits, rounds=6, reference=nominal)
    counts = inference.count(memory.sample(nominal, shots=20_000, seed=3).events)
    rate = (1 - inference.means(nominal)) / 2
    z = (counts.odd - counts.trials * rate) / np.sqrt(counts.trials * rate * (1 - rate))
    assert np.abs(z).max() < 6
    assert 0.7 < np.sqrt(np.mean(z**2)) < 1.3


def test_exact_rates_give_every_gate_of_the_surface_code():
    circuits = bases(**NOISE)
    errors = nominal_of(circuits[0]) * np.exp(0.7 * np.random.default_rng(1).standard_normal(41))
    errors[7], errors[30] = 0.2, 0.4
    inference = GateErrorInference(circuits, nominal_of(circuits[0]))
    assert np.linalg.matrix_rank(inference.matrix.toarray()) == 41
    np.testing.assert_allclose(inference.infer(exact_counts(inference, errors)), errors, rtol=1e-3)


def test_where_gates_cannot_be_told_apart_the_rates_are_right_all_the_same():
    circuit = TaggedCircuit(color_code(3, 4))
    errors = nominal_of(circuit) * np.exp(0.3 * np.random.default_rng(1).standard_normal(circuit.num_gates))
    inference = GateErrorInference([circuit], nominal_of(circuit))
    assert np.linalg.matrix_rank(inference.matrix.toarray()) < circuit.num_gates
    found = inference.infer(exact_counts(inference, errors))
    np.testing.assert_allclose(inference.means(found), inference.means(errors), rtol=1e-6)
    assert np.abs(found / errors - 1).max() > 0.01


def test_without_data_the_nominal_errors_are_believed():
    circuits = bases(rounds=2)
    nominal = nominal_of(circuits[0])
    inference = GateErrorInference(circuits, nominal)
    nothing = np.zeros(len(inference.fixed), np.int64)
    np.testing.assert_allclose(inference.infer(ParityCounts(nothing, nothing)), nominal, rtol=1e-12)


def test_a_circuit_of_one_detector_has_no_pairs():
    circuit = TaggedCircuit(stim.Circuit("R 0\nX[g] 0 0\nM 0\nDETECTOR rec[-1]"), measurement_error=0.01)
    inference = GateErrorInference([circuit], [0.1])
    assert inference.detectors[0].tolist() == [[0, -1]]
    assert inference.means([0.2]) == pytest.approx([0.98 * (1 - 4 / 3 * 0.2) ** 2])
    assert inference.infer(exact_counts(inference, [0.2])) == pytest.approx([0.2], rel=1e-4)


def test_no_gate_is_believed_to_be_perfect():
    circuits = bases(rounds=4)
    nominal = nominal_of(circuits[0])
    inference = GateErrorInference(circuits, nominal)
    silent = ParityCounts(np.zeros(len(inference.fixed), np.int64), np.full(len(inference.fixed), 10**6))
    found = inference.infer(silent)
    np.testing.assert_allclose(found, nominal / 100, rtol=1e-2)
    memory = LogicalMemory(circuits, rounds=4, reference=nominal)
    noise = ParityCounts(np.full(len(inference.fixed), 500_000), np.full(len(inference.fixed), 10**6))
    for counts in (silent, noise, inference.count(memory.sample(nominal, shots=50, seed=0).events)):
        found = inference.infer(counts)
        assert np.isfinite(found).all()
        assert (found > 0).all()
        assert (found < circuits[0].p_max).all()


@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 12))
def test_bounded_least_squares_are_scipys(seed, size):
    rng = np.random.default_rng(seed)
    matrix, target = rng.standard_normal((2 * size, size)), rng.standard_normal(2 * size)
    low = rng.uniform(-0.5, 0.5, size)
    guess = rng.random(size) < 0.5
    found, free = _bounded(matrix.T @ matrix, matrix.T @ target, low, guess)
    expected = lsq_linear(matrix, target, bounds=(low, np.inf), method="bvls", tol=1e-14).x
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(found[~free], low[~free], rtol=1e-15)


def errors_of(circuits, rounds, device, priors, shots=20_000):
    memory = LogicalMemory(circuits, rounds=rounds, reference=nominal_of(circuits[0]))
    drawn = memory.sample(device, shots=shots, seed=9)
    return [memory.decoder(prior).count(drawn).errors for prior in priors]


def test_a_learned_prior_finds_the_bad_gate_and_saves_logical_errors():
    circuits = bases(rounds=10)
    nominal = nominal_of(circuits[0])
    names = [gate.name for gate in circuits[0].gates]
    device = nominal.copy()
    bad = names.index("cz4-14")
    device[bad] = 0.4
    inference = GateErrorInference(circuits, nominal)
    memory = LogicalMemory(circuits, rounds=10, reference=nominal)
    learned = inference.infer(inference.count(memory.sample(device, shots=10_000, seed=3).events))
    assert learned[bad] == pytest.approx(0.4, rel=0.05)
    assert np.median(learned / nominal) == pytest.approx(1, abs=0.2)
    by_nominal, by_learned, by_true = errors_of(circuits, 10, device, [nominal, learned, device])
    assert by_nominal - by_learned > 6 * np.sqrt(by_nominal + by_learned)
    assert abs(by_learned - by_true) < 4 * np.sqrt(by_learned + by_true)


def test_true_priors_are_better_than_nominal_ones_where_gates_differ():
    circuits = bases(rounds=10)
    nominal = nominal_of(circuits[0])
    device = nominal * np.exp(1.5 * np.random.default_rng(3).standard_normal(len(nominal)))
    by_nominal, by_true = errors_of(circuits, 10, device, [nominal, device], shots=60_000)
    assert by_nominal - by_true > 6 * np.sqrt(by_nominal + by_true)


def test_what_is_refused():
    circuits = bases(rounds=2)
    nominal = nominal_of(circuits[0])
    for wrong in (nominal[:-1], 0 * nominal, nominal + 0.8):
        with pytest.raises(ConfigurationError, match="nominal errors"):
            GateErrorInference(circuits, wrong)
    with pytest.raises(ConfigurationError, match="spread: 0"):
        GateErrorInference(circuits, nominal, spread=0)
    with pytest.raises(ConfigurationError, match="not all have the gate"):
        GateErrorInference([circuits[0], TaggedCircuit(surface_code(5, 2, "x"))], nominal)
    correlated = stim.Circuit("R 0\nH[h] 0 0\nPAULI_CHANNEL_1(0.1,0.2,0) 0\nM 0\nDETECTOR rec[-1]")
    with pytest.raises(ConfigurationError, match="not a product of independent faults"):
        GateErrorInference([TaggedCircuit(correlated)], [0.1])
