"""What programs and tests of tasks use first, used once in a fork server before any of them is forked.

Qiskit builds tables, imports modules and fills caches when something is first used; a child that finds them there
saves some milliseconds. Nothing here starts a thread, as primitives and the transpiler do.
"""

from __future__ import annotations

from qiskit.circuit import Parameter, ParameterVector, QuantumCircuit
from qiskit.circuit.library import RYGate
from qiskit.converters import circuit_to_dag, dag_to_circuit
from qiskit.quantum_info import (
    Clifford,
    DensityMatrix,
    Operator,
    Pauli,
    PauliList,
    SparsePauliOp,
    Statevector,
    partial_trace,
    state_fidelity,
)

from qecforge.sandbox import Bounds
from qecforge.sandbox.inside.codec import codec_of
from qecforge_qiskit_tasks.checks import circuits as checks
from qecforge_qiskit_tasks.codec.circuits import COUNTED

__all__ = ["use_once"]


def use_once() -> None:
    """Build, compare and pass on one of each."""
    circuit, bound = _circuit(), _bound()
    circuit.inverse()
    circuit.compose(circuit)
    circuit.decompose()
    circuit.depth()
    circuit.count_ops()
    dag_to_circuit(circuit_to_dag(circuit))
    RYGate(0.1).control(1)
    state, operator = Statevector(circuit), Operator(circuit)
    state.probabilities_dict()
    state.sample_counts(4)
    operator.equiv(operator)
    state_fidelity(partial_trace(state, [0]), partial_trace(DensityMatrix(circuit), [0]))
    total = (SparsePauliOp.from_list([("XXI", 1), ("ZZI", 0.5)]) @ SparsePauliOp("XXI")).simplify()
    state.expectation_value(total)
    PauliList(["XX", "ZZ"]).commutes(Pauli("XX") @ Pauli("ZZ"))
    checks.same_state(circuit, state)
    checks.same_unitary(circuit, circuit)
    checks.at_most(circuit, two_qubit_gates=20)
    measured = circuit.copy()
    measured.measure_all()
    codec = codec_of(("qecforge_qiskit_tasks.codec_types",), Bounds())
    values = [measured, bound, state, operator, total, Clifford(QuantumCircuit(1)), Pauli("X"), {"00": 3}]
    codec.decode(codec.encode(values))
    COUNTED.update(dict.fromkeys(COUNTED, 0.0))  # what a judge is given is counted from 0


def _circuit() -> QuantumCircuit:
    circuit = QuantumCircuit(3)
    for name in ("h", "x", "y", "z", "s", "sdg", "t", "tdg", "sx"):
        getattr(circuit, name)(0)
    for name in ("rx", "ry", "rz", "p"):
        getattr(circuit, name)(0.1, 1)
    for name in ("cx", "cz", "swap"):
        getattr(circuit, name)(0, 1)
    circuit.cp(0.1, 0, 1)
    circuit.u(0.1, 0.2, 0.3, 2)
    circuit.ccx(0, 1, 2)
    circuit.barrier()
    return circuit


def _bound() -> QuantumCircuit:
    one, several = Parameter("a"), ParameterVector("v", 2)
    circuit = QuantumCircuit(1)
    circuit.rx(one, 0)
    circuit.ry(2 * several[0] + several[1], 0)
    return circuit.assign_parameters({one: 1.0, several: [1.0, 2.0]})
