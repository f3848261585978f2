"""States, operators, Cliffords and counts in flat form. Each `rebuild_...` takes anything and raises `ValueError`, or
what Qiskit raises, where it is not what `flatten_...` gives."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from qiskit.primitives import BitArray
from qiskit.quantum_info import Clifford, DensityMatrix, Operator, Pauli, PauliList, SparsePauliOp, Statevector
from qiskit.result import Counts

from qecforge_qiskit_tasks.codec.parameters import need

__all__ = [
    "flatten_bits",
    "flatten_operator",
    "flatten_pauli",
    "flatten_state",
    "flatten_sum",
    "rebuild_bits",
    "rebuild_clifford",
    "rebuild_counts",
    "rebuild_density",
    "rebuild_operator",
    "rebuild_pauli",
    "rebuild_statevector",
    "rebuild_sum",
]

MOST_DIMENSIONS = 64
LONGEST = 1 << 22
MOST_QUBITS, MOST_TERMS, MOST_SHOTS = 10_000, 100_000, 1 << 53
BITS = re.compile(r"[01]+(?: [01]+)*|0x[0-9a-f]+")


def flatten_state(state: Statevector | DensityMatrix) -> list[Any]:
    """Of a Statevector or a DensityMatrix."""
    return [list(state.dims()), np.asarray(state.data, complex)]


def rebuild_statevector(flat: Any) -> Statevector:
    """From `[dimensions, (D,) complex128]`."""
    dims, values = _pair(flat)
    length = _dimension(dims)
    return Statevector(_numbers(values, (length,)), dims=tuple(dims))


def rebuild_density(flat: Any) -> DensityMatrix:
    """From `[dimensions, (D, D) complex128]`."""
    dims, values = _pair(flat)
    length = _dimension(dims)
    return DensityMatrix(_numbers(values, (length, length)), dims=tuple(dims))


def flatten_operator(operator: Operator) -> list[Any]:
    """Of an Operator."""
    return [[list(operator.input_dims()), list(operator.output_dims())], np.asarray(operator.data, complex)]


def rebuild_operator(flat: Any) -> Operator:
    """From `[[input dimensions, output dimensions], matrix]`."""
    dims, values = _pair(flat)
    entered, left = _pair(dims)
    shape = (_dimension(left), _dimension(entered))
    return Operator(_numbers(values, shape), input_dims=tuple(entered), output_dims=tuple(left))


def flatten_sum(operator: SparsePauliOp) -> list[Any]:
    """Of a SparsePauliOp with numbers as coefficients; raises `TypeError` for others."""
    if operator.coeffs.dtype == object:
        raise TypeError("a SparsePauliOp with parameters has no form here")
    return [operator.paulis.to_labels(), np.asarray(operator.coeffs, complex)]


def rebuild_sum(flat: Any) -> SparsePauliOp:
    """From `[labels, coefficients]`."""
    labels, values = _pair(flat)
    need(type(labels) is list and 0 < len(labels) <= MOST_TERMS, "no terms")
    need(all(type(each) is str and len(each) == len(labels[0]) for each in labels), "terms of several lengths")
    need(0 < len(labels[0]) <= MOST_QUBITS, "no number of qubits")
    need(all(re.fullmatch("[IXYZ]+", each) is not None for each in labels), "no label of a Pauli operator")
    return SparsePauliOp(labels, _numbers(values, (len(labels),)))


def flatten_pauli(value: Pauli | PauliList) -> list[str]:
    """Labels with phases, of a Pauli or a PauliList."""
    return [value.to_label()] if isinstance(value, Pauli) else list(value.to_labels())


def rebuild_pauli(flat: Any) -> PauliList:
    """From labels such as `-iXYZ`."""
    need(type(flat) is list and 0 < len(flat) <= MOST_TERMS, "no Pauli operators")
    need(all(type(each) is str and len(each) <= MOST_QUBITS for each in flat), "no label of a Pauli operator")
    need(all(re.fullmatch("-?i?[IXYZ]+", each) is not None for each in flat), "no label of a Pauli operator")
    return PauliList(flat)


def rebuild_clifford(flat: Any) -> Clifford:
    """From its (2n, 2n + 1) bool tableau; symplectic, which Qiskit checks."""
    need(type(flat) is np.ndarray and flat.dtype == bool and flat.ndim == 2, "no tableau")
    need(0 < len(flat) <= 2000 and flat.shape == (len(flat), len(flat) + 1) and len(flat) % 2 == 0, "no tableau")
    return Clifford(flat, validate=True)


def rebuild_counts(flat: Any) -> Counts:
    """From a dict of bit strings and numbers of shots."""
    need(type(flat) is dict and len(flat) <= MOST_TERMS, "no counts")
    for outcome, number in flat.items():
        need(type(outcome) is str and len(outcome) <= MOST_QUBITS, "no outcome of counts")
        need(BITS.fullmatch(outcome) is not None, "no outcome of counts")
        need(type(number) in (int, float) and 0 <= number <= MOST_SHOTS, "no number of shots")
    return Counts(flat)


def flatten_bits(bits: BitArray) -> list[Any]:
    """Of a BitArray."""
    return [int(bits.num_bits), np.asarray(bits.array, np.uint8)]


def rebuild_bits(flat: Any) -> BitArray:
    """From `[number of bits, (..., shots, bytes) uint8]`."""
    number, values = _pair(flat)
    need(type(number) is int and 0 < number <= MOST_QUBITS, "no number of bits")
    need(type(values) is np.ndarray and values.dtype == np.uint8 and 2 <= values.ndim <= 10, "no array of bits")
    need(values.shape[-1] == -(-number // 8), "an array of another number of bits")
    need(number % 8 == 0 or not bool((values[..., 0] >> (number % 8)).any()), "bits beyond the number of bits")
    return BitArray(values, number)


def _pair(flat: Any) -> tuple[Any, Any]:
    need(type(flat) is list and len(flat) == 2, "no pair")
    return flat[0], flat[1]


def _dimension(dims: Any) -> int:
    need(type(dims) is list and 0 < len(dims) <= MOST_DIMENSIONS, "no dimensions")
    need(all(type(each) is int and 0 < each <= LONGEST for each in dims), "no dimensions")
    length = math.prod(dims)
    need(length <= LONGEST, f"more than {LONGEST:,} dimensions")
    return int(length)


def _numbers(values: Any, shape: Sequence[int]) -> np.ndarray[Any, Any]:
    need(type(values) is np.ndarray and values.dtype == np.complex128, "no complex numbers")
    need(values.shape == tuple(shape), f"numbers of shape {getattr(values, 'shape', None)}, expected {tuple(shape)}")
    need(bool(np.isfinite(values).all()), "numbers that are not finite")
    return np.asarray(values)
