"""Closed form against stim's detector error model, and the factor graph against brute force."""

import numpy as np
import pytest
import stim
from hypothesis import given, settings
from hypothesis import strategies as st

from qecforge.errors import ConfigurationError
from qecforge_surface_steering.device.circuits import color_code, surface_code
from qecforge_surface_steering.device.regions import DetectionModel, region_counts
from qecforge_surface_steering.device.tagged import TaggedCircuit


def rates_of_error_model(circuit):
    """Marginals of independent faults, from stim."""
    logs = np.zeros(circuit.num_detectors)
    for instruction in circuit.detector_error_model(flatten_loops=True):
        if instruction.type == "error":
            for target in instruction.targets_copy():
                if target.is_relative_detector_id():
                    logs[target.val] += np.log1p(-2 * instruction.args_copy()[0])
    return -0.5 * np.expm1(logs)


def every_detector(circuit):
    return DetectionModel.from_circuits([circuit], objectives="detector", bulk_only=False)


@pytest.mark.parametrize("fixed", [{}, {"measurement_error": 0.01, "reset_error": 0.003}], ids=["gates", "readout"])
@pytest.mark.parametrize(
    "circuit", [surface_code(3, 4, "x"), surface_code(5, 3, "z"), color_code(5, 4)], ids=["x3", "z5", "colour"]
)
def test_closed_form_is_stims_detector_error_model(circuit, fixed):
    tagged = TaggedCircuit(circuit, **fixed)
    model = every_detector(tagged)
    p = np.random.default_rng(3).uniform(0, 0.05, (2, model.num_gates))
    for errors, rates in zip(p, model.class_rates(p), strict=True):
        expected = rates_of_error_model(tagged.with_noise(errors))
        np.testing.assert_allclose(rates[model.detector_class[0]], expected, rtol=0, atol=1e-12)


def test_noise_in_the_users_circuit_counts():
    text = "R 0 1\nX_ERROR(0.1) 0\nCX[cx{}] 0 1\nDEPOLARIZE2(0.2) 0 1\nH[h] 1\nH[h] 1\nM 1\nDETECTOR rec[-1]"
    tagged = TaggedCircuit(stim.Circuit(text), measurement_error=0.02)
    model = every_detector(tagged)
    expected = rates_of_error_model(tagged.with_noise([0.03, 0.04]))
    np.testing.assert_allclose(model.rates([0.03, 0.04]), expected, rtol=0, atol=1e-13)


def random_circuit(rng, qubits, length):
    """Clifford gates on |0...0>, undone, with a parity of measured qubits as the detector."""
    forward = stim.Circuit()
    for _ in range(length):
        if rng.random() < 0.5:
            forward.append(rng.choice(["H", "S", "SQRT_X", "C_XYZ"]), [rng.integers(qubits)], tag="one{}")
        else:
            name = rng.choice(["CX", "CZ", "ISWAP", "XCY"])
            forward.append(name, sorted(rng.choice(qubits, 2, replace=False).tolist()), tag="two{}")
    circuit = stim.Circuit(f"R {' '.join(map(str, range(qubits)))}")
    circuit += forward
    for instruction in forward.inverse():
        tag = "one{}" if len(instruction.target_groups()[0]) == 1 else "two{}"
        circuit.append(stim.CircuitInstruction(instruction.name, instruction.targets_copy(), [], tag=tag))
    circuit.append("M", range(qubits))
    for q in range(qubits):
        circuit.append("DETECTOR", [stim.target_rec(-1 - q), stim.target_rec(-1 - (q + 1) % qubits)])
    return circuit


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(3, 5), st.integers(1, 12))
def test_any_clifford_circuit(seed, qubits, length):
    rng = np.random.default_rng(seed)
    tagged = TaggedCircuit(random_circuit(rng, qubits, length))
    p = rng.uniform(0, 0.3, tagged.num_gates)
    expected = rates_of_error_model(tagged.with_noise(p))
    counts = region_counts(tagged)
    for detector, row in enumerate(counts):
        logs = sum(m * np.log1p(-tagged.attenuation[g] * p[g]) for g, m in row.items())
        assert -0.5 * np.expm1(logs) == pytest.approx(expected[detector], abs=1e-12)


def test_complete_depolarization_is_a_coin():
    model = every_detector(TaggedCircuit(surface_code(3, 2, "x")))
    p = np.where(np.array([gate.arity for gate in model.gates]) == 1, 0.75, 15 / 16)
    np.testing.assert_array_equal(model.rates(p), 0.5)


def test_stabilizers_are_the_mean_of_their_detectors():
    circuits = [TaggedCircuit(surface_code(3, 6, basis), measurement_error=0.01) for basis in "xz"]
    model = DetectionModel.from_circuits(circuits, bulk_only=False)
    p = np.random.default_rng(0).uniform(0, 0.05, model.num_gates)
    sums, numbers = dict.fromkeys(model.objective_names, 0.0), dict.fromkeys(model.objective_names, 0)
    for circuit in circuits:
        rates = rates_of_error_model(circuit.with_noise(p))
        for detector, (x, y, _) in circuit.circuit.get_detector_coordinates().items():
            sums[f"({x:g}, {y:g})"] += rates[detector]
            numbers[f"({x:g}, {y:g})"] += 1
    expected = [sums[name] / numbers[name] for name in model.objective_names]
    np.testing.assert_allclose(model.rates(p), expected, rtol=0, atol=1e-13)
    assert model.multiplicity.sum() == sum(circuit.circuit.num_detectors for circuit in circuits)


def test_bulk_is_one_class_for_each_stabilizer():
    circuits = [TaggedCircuit(surface_code(5, 8, basis)) for basis in "xz"]
    model = DetectionModel.from_circuits(circuits)
    assert model.num_classes == model.num_objectives == 24
    np.testing.assert_array_equal(model.objective, np.arange(24))
    np.testing.assert_array_equal(model.multiplicity, 2 * 7)
    p = np.random.default_rng(0).uniform(0, 0.05, model.num_gates)
    rates = rates_of_error_model(circuits[0].with_noise(p))
    middle = {tuple(at[:2]): rates[d] for d, at in circuits[0].circuit.get_detector_coordinates().items() if at[2] == 4}
    expected = [middle[tuple(at)] for at in model.coordinates]
    np.testing.assert_allclose(model.rates(p), expected, rtol=0, atol=1e-13)


def test_bulk_does_not_depend_on_the_length_of_the_experiment():
    short, long = (DetectionModel.from_circuits([TaggedCircuit(surface_code(3, rounds, "x"))]) for rounds in (4, 9))
    for name in ("indptr", "indices", "counts", "objective", "coordinates"):
        np.testing.assert_array_equal(getattr(short, name), getattr(long, name))


def test_factor_graph_is_what_a_fault_moves():
    model = DetectionModel.from_circuits([TaggedCircuit(surface_code(3, 5, "z"))])
    graph = model.factor_graph(4)
    moved = np.zeros((model.num_objectives, model.num_gates), dtype=bool)
    for g in range(model.num_gates):
        p = np.zeros(model.num_gates)
        p[g] = 0.01
        moved[:, g] = model.rates(p) > 0
    np.testing.assert_array_equal(graph.dense(), np.repeat(moved, 4, axis=1))
    assert (graph.num_parameters, graph.num_objectives) == (164, 8)
    assert 0.2 < graph.statistics().density < 0.5


def test_far_gates_are_unseen():
    model = DetectionModel.from_circuits([TaggedCircuit(surface_code(7, 4, "x"))])
    corner = next(j for j, at in enumerate(model.coordinates) if tuple(at) == (2, 2))
    places = TaggedCircuit(surface_code(7, 1, "x")).coordinates
    seen = model.indices[model.indptr[corner] : model.indptr[corner + 1]]
    assert max(places[q][0] for g in seen for q in model.gates[g].qubits) <= 6


def test_detectors_without_coordinates_are_objectives_of_their_own():
    text = "R 0 1\nX[x{}] 0 1\nX[x{}] 0 1\nM 0 1\nDETECTOR rec[-1]\nDETECTOR(1,2,3) rec[-2]\nDETECTOR(1,2,3) rec[-2]"
    circuit = TaggedCircuit(stim.Circuit(text))
    assert DetectionModel.from_circuits([circuit]).objective_names == ("(1, 2)", "D0")
    assert DetectionModel.from_circuits([circuit], objectives="detector").num_objectives == 3
    model = DetectionModel.from_circuits([circuit])
    np.testing.assert_array_equal(model.coordinates, [[1, 2], [np.nan, np.nan]])
    assert model.rates([0.1, 0.2]) == pytest.approx(
        [0.1 * 4 / 3 - 0.5 * (0.1 * 4 / 3) ** 2, 0.2 * 4 / 3 - 0.5 * (0.8 / 3) ** 2]
    )


def test_a_gate_that_no_detector_sees_is_named():
    text = "R 0 1\nX[seen] 0\nX[blind] 1\nM 0 1\nDETECTOR rec[-2]"
    with pytest.raises(ConfigurationError, match=r"1 of 2 gates are seen by no detector \(blind\)"):
        DetectionModel.from_circuits([TaggedCircuit(stim.Circuit(text))])


def test_circuits_on_other_gates_do_not_mix():
    a, b = (TaggedCircuit(surface_code(d, 2, "x")) for d in (3, 5))
    with pytest.raises(ConfigurationError, match="not all have the gate"):
        DetectionModel.from_circuits([a, b])
    with pytest.raises(ConfigurationError, match="no circuit was given"):
        DetectionModel.from_circuits([])


def test_noise_that_is_no_product_is_refused():
    text = "R 0\nPAULI_CHANNEL_1(0.1,0.2,0.3) 0\nX[x] 0\nM 0\nDETECTOR rec[-1]"
    with pytest.raises(ConfigurationError, match="not a product of independent faults"):
        every_detector(TaggedCircuit(stim.Circuit(text)))


def test_gradient_of_the_mean_rate():
    circuits = [TaggedCircuit(surface_code(3, 5, basis), measurement_error=0.01) for basis in "xz"]
    for bulk_only in (True, False):
        model = DetectionModel.from_circuits(circuits, bulk_only=bulk_only)
        p = np.random.default_rng(1).uniform(0, 0.1, model.num_gates)
        steps = 1e-6 * np.eye(model.num_gates)
        numeric = (model.rates(p + steps).mean(axis=1) - model.rates(p - steps).mean(axis=1)) / 2e-6
        np.testing.assert_allclose(model.gradient(p), numeric, rtol=1e-6, atol=1e-9)


def test_gates_are_matched_by_name():
    a = "R 0 1\nX[all] 0 1\nX[one] 1\nM 0 1\nDETECTOR(0,0) rec[-1]\nDETECTOR(1,0) rec[-2]"
    b = "R 0 1\nX[one] 0\nX[all] 1 0\nM 0 1\nDETECTOR(0,0) rec[-2]\nDETECTOR(1,0) rec[-1]"
    one, two = (TaggedCircuit(stim.Circuit(text)) for text in (a, b))
    assert [gate.name for gate in one.gates] != [gate.name for gate in two.gates]
    both = DetectionModel.from_circuits([one, two], bulk_only=False)
    alone = DetectionModel.from_circuits([one], bulk_only=False)
    np.testing.assert_array_equal(both.rates([0.1, 0.02]), alone.rates([0.1, 0.02]))
    assert both.multiplicity.tolist() == [2, 2]
