"""Gradients held against each other, and the mean over strings that all of them replace by the mean bits."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from quantum_reference import probabilities, random_circuits

from qecforge.errors import ConfigurationError
from qecforge_td3.quantum import NumbaBackend, PaperCircuit, agreement, expectation_gradient, marginals_vjp
from qecforge_td3.quantum.gradients import parameter_shift
from qecforge_td3.quantum.qiskit_circuits import as_circuit


def test_agreement_by_hand():
    exact = np.array([[3.0, 4.0], [0.0, 2.0], [0.0, 0.0], [1.0, 0.0]], np.float32)
    estimate = np.array([[6.0, 8.0], [1.0, 1.0], [5.0, 5.0], [0.0, 0.0]], np.float32)
    found = agreement(estimate, exact)
    assert found.rows == 3, "the third row has nothing to be compared with"
    assert found.cosine == pytest.approx((1 + 2**-0.5 + 0) / 3)
    assert found.norm_ratio == pytest.approx(((100 + 2) / 30) ** 0.5)
    assert agreement(-exact, exact).cosine == pytest.approx(-1)
    assert agreement(estimate[0], exact[0]) == agreement(estimate[:1], exact[:1])
    nothing = agreement(exact[2], exact[2])
    assert np.isnan([nothing.cosine, nothing.norm_ratio]).all()
    assert nothing.rows == 0
    with pytest.raises(ConfigurationError, match=r"\(4, 2\) and \(3, 2\)"):
        agreement(estimate, exact[:3])


@pytest.mark.parametrize("rotation", ["r", "ry_rz"])
def test_shifts_agree_with_the_exact_gradient_and_shots_take_from_it(rotation):
    rng = np.random.default_rng(5)
    circuit = PaperCircuit(4, 5, rotation)
    angles, pairs = random_circuits(rng, 32, 4, 5)
    cotangent = rng.normal(size=(32, 4)).astype(np.float32)
    exact = marginals_vjp(angles, pairs, cotangent, rotation)
    found = {
        shots: parameter_shift(circuit, NumbaBackend(circuit), angles, pairs, cotangent, shots, rng)
        for shots in (None, 400, 40, 4)
    }
    without_shots = agreement(found[None], exact)
    assert without_shots.cosine == pytest.approx(1, abs=1e-6)
    assert without_shots.norm_ratio == pytest.approx(1, abs=1e-5)
    cosines = [agreement(each, exact).cosine for each in found.values()]
    assert cosines == sorted(cosines, reverse=True)
    assert cosines[1] > 0.9 > cosines[3] > 0.1
    noise = [float(((found[shots] - exact) ** 2).mean()) for shots in (4, 40, 400)]
    factors = [noise[0] / noise[1], noise[1] / noise[2]]
    assert factors == pytest.approx([10, 10], rel=0.25), "its variance falls with the shots"


@pytest.mark.parametrize("rotation", ["r", "ry_rz"])
def test_the_mean_over_strings_by_brute_force(rotation):
    """Finite differences of a sum over all strings, by qiskit's state vector."""
    rng = np.random.default_rng(7)
    angles, pairs = random_circuits(rng, 2, 3, 2)
    values = rng.normal(size=(2, 8))
    found = expectation_gradient(PaperCircuit(3, 2, rotation), angles, pairs, values)
    for row in range(2):

        def mean(at, step, row=row):
            moved = angles[row].astype(float)
            moved[at] += step
            return probabilities(moved, pairs[row], 3, rotation) @ values[row]

        wanted = [(mean(at, 1e-4) - mean(at, -1e-4)) / 2e-4 for at in range(angles.shape[1])]
        np.testing.assert_allclose(found[row], wanted, atol=1e-5)


def test_for_a_linear_function_both_means_are_one(monkeypatch):
    monkeypatch.setattr("qecforge_td3.quantum.gradients.MOST_NUMBERS", 2000)  # in several parts
    rng = np.random.default_rng(8)
    angles, pairs = random_circuits(rng, 5, 3, 4)
    cotangent = rng.normal(size=(5, 3)).astype(np.float32)
    strings = np.arange(8)[:, None] >> np.arange(3) & 1
    linear = 1.5 + cotangent @ strings.T
    exact = marginals_vjp(angles, pairs, cotangent)
    np.testing.assert_allclose(expectation_gradient(PaperCircuit(3, 4), angles, pairs, linear), exact, atol=1e-5)
    curved = expectation_gradient(PaperCircuit(3, 4), angles, pairs, linear**2)
    assert agreement(curved, exact).cosine < 0.9


def test_strings_of_a_circuit_of_qiskit_are_its_classical_bits():
    """Two of three qubits, in another order: parity, with qubit 0 turned by both parameters."""
    angle = ParameterVector("angle", 2)
    circuit = QuantumCircuit(3, 2)
    circuit.ry(angle[0] + angle[1], 0)
    circuit.ry(2 * angle[1], 2)
    circuit.measure([2, 0], [0, 1])
    inputs = np.array([[0.3, 0.9], [1.1, -0.4]], np.float32)
    only_second = np.array([[0.0, 0.0, 1.0, 0.0]] * 2)  # bit 1 (qubit 0) is one, bit 0 (qubit 2) is zero
    found = expectation_gradient(as_circuit(circuit), inputs, None, only_second)
    x, y = inputs.T.astype(float)
    by_x = np.sin(x + y) / 2 * np.cos(y) ** 2
    by_y = by_x - np.sin((x + y) / 2) ** 2 * np.sin(2 * y)
    np.testing.assert_allclose(found, np.stack([by_x, by_y], 1), atol=1e-6)
    with pytest.raises(ConfigurationError, match=r"got shape \(2, 8\), expected \(2, 4\)"):
        expectation_gradient(as_circuit(circuit), inputs, None, np.zeros((2, 8)))
