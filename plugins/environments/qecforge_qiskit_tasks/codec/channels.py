"""Channels, scaled identities, stabilizer states and coupling maps in flat form. Each `rebuild_...` takes anything and
raises `ValueError`, or what Qiskit raises, where it is not what `flatten_...` gives."""

from __future__ import annotations

from typing import Any

import numpy as np
from qiskit.quantum_info import Choi, Kraus, ScalarOp, StabilizerState, SuperOp
from qiskit.transpiler import CouplingMap

from qecforge_qiskit_tasks.codec.parameters import finite, need
from qecforge_qiskit_tasks.codec.states import dimension, numbers, pair, rebuild_clifford

__all__ = [
    "flatten_channel",
    "flatten_coupling",
    "flatten_kraus",
    "flatten_scalar",
    "flatten_stabilizer",
    "rebuild_choi",
    "rebuild_coupling",
    "rebuild_kraus",
    "rebuild_scalar",
    "rebuild_stabilizer",
    "rebuild_superop",
]

MOST_MATRICES = 1_000
MOST_QUBITS, MOST_EDGES = 10_000, 100_000


def flatten_channel(channel: Choi | SuperOp) -> list[Any]:
    """Of a Choi or a SuperOp."""
    return [_dims(channel), np.asarray(channel.data, complex)]


def rebuild_choi(flat: Any) -> Choi:
    """From `[[input dimensions, output dimensions], (D D', D D') complex128]`."""
    dims, values = pair(flat)
    entered, left = _dimensions(dims)
    size = entered * left
    return Choi(numbers(values, (size, size)), input_dims=tuple(dims[0]), output_dims=tuple(dims[1]))


def rebuild_superop(flat: Any) -> SuperOp:
    """From `[[input dimensions, output dimensions], (D'^2, D^2) complex128]`."""
    dims, values = pair(flat)
    entered, left = _dimensions(dims)
    return SuperOp(numbers(values, (left**2, entered**2)), input_dims=tuple(dims[0]), output_dims=tuple(dims[1]))


def flatten_kraus(channel: Kraus) -> list[Any]:
    """Of a Kraus, with its right operators where they are others."""
    left, right = channel._data
    sides = [left] if right is None else [left, right]
    return [_dims(channel), [np.asarray(each, complex) for each in sides]]


def rebuild_kraus(flat: Any) -> Kraus:
    """From `[[input dimensions, output dimensions], one or two (K, D', D) complex128]`."""
    dims, sides = pair(flat)
    entered, left = _dimensions(dims)
    need(type(sides) is list and len(sides) in (1, 2), "no Kraus operators")
    made = []
    for each in sides:
        need(type(each) is np.ndarray and each.ndim == 3 and 0 < len(each) <= MOST_MATRICES, "no Kraus operators")
        made.append(list(numbers(each, (len(each), left, entered))))
    need(len({len(each) for each in made}) == 1, "other numbers of Kraus operators")
    data = made[0] if len(made) == 1 else (made[0], made[1])
    return Kraus(data, input_dims=tuple(dims[0]), output_dims=tuple(dims[1]))


def flatten_scalar(operator: ScalarOp) -> list[Any]:
    """Of a ScalarOp."""
    return [list(operator.input_dims()), complex(operator.coeff)]


def rebuild_scalar(flat: Any) -> ScalarOp:
    """From `[dimensions, coefficient]`."""
    dims, coefficient = pair(flat)
    dimension(dims)
    return ScalarOp(tuple(dims), finite(coefficient, "a coefficient"))


def flatten_stabilizer(state: StabilizerState) -> Any:
    """Of a StabilizerState: the tableau of its Clifford."""
    return state.clifford.tableau


def rebuild_stabilizer(flat: Any) -> StabilizerState:
    """From a (2n, 2n + 1) bool tableau."""
    return StabilizerState(rebuild_clifford(flat))


def flatten_coupling(coupling: CouplingMap) -> list[Any]:
    """Of a CouplingMap."""
    return [coupling.size(), [[int(each) for each in edge] for edge in coupling.get_edges()]]


def rebuild_coupling(flat: Any) -> CouplingMap:
    """From `[qubits, edges]`."""
    size, edges = pair(flat)
    need(type(size) is int and 0 <= size <= MOST_QUBITS, "no number of qubits")
    need(type(edges) is list and len(edges) <= MOST_EDGES, "no edges")
    coupling = CouplingMap()
    for qubit in range(size):
        coupling.add_physical_qubit(qubit)
    for edge in edges:
        source, target = pair(edge)
        need(all(type(each) is int and 0 <= each < size for each in (source, target)), "a qubit that is none of it")
        coupling.add_edge(source, target)
    return coupling


def _dims(channel: Any) -> list[list[int]]:
    return [list(channel.input_dims()), list(channel.output_dims())]


def _dimensions(dims: Any) -> tuple[int, int]:
    entered, left = pair(dims)
    return dimension(entered), dimension(left)
