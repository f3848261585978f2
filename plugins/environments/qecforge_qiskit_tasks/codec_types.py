"""What of Qiskit passes between a program and its judge, beside Python's and numpy's own values.

Each type has a flat form of ours (`qecforge_qiskit_tasks.codec`), and all of it is checked when a value is rebuilt. It
is never pickle, and not QPY: loading an old version of that ran arbitrary code (CVE-2025-2000).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qiskit.circuit import ParameterExpression, QuantumCircuit
from qiskit.converters import circuit_to_dag, dag_to_circuit
from qiskit.dagcircuit import DAGCircuit
from qiskit.primitives import BitArray
from qiskit.quantum_info import Clifford, DensityMatrix, Operator, Pauli, PauliList, SparsePauliOp, Statevector
from qiskit.result import Counts

from qecforge.sandbox.inside.codec import CodecType
from qecforge_qiskit_tasks.codec import states
from qecforge_qiskit_tasks.codec.circuits import COUNTED, flatten_circuit, rebuild_circuit
from qecforge_qiskit_tasks.codec.parameters import ParameterReader, ParameterWriter, need

__all__ = ["CODEC_TYPES", "notes"]


def notes() -> Mapping[str, float]:
    """Sums over the circuits that were rebuilt: `circuits`, `gates`, `two_qubit_gates`, `depth`."""
    return dict(COUNTED)


def _flatten_expression(value: ParameterExpression) -> list[Any]:
    writer = ParameterWriter()
    flat = writer.flatten(value)
    return [writer.table, flat]


def _rebuild_expression(flat: Any) -> Any:
    need(type(flat) is list and len(flat) == 2, "no expression")
    return ParameterReader(flat[0]).rebuild(flat[1])


def _rebuild_pauli(flat: Any) -> Pauli:
    found = states.rebuild_pauli(flat)
    need(len(found) == 1, "no Pauli operator")
    return found[0]


def _is(kind: type) -> Any:
    return lambda value: isinstance(value, kind)


CODEC_TYPES = [
    CodecType("qiskit.circuit", _is(QuantumCircuit), flatten_circuit, rebuild_circuit),
    CodecType("qiskit.statevector", _is(Statevector), states.flatten_state, states.rebuild_statevector),
    CodecType("qiskit.density_matrix", _is(DensityMatrix), states.flatten_state, states.rebuild_density),
    CodecType("qiskit.clifford", _is(Clifford), lambda value: value.tableau, states.rebuild_clifford),
    CodecType("qiskit.operator", _is(Operator), states.flatten_operator, states.rebuild_operator),
    CodecType("qiskit.sparse_pauli_op", _is(SparsePauliOp), states.flatten_sum, states.rebuild_sum),
    CodecType("qiskit.pauli", _is(Pauli), states.flatten_pauli, _rebuild_pauli),
    CodecType("qiskit.pauli_list", _is(PauliList), states.flatten_pauli, states.rebuild_pauli),
    CodecType("qiskit.counts", _is(Counts), lambda value: {**value}, states.rebuild_counts),
    CodecType("qiskit.bit_array", _is(BitArray), states.flatten_bits, states.rebuild_bits),
    CodecType("qiskit.parameter", _is(ParameterExpression), _flatten_expression, _rebuild_expression),
    CodecType(
        "qiskit.dag",
        _is(DAGCircuit),
        lambda value: flatten_circuit(dag_to_circuit(value)),
        lambda flat: circuit_to_dag(rebuild_circuit(flat)),
    ),
]
