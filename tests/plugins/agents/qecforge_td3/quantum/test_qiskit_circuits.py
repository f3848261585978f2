"""Any parametrised circuit of qiskit as a layer."""

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterVector
from qiskit.circuit.library import efficient_su2
from qiskit.quantum_info import Statevector

from qecforge.errors import ConfigurationError
from qecforge_td3.quantum import QuantumLayer


def everything():
    """Gates of all kinds, parameters that come twice and in sums, a barrier, bits in another order."""
    a, b = ParameterVector("a", 3), Parameter("b")
    circuit = QuantumCircuit(3, 4, name="everything")
    circuit.h(0)
    circuit.rx(a[0], 0)
    circuit.crx(2 * a[1] + b, 0, 1)
    circuit.u(a[2], b, 0.3, 2)
    circuit.barrier()
    circuit.rzz(b - 0.5, 1, 2)
    circuit.cx(0, 2)
    circuit.swap(0, 1)
    circuit.ccx(0, 1, 2)
    circuit.r(a[0], a[1], 1)
    circuit.sx(2)
    circuit.measure([0, 1, 2], [2, 0, 3])
    return circuit


def means_by_qiskit(circuit, values):
    """Mean of each classical bit, from `Statevector`."""
    bound = circuit.assign_parameters(dict(zip(circuit.parameters, values, strict=True)))
    found = np.zeros(circuit.num_clbits)
    where = [
        (circuit.find_bit(each.qubits[0]).index, circuit.find_bit(each.clbits[0]).index)
        for each in bound.data
        if each.operation.name == "measure"
    ]
    bound.remove_final_measurements()
    state = Statevector(bound)
    for qubit, bit in where:
        found[bit] = state.probabilities([qubit])[1]
    return found


@pytest.fixture
def inputs():
    return torch.tensor(np.random.default_rng(2).uniform(-3, 3, (4, 4)), dtype=torch.float32, requires_grad=True)


@pytest.mark.parametrize("gradient", ["exact", "parameter_shift"])
def test_means_and_gradients(inputs, gradient):
    circuit = everything()
    means = QuantumLayer(circuit, readout="marginals", gradient=gradient)(inputs)
    assert means.shape == (4, 4)
    cotangent = torch.tensor(np.random.default_rng(0).standard_normal((4, 4)), dtype=torch.float32)
    means.backward(cotangent)
    for row, values in enumerate(inputs.detach().numpy().astype(float)):
        np.testing.assert_allclose(means[row].detach().numpy(), means_by_qiskit(circuit, values), atol=1e-6)
        differences = [
            (means_by_qiskit(circuit, values + step) - means_by_qiskit(circuit, values - step)) @ cotangent[row].numpy()
            for step in 1e-5 * np.eye(4)
        ]
        np.testing.assert_allclose(inputs.grad[row].numpy(), np.array(differences) / 2e-5, atol=2e-5)


@pytest.mark.parametrize("gate", ["crx", "cp", "cu", "rzz", "u", "r"])
def test_aer_is_not_trusted_with_parameters_of_controlled_gates(gate):
    """Aer 0.18.2 samples another distribution when it binds those itself."""
    circuit = QuantumCircuit(2, name=gate)
    circuit.h([0, 1])
    count = {"cu": 4, "u": 3, "r": 2}.get(gate, 1)
    getattr(circuit, gate)(*ParameterVector("a", count), *((0,) if gate in "ur" else (0, 1)))
    circuit.h([0, 1])
    circuit.measure_all()
    values = np.random.default_rng(0).uniform(0.5, 2.5, (3, count)).astype(np.float32)
    layer = QuantumLayer(circuit, "aer", readout="marginals", gradient="spsa", shots=4000)
    wanted = [means_by_qiskit(circuit, row.astype(float)) for row in values]
    np.testing.assert_allclose(layer(torch.tensor(values)).numpy(), wanted, atol=5 * 0.5 / 4000**0.5)


@pytest.mark.parametrize("backend", ["numba", "aer", {"fake": "generic_3"}], ids=["numba", "aer", "fake"])
def test_backends_give_the_same_means(inputs, backend):
    circuit = everything()
    layer = QuantumLayer(circuit, backend, readout="marginals", gradient="spsa", shots=4000)
    wanted = [means_by_qiskit(circuit, values) for values in inputs.detach().numpy().astype(float)]
    atol = 0.2 if isinstance(backend, dict) else 5 * 0.5 / 4000**0.5
    np.testing.assert_allclose(layer(inputs).detach().numpy(), wanted, atol=atol)


def test_the_most_probable_string(inputs):
    circuit = everything()
    exact = QuantumLayer(circuit, readout="most_probable")(inputs).detach().numpy()
    for row, values in enumerate(inputs.detach().numpy().astype(float)):
        bound = circuit.assign_parameters(values)
        bound.remove_final_measurements()
        probabilities = Statevector(bound).probabilities([1, 0, 2])  # read into bits 0, 2 and 3
        best = probabilities.argmax() >> np.arange(3) & 1
        assert exact[row].tolist() == [best[0], 0, best[1], best[2]]
        rivals = np.sort(probabilities)[-2:]
        if rivals[1] - rivals[0] > 0.05:
            sampled = QuantumLayer(circuit, readout="most_probable", shots=20_000)(inputs).detach().numpy()
            np.testing.assert_array_equal(sampled[row], exact[row])


def test_a_deep_circuit_of_the_library():
    circuit = efficient_su2(5, reps=6, entanglement="full")
    circuit.measure_all()
    values = np.random.default_rng(1).uniform(-np.pi, np.pi, (2, circuit.num_parameters)).astype(np.float32)
    means = QuantumLayer(circuit, readout="marginals")(torch.tensor(values))
    wanted = [means_by_qiskit(circuit, row.astype(float)) for row in values]
    np.testing.assert_allclose(means.numpy(), wanted, atol=2e-6)


def test_a_mid_circuit_measurement_needs_a_sampler():
    a = Parameter("a")
    circuit = QuantumCircuit(1, 2, name="twice")
    circuit.rx(a, 0)
    circuit.measure(0, 0)
    circuit.x(0)
    circuit.measure(0, 1)
    with pytest.raises(
        ConfigurationError, match=r"circuit 'twice': x acts on a qubit that was measured: expected gates"
    ):
        QuantumLayer(circuit)
    bits = QuantumLayer(circuit, "aer", gradient="spsa")(torch.full((50, 1), 1.0))
    torch.testing.assert_close(bits.sum(1), torch.ones(50))


def test_an_angle_that_is_no_sum_needs_a_sampler():
    a = Parameter("a")
    circuit = QuantumCircuit(1, name="squared")
    circuit.rx(a * a, 0)
    circuit.measure_all()
    with pytest.raises(ConfigurationError, match="no sum of multiples of parameters"):
        QuantumLayer(circuit)
    layer = QuantumLayer(circuit, "aer", readout="marginals", gradient="spsa", shots=4000)
    mean = layer(torch.full((1, 1), 1.5)).item()
    assert abs(mean - np.sin(1.5**2 / 2) ** 2) < 5 * 0.5 / 4000**0.5


def without(what):
    circuit = QuantumCircuit(2, 1, name="bare")
    circuit.rx(0.5 if what == "parameters" else Parameter("a"), 0)
    if what != "measurements":
        circuit.measure(0, 0)
    return circuit


def test_circuits_that_cannot_be_a_layer():
    with pytest.raises(ConfigurationError, match=r"circuit 'bare': has no parameters, which are a layer's inputs"):
        QuantumLayer(without("parameters"))
    with pytest.raises(ConfigurationError, match=r"circuit .bare.: measures nothing: add `measure_all"):
        QuantumLayer(without("measurements"))


def test_inputs_that_are_not_the_parameters(inputs):
    layer = QuantumLayer(everything())
    with pytest.raises(ConfigurationError, match=r"got inputs of shape \(4, 3\), expected \(B, 4\)"):
        layer(inputs[:, 1:])
    with pytest.raises(ConfigurationError, match="expected none: its circuit has no CZs as inputs"):
        layer(inputs, torch.zeros(4, 1, 2))


def test_the_order_of_parameters_can_be_given(inputs):
    from qecforge_td3.quantum import QiskitCircuit

    circuit = everything()
    turned = QiskitCircuit(circuit, circuit.parameters[::-1])
    one = QuantumLayer(circuit, readout="marginals")(inputs)
    torch.testing.assert_close(QuantumLayer(turned, readout="marginals")(inputs.flip(1)), one)
    with pytest.raises(ConfigurationError, match=r"got the parameters .* expected in some order"):
        QiskitCircuit(circuit, [Parameter("z")])
