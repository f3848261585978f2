"""The mean of each measured bit, exactly, and its product with the derivatives by all rotations (the adjoint method).

The circuit falls apart into parts that no CZ connects; each is simulated alone, qubits entering at their first CZ. What
a qubit is measured to be depends on its Bloch vector r after its last CZ and on its rotations V from there on: the mean
bit is (1 - (V r)_z) / 2.

Derivatives: with C the sum of the means times given numbers c, C = <psi|O|psi>. A rotation U that turns a little more,
(1 - i/2 w . sigma) U, changes C by w . t, where t = Im <lambda| sigma |psi> with lambda = O psi: the torque on that
qubit. Between two CZs it is one and the same vector, as seen from before the first layer: T = P^-1 t with the prefix P.
Both psi and lambda are carried back through the circuit, and a qubit's part of O joins lambda at its last CZ, for
nothing after that changes it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from qecforge_td3.quantum._order import AFTER, BEFORE, fires, link, order_gates
from qecforge_td3.quantum._register import append, bloch, flip, observe, remove, rotate_into, torques
from qecforge_td3.quantum._rotations import LANES, between, turned

__all__ = ["means_and_torques"]

F = np.float32
U = np.uint64
ZERO, ONE, HALF = F(0), F(1), F(0.5)
LAMBDA = U(2)
"""psi is in buffer 0 or 1, lambda two further on: each rotation takes both to their other one."""


@njit(nogil=True, error_model="numpy", cache=True)
def find_parts(pairs: Any, gates: int, part: Any) -> None:
    """Number the parts that no CZ connects: `part` (LANES,) int64, the lowest qubit of each qubit's part."""
    for q in range(LANES):
        part[q] = q
    for gate in range(gates):
        if fires(pairs, gate):
            a, b = part[pairs[gate, 0]], part[pairs[gate, 1]]
            low, high = min(a, b), max(a, b)
            for q in range(LANES):
                if part[q] == high:
                    part[q] = low


@njit(nogil=True, error_model="numpy", fastmath={"contract"}, cache=True)
def measured(prefix: Any, q: int, after: int, gates: int, x: Any, y: Any, z: Any, norm: Any) -> Any:
    """A qubit with the Bloch vector (x, y, z) / norm behind gate `after`, before its measurement: that vector there."""
    a, b, c, d = between(prefix, q, after, gates)
    x, y, z = turned(a, b, c, d, x, y, z)
    return x / norm, y / norm, z / norm


@njit(nogil=True, error_model="numpy", fastmath={"contract"}, cache=True)
def forward(
    prefix: Any, pairs: Any, gates: int, part: Any, wanted: int, links: Any, order: Any, count: int, strides: Any,
    state: Any, means: Any,
) -> Any:  # fmt: skip
    """Carry one part of the circuit through; fills the means of its qubits. Returns the size of its register, and the
    buffer."""
    size, psi = U(1), U(0)
    state[psi, 0, 0], state[psi, 1, 0] = ONE, ZERO
    for step in range(count):
        gate = order[step]
        if part[pairs[gate, 0]] != wanted:
            continue
        for end in range(2):
            q, before = pairs[gate, end], links[gate, end, BEFORE]
            w, x, y, z = between(prefix, q, before, gate)
            if before < 0:
                append(state, psi, size, w, x, y, z, U(0))
                strides[q] = size
                size <<= U(1)
            else:
                rotate_into(state, psi, U(1) - psi, size, strides[q], w, x, y, z)
                psi = U(1) - psi
        flip(state, psi, size, strides[pairs[gate, 0]], strides[pairs[gate, 1]])
        for end in range(2):
            if links[gate, end, AFTER] < 0:
                q = pairs[gate, end]
                x, y, z, norm = bloch(state, psi, size, strides[q])
                means[q] = HALF - HALF * measured(prefix, q, gate, gates, x, y, z, norm)[2]
    return size, psi


@njit(nogil=True, error_model="numpy", fastmath={"contract"}, cache=True)
def file_torque(prefix: Any, q: int, before: int, after: int, x: Any, y: Any, z: Any, torque: Any) -> None:
    """The torque (x, y, z) at the end of layer `after` is that of all layers behind gate `before`."""
    w = prefix[after + 1, 0, q]
    x, y, z = turned(w, -prefix[after + 1, 1, q], -prefix[after + 1, 2, q], -prefix[after + 1, 3, q], x, y, z)
    for layer in range(before + 1, after + 1):
        torque[layer, 0, q], torque[layer, 1, q], torque[layer, 2, q] = x, y, z


@njit(nogil=True, error_model="numpy", fastmath={"contract"}, cache=True)
def backward(
    prefix: Any, pairs: Any, gates: int, part: Any, wanted: int, links: Any, order: Any, count: int, strides: Any,
    state: Any, size: Any, psi: Any, cotangent: Any, torque: Any,
) -> None:  # fmt: skip
    """Carry one part of the circuit back from where `forward` left it; fills the torques of its qubits."""
    for k in range(size):
        state[LAMBDA + psi, 0, k], state[LAMBDA + psi, 1, k] = ZERO, ZERO
    for step in range(count - 1, -1, -1):
        gate = order[step]
        if part[pairs[gate, 0]] != wanted:
            continue
        for end in range(2):
            if links[gate, end, AFTER] < 0:
                q = pairs[gate, end]
                x, y, z, norm = bloch(state, psi, size, strides[q])
                x, y, z = measured(prefix, q, gate, gates, x, y, z, norm)
                half = HALF * cotangent[q]
                file_torque(prefix, q, gate, gates, -half * y, half * x, ZERO, torque)
                w, x, y, z = between(prefix, q, gate, gates)
                x, y, z = turned(w, -x, -y, -z, ZERO, ZERO, ONE)
                observe(state, psi, LAMBDA + psi, size, strides[q], cotangent[q], x, y, z)
        for held in (psi, LAMBDA + psi):
            flip(state, held, size, strides[pairs[gate, 0]], strides[pairs[gate, 1]])
        for end in (1, 0):
            q, before = pairs[gate, end], links[gate, end, BEFORE]
            x, y, z = torques(state, psi, LAMBDA + psi, size, strides[q])
            file_torque(prefix, q, before, gate, x, y, z, torque)
            w, x, y, z = between(prefix, q, before, gate)
            if before < 0:
                size >>= U(1)
                remove(state, psi, size, w, x, y, z)
                remove(state, LAMBDA + psi, size, w, x, y, z)
            else:
                other = U(1) - psi
                rotate_into(state, psi, other, size, strides[q], w, -x, -y, -z)
                rotate_into(state, LAMBDA + psi, LAMBDA + other, size, strides[q], w, -x, -y, -z)
                psi = other


@njit(nogil=True, error_model="numpy", fastmath={"contract"}, cache=True)
def means_and_torques(
    prefix: Any, pairs: Any, gates: int, qubits: int, means: Any, cotangent: Any, torque: Any, links: Any, last: Any,
    order: Any, notes: Any, strides: Any, state: Any,
) -> None:  # fmt: skip
    """Mean bits of one circuit, and the torques on its qubits where those are wanted.

    Args:
        prefix, pairs, gates, qubits, links, last, order, notes, strides: As in `_sampling.sample`.
        means: (qubits,) float32, filled.
        cotangent: (qubits,) float32: what multiplies the means; empty where no torques are wanted.
        torque: (gates + 1, 3, LANES) float32, filled where there are cotangents.
        state: (4, 2, 2^qubits) float32, scratch.
    """
    link(pairs, gates, links, last)
    count = order_gates(pairs, gates, links, False, order, notes)
    part = notes[0]
    find_parts(pairs, gates, part)
    wants_torques = cotangent.shape[0] > 0
    for q in range(qubits):
        if last[q] < 0:
            x, y, z = measured(prefix, q, -1, gates, ZERO, ZERO, ONE, ONE)
            means[q] = HALF - HALF * z
            if wants_torques:
                half = HALF * cotangent[q]
                file_torque(prefix, q, -1, gates, -half * y, half * x, ZERO, torque)
        elif part[q] == q:
            size, psi = forward(prefix, pairs, gates, part, q, links, order, count, strides, state, means)
            if wants_torques:
                backward(
                    prefix, pairs, gates, part, q, links, order, count, strides, state, size, psi, cotangent, torque
                )  # fmt: skip
