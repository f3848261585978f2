"""Loops over the circuits of a batch: each fuses its rotations, then samples, takes means, or fills its amplitudes.

Arguments that all of them take:
    angles: (B, A) float32.
    pairs: (B, >= gates, 2) int64, or (1, ...) for all circuits.
    kind: What the angles are: of `_rotations.KINDS`, or GATES.
    rotations: (A, 3) int64 for GATES, as in `accumulate_gates`; else empty.
    layers: Of rotations; a gate follows each but the last.
    start, stop: Which circuits.

All return -1, or 2 b for a circuit b with an angle that is not finite, 2 b + 1 for one with a qubit that is not there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from qecforge_td3.quantum._marginals import means_and_torques
from qecforge_td3.quantum._order import fires, link
from qecforge_td3.quantum._register import append, flip, rotate
from qecforge_td3.quantum._rotations import (
    LANES,
    accumulate,
    accumulate_gates,
    angle_torques,
    between,
    gate_torques,
    is_finite,
)
from qecforge_td3.quantum._sampling import sample

__all__ = ["GATES", "amplitude_rows", "mean_rows", "sample_rows"]

GATES = 2
F = np.float32
U = np.uint64


@njit(nogil=True, error_model="numpy", cache=True)
def scratch(angles: int, kind: int, layers: int, qubits: int) -> Any:
    """What one circuit after the other is worked out in."""
    padded = np.zeros(angles + 2 * LANES, F)
    work = np.empty((3, 2 * LANES), F)
    work[2] = F(0.5)
    if kind == 0:
        work[2, 1::2] = F(1)
    return (
        padded,
        np.empty((layers + 1, 4, LANES), F),
        work,
        np.empty((layers, 2, 2), np.int64),
        np.empty(LANES, np.int64),
        np.empty(layers, np.int64),
        np.empty((3, layers + LANES), np.int64),
        np.empty(LANES, np.uint64),
        np.empty((4, 2, 1 << qubits), F),
    )


@njit(nogil=True, error_model="numpy", cache=True)
def prepare(
    angles: Any, pairs: Any, b: int, kind: int, rotations: Any, layers: int, qubits: int, padded: Any, prefix: Any,
    work: Any,
) -> int:  # fmt: skip
    """Fill the prefixes of circuit b; -1, or what is wrong with it."""
    for i in range(angles.shape[1]):
        padded[i] = angles[b, i]
    if kind == GATES:
        accumulate_gates(padded, rotations, prefix)
    else:
        accumulate(padded, kind, qubits, prefix, work)
    if not is_finite(prefix, qubits):
        return 2 * b
    row = min(b, pairs.shape[0] - 1)
    for gate in range(layers - 1):
        if min(pairs[row, gate, 0], pairs[row, gate, 1]) < 0 or max(pairs[row, gate, 0], pairs[row, gate, 1]) >= qubits:
            return 2 * b + 1
    return -1


@njit(nogil=True, error_model="numpy", cache=True)
def sample_rows(
    angles: Any, pairs: Any, kind: int, rotations: Any, layers: int, uniforms: Any, bits: Any, peaks: Any, start: int,
    stop: int,
) -> int:  # fmt: skip
    """uniforms: (B, S, n) float32 in [0, 1). Filled: bits (B, S, n) uint8; peaks (B,) int64, the largest register."""
    qubits = bits.shape[2]
    padded, prefix, work, links, last, order, notes, strides, state = scratch(angles.shape[1], kind, layers, qubits)
    for b in range(start, stop):
        wrong = prepare(angles, pairs, b, kind, rotations, layers, qubits, padded, prefix, work)
        if wrong >= 0:
            return wrong
        row = min(b, pairs.shape[0] - 1)
        for s in range(bits.shape[1]):
            peaks[b] = sample(
                prefix, pairs[row], layers - 1, qubits, uniforms[b, s], bits[b, s], links, last, order, notes, strides,
                state,
            )  # fmt: skip
    return -1


@njit(nogil=True, error_model="numpy", cache=True)
def mean_rows(
    angles: Any, pairs: Any, kind: int, rotations: Any, layers: int, means: Any, cotangents: Any, out: Any, start: int,
    stop: int,
) -> int:  # fmt: skip
    """means: (B, n) float32, filled. cotangents: (B, n) float32, or (B, 0) for none. out: (B, A) float32, filled with
    the derivatives by the angles of the sum of means times cotangents."""
    qubits = means.shape[1]
    padded, prefix, work, links, last, order, notes, strides, state = scratch(angles.shape[1], kind, layers, qubits)
    torque = np.empty((layers, 3, LANES), F)
    for b in range(start, stop):
        wrong = prepare(angles, pairs, b, kind, rotations, layers, qubits, padded, prefix, work)
        if wrong >= 0:
            return wrong
        row = min(b, pairs.shape[0] - 1)
        means_and_torques(
            prefix, pairs[row], layers - 1, qubits, means[b], cotangents[b], torque, links, last, order, notes, strides,
            state,
        )  # fmt: skip
        if cotangents.shape[1] and kind == GATES:
            gate_torques(rotations, padded, torque, out[b])
        elif cotangents.shape[1]:
            angle_torques(padded, kind, qubits, prefix, torque, out[b])
    return -1


@njit(nogil=True, error_model="numpy", cache=True)
def amplitude_rows(
    angles: Any, pairs: Any, kind: int, rotations: Any, layers: int, qubits: int, out: Any, start: int, stop: int
) -> int:
    """out: (B, 2^n) complex64, filled; bit q of an index is qubit q. All qubits are in the register from the start."""
    padded, prefix, work, links, last, _, _, strides, state = scratch(angles.shape[1], kind, layers, qubits)
    held, gates = U(0), layers - 1
    for b in range(start, stop):
        wrong = prepare(angles, pairs, b, kind, rotations, layers, qubits, padded, prefix, work)
        if wrong >= 0:
            return wrong
        row = min(b, pairs.shape[0] - 1)
        link(pairs[row], gates, links, last)
        at = strides.view(np.int64)
        at[:] = -1
        size = U(1)
        state[held, 0, 0], state[held, 1, 0] = F(1), F(0)
        for q in range(qubits):
            first = gates
            for gate in range(gates - 1, -1, -1):
                if fires(pairs[row], gate) and (pairs[row, gate, 0] == q or pairs[row, gate, 1] == q):
                    first = gate
            w, x, y, z = between(prefix, q, -1, first)
            append(state, held, size, w, x, y, z, U(0))
            size <<= U(1)
            at[q] = first
        for gate in range(gates + 1):
            if gate < gates and not fires(pairs[row], gate):
                continue
            for q in range(qubits):
                ends = gate == gates or pairs[row, gate, 0] == q or pairs[row, gate, 1] == q
                if ends and at[q] < gate:
                    w, x, y, z = between(prefix, q, at[q], gate)
                    rotate(state, held, size, U(1) << U(q), w, x, y, z)
                    at[q] = gate
            if gate < gates:
                flip(state, held, size, U(1) << U(pairs[row, gate, 0]), U(1) << U(pairs[row, gate, 1]))
        for k in range(out.shape[1]):
            out[b, k] = complex(state[held, 0, k], state[held, 1, k])
    return -1
