"""What tests of tasks ask of circuits: the right ones pass, and each wrong one fails with its reason."""

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Parameter
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import DensityMatrix, Operator, Statevector, random_unitary

from qecforge_qiskit_tasks.checks.circuits import (
    at_most,
    fidelity_under_noise,
    fits_target,
    same_state,
    same_unitary,
    two_qubit_gates,
)

LINE = [[0, 1], [1, 2], [2, 3], [3, 4]]
BELL = [1 / np.sqrt(2), 0, 0, 1 / np.sqrt(2)]


@pytest.fixture(scope="module")
def backend():
    return GenericBackendV2(5, basis_gates=["rz", "sx", "x", "cx"], coupling_map=LINE, seed=1)


def bell():
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    return circuit


def refused(reason, check, *arguments, **options):
    with pytest.raises(AssertionError, match=reason):
        check(*arguments, **options)


def test_same_state_takes_each_kind_and_any_global_phase():
    measured = bell()
    measured.measure_all()
    turned = bell()
    turned.global_phase = 1.2
    for value in (bell(), measured, turned, Statevector(bell()), DensityMatrix(bell()), BELL, -1j * np.array(BELL)):
        same_state(value, BELL)
    same_state(DensityMatrix(np.eye(2) / 2), DensityMatrix(np.eye(2) / 2))


def test_same_state_says_what_is_wrong():
    refused("fidelity with the expected state is 0, expected 1", same_state, [1, 0], [0, 1])
    refused("fidelity with the expected state is 0.5", same_state, QuantumCircuit(2), BELL)
    refused("2 dimensions, expected 4", same_state, [1, 0], BELL)
    refused("not normalised: 2", same_state, [1, 1], [1, 0])
    refused("not finite", same_state, [np.nan, 1], [0, 1])
    refused("expected a state, got object", same_state, object(), BELL)
    refused("expected amplitudes, got shape", same_state, np.eye(2), [1, 0])
    in_the_middle = QuantumCircuit(1, 1)
    in_the_middle.measure(0, 0)
    in_the_middle.h(0)
    refused("gives no pure state", same_state, in_the_middle, [1, 0])
    refused("21 qubits are too many", same_state, QuantumCircuit(21), [1, 0])


def test_a_mixed_state_is_not_the_pure_one():
    refused("fidelity with the expected state is 0.5", same_state, DensityMatrix(np.eye(2) / 2), [1, 0])


def test_same_unitary_up_to_phase_unless_it_is_asked():
    unitary = random_unitary(4, seed=2)
    circuit = QuantumCircuit(2)
    circuit.unitary(unitary, [0, 1])
    for value in (circuit, unitary, unitary.data, np.exp(0.7j) * unitary.data):
        same_unitary(value, unitary)
    same_unitary(circuit, unitary, exact_phase=True)
    refused("an entry of the operator is off", same_unitary, np.exp(0.7j) * unitary.data, unitary, exact_phase=True)


def test_same_unitary_takes_the_transpilers_layout_into_account(backend):
    circuit = QuantumCircuit(5)
    circuit.h(0)
    circuit.cx(0, 4)
    circuit.cx(4, 2)
    done = transpile(circuit, backend, optimization_level=2, seed_transpiler=5)
    same_unitary(done, circuit)
    with pytest.raises(AssertionError, match="off by"):
        same_unitary(done, circuit.inverse())


def test_same_unitary_says_what_is_wrong():
    turned = QuantumCircuit(2)
    turned.h(1)
    turned.cx(1, 0)
    refused("an entry of the operator is off by", same_unitary, turned, QuantumCircuit(2))
    refused("orthogonal to the expected one", same_unitary, np.diag([1, -1]), np.eye(2))
    refused(r"an operator of shape \(2, 2\), expected \(4, 4\)", same_unitary, np.eye(2), bell())
    refused("expected a matrix, got shape", same_unitary, [1, 0], np.eye(2))
    refused("not finite", same_unitary, np.full((2, 2), np.inf), np.eye(2))
    reset = QuantumCircuit(1)
    reset.reset(0)
    refused("the circuit is no unitary", same_unitary, reset, np.eye(2))
    refused("11 qubits are too many", same_unitary, QuantumCircuit(11), np.eye(2))
    refused("an entry of the operator is off", same_unitary, Operator(np.eye(2) / 2), np.eye(2))


def test_at_most_counts_depth_and_gates_without_barriers():
    circuit = bell()
    circuit.barrier()
    circuit.cx(0, 1)
    at_most(circuit, depth=3, two_qubit_gates=2, gates=3)
    refused("the depth is 3, expected at most 2", at_most, circuit, depth=2)
    refused("gates on two or more qubits is 2, expected at most 1", at_most, circuit, two_qubit_gates=1)
    refused("the number of gates is 3, expected at most 2", at_most, circuit, gates=2)
    refused("expected a QuantumCircuit, got int", at_most, 3, depth=1)


def test_nothing_is_hidden_from_the_count_in_a_gate_of_ones_own():
    inner = QuantumCircuit(2, name="inner")
    for _ in range(3):
        inner.cx(0, 1)
    outer = QuantumCircuit(2, name="outer")
    outer.append(inner.to_gate(), [0, 1])
    outer.append(inner.to_gate(), [1, 0])
    circuit = QuantumCircuit(2)
    circuit.append(outer.to_gate(), [0, 1])
    assert two_qubit_gates(circuit) == 6
    refused("is 6, expected at most 5", at_most, circuit, two_qubit_gates=5)
    refused("the depth is 6, expected at most 1", at_most, circuit, depth=1)


def test_nothing_is_hidden_from_the_count_in_branches_and_loops():
    circuit = QuantumCircuit(2, 1)
    with circuit.for_loop(range(5)):
        circuit.cx(0, 1)
    with circuit.if_test((circuit.clbits[0], 1)) as otherwise:
        circuit.cx(0, 1)
    with otherwise:
        circuit.cx(1, 0)
    assert two_qubit_gates(circuit) == 7
    at_most(circuit, depth=7, gates=7)
    refused("the depth is 7, expected at most 6", at_most, circuit, depth=6)
    with circuit.while_loop((circuit.clbits[0], 0)):
        circuit.measure(0, 0)
    refused("cannot be counted: a while loop has no bound", at_most, circuit, depth=100)


def test_fits_target_wants_its_gates_on_its_qubits(backend):
    fits_target(transpile(bell(), backend, seed_transpiler=1), backend.target)
    refused(r"the target has no h on qubits \[0\]", fits_target, bell(), backend.target)
    backwards = QuantumCircuit(2)
    backwards.cx(1, 0)
    refused(r"the target has no cx on qubits \[1, 0\]", fits_target, backwards, backend.target)
    refused("the circuit has 6 qubits, the target 5", fits_target, QuantumCircuit(6), backend.target)
    refused("expected a QuantumCircuit", fits_target, "cx", backend.target)
    with_barrier = QuantumCircuit(5)
    with_barrier.barrier()
    with_barrier.rz(Parameter("a"), 3)
    fits_target(with_barrier, backend.target)


def test_fits_target_looks_into_branches():
    backend = GenericBackendV2(3, basis_gates=["rz", "sx", "x", "cx"], coupling_map=LINE[:2], control_flow=True, seed=1)

    def branch(control, target):
        circuit = QuantumCircuit(3, 1)
        with circuit.if_test((circuit.clbits[0], 1)):
            circuit.cx(control, target)
        return circuit

    fits_target(branch(1, 2), backend.target)
    refused(r"the target has no cx on qubits \[2, 1\]", fits_target, branch(2, 1), backend.target)


def test_fidelity_under_noise_is_that_of_the_circuits_own_qubits(backend):
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.x(2)
    state = Statevector(circuit)
    done = transpile(circuit, backend, initial_layout=[3, 2, 0], optimization_level=0, seed_transpiler=1)
    fidelity_under_noise(done, backend, state, at_least=0.9)
    refused("the fidelity under noise is 0.9", fidelity_under_noise, done, backend, state, at_least=0.99999)
    wrong = Statevector.from_label("010")
    with pytest.raises(AssertionError, match=r"the fidelity under noise is 0\.0"):
        fidelity_under_noise(done, backend, wrong, at_least=0.9)


def test_fidelity_falls_with_each_gate(backend):
    circuit = bell()
    for _ in range(40):
        circuit.cx(0, 1)
    done = transpile(circuit, backend, initial_layout=[0, 1], optimization_level=0, seed_transpiler=1)
    fidelity_under_noise(transpile(bell(), backend, seed_transpiler=1), backend, BELL, at_least=0.95)
    with pytest.raises(AssertionError, match="the fidelity under noise is"):
        fidelity_under_noise(done, backend, BELL, at_least=0.95)


def test_fidelity_under_noise_is_bounded(backend):
    refused("13 qubits are too many", fidelity_under_noise, QuantumCircuit(13), backend, BELL, at_least=0.5)
    refused("cannot be simulated: .*instruction: h", fidelity_under_noise, bell(), backend, BELL, at_least=0.5)
