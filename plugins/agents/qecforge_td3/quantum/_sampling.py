"""One measured string from a circuit of rotations and CZs, exactly distributed, without its 2^n amplitudes.

A qubit enters the register at its first CZ, for until then it is in a state of its own, and is measured right after its
last: what rotations it has left are part of the measurement, and its outcome halves the register. A qubit with a single
CZ never enters: measured, it leaves its partner multiplied by one of two diagonal matrices. A qubit without a CZ is a
coin.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from qecforge_td3.quantum._order import AFTER, BEFORE, link, order_gates
from qecforge_td3.quantum._register import append, flip, half_norms, project, rotate, scale
from qecforge_td3.quantum._rotations import LANES, between

__all__ = ["sample"]

F = np.float32
U = np.uint64
OUT = U(0)
"""The stride of a qubit that is not in the register."""

CONTRACT = {"contract"}


@njit(nogil=True, error_model="numpy", inline="always")
def row_of(rotation: Any, bit: int) -> Any:
    """A row of the matrix of a quaternion: real and imaginary part of its first entry, then of its second."""
    w, x, y, z = rotation
    if bit == 0:
        return w, -z, -y, -x
    return y, -x, w, z


@njit(nogil=True, error_model="numpy", fastmath=CONTRACT, inline="always")
def rows_before(row: Any, rotation: Any) -> Any:
    """The row of a measurement, taken back through a CZ and the rotation before it: where the partner is 0, and 1."""
    a, b, c, d = row
    w, x, y, z = rotation
    p, q, r, s = a * w + b * z, b * w - a * z, b * x - a * y, -a * x - b * y
    t, u, v, g = c * y + d * x, d * y - c * x, c * w - d * z, c * z + d * w
    return (p + t, q + u, r + v, s + g), (p - t, q - u, r - v, s - g)


@njit(nogil=True, error_model="numpy", fastmath=CONTRACT, inline="always")
def lone_factors(row: Any, rotation: Any) -> Any:
    """What the outcome of a qubit with a single CZ multiplies its partner by, where that is 0, and where it is 1."""
    plus, minus = rows_before(row, rotation)
    return plus[0], plus[1], minus[0], minus[1]


@njit(nogil=True, error_model="numpy", fastmath=CONTRACT, inline="always")
def lone_qubit(first: Any, final: Any, zero: Any, one: Any, uniform: Any) -> Any:
    """Measure a qubit with a single CZ.

    Args:
        first, final: Its rotations before and after that CZ.
        zero, one: Squared norms of the halves where its partner is 0, and 1.

    Returns:
        The bit; the two factors of `lone_factors`; the squared norm that is left.
    """
    a, b, c, d = lone_factors(row_of(final, 0), first)
    norm = (a * a + b * b) * zero + (c * c + d * d) * one
    if uniform * (zero + one) < norm:
        return 0, a, b, c, d, norm
    a, b, c, d = lone_factors(row_of(final, 1), first)
    return 1, a, b, c, d, (a * a + b * b) * zero + (c * c + d * d) * one


@njit(nogil=True, error_model="numpy", fastmath=CONTRACT, inline="always")
def enter(
    state: Any, held: Any, size: Any, strides: Any, prefix: Any, gate: int, before: int, q: int, sign_at: Any
) -> Any:
    """Bring the state of qubit q to its CZ `gate`: append it at its first one, else rotate it. Returns the new size."""
    w, x, y, z = between(prefix, q, before, gate)
    if before < 0:
        append(state, held, size, w, x, y, z, sign_at)
        strides[q] = size
        return size << U(1)
    rotate(state, held, size, strides[q], w, x, y, z)
    return size


@njit(nogil=True, error_model="numpy", inline="always")
def leave(strides: Any, q: int) -> None:
    """Qubit q has left the register: those above it move down."""
    gone = strides[q]
    strides[q] = OUT
    for other in range(LANES):
        if strides[other] > gone:
            strides[other] >>= U(1)


@njit(nogil=True, error_model="numpy", fastmath=CONTRACT, inline="always")
def measure(
    state: Any, held: Any, size: Any, strides: Any, q: int, partner: int, rotation: Any, final: Any, k: Any,
    uniform: Any, norm: Any,
) -> Any:  # fmt: skip
    """Measure qubit q at its last CZ.

    Args:
        partner: The qubit of that CZ; q itself where the CZ is done already, or replaced by factors.
        rotation, final: Its rotations before that CZ and after it.
        k: Factors of its two amplitudes between them.
        norm: The squared norm of the register.

    Returns:
        The bit, and the squared norm of the register, which is in the other buffer now.
    """
    stride = strides[q]
    sign_at = OUT
    if partner != q:
        sign_at = strides[partner] if strides[partner] < stride else strides[partner] >> U(1)
    left = F(0)
    bit = 0
    for bit in range(2):
        a, b, c, d = row_of(final, bit)
        row = (a * k[0] - b * k[1], a * k[1] + b * k[0], c * k[2] - d * k[3], c * k[3] + d * k[2])
        at_zero, at_one = rows_before(row, rotation)
        left = project(state, held, size, stride, at_zero, at_one, sign_at)
        if bit == 1 or uniform * norm < left:
            break
    leave(strides, q)
    return bit, left


IDENTITY = (F(1), F(0), F(0), F(0))
SAME = (F(1), F(0), F(1), F(0))


@njit(nogil=True, error_model="numpy", fastmath=CONTRACT, cache=True)
def sample(
    prefix: Any, pairs: Any, gates: int, qubits: int, uniforms: Any, bits: Any, links: Any, last: Any, order: Any,
    notes: Any, strides: Any, state: Any,
) -> Any:  # fmt: skip
    """Measure one circuit once.

    Args:
        prefix: (gates + 2, 4, LANES) float32: each gate follows the rotations of its layer, the measurement those of
            the last.
        pairs: (>= gates, 2) int64.
        uniforms: (qubits,) float32 in [0, 1), one for each outcome.
        bits: (qubits,), filled.
        links, last, order, notes: Scratch of `_order`.
        strides: (LANES,) uint64, scratch.
        state: (2, 2, 2^qubits) float32, scratch.

    Returns:
        The largest size of the register, uint64.
    """
    link(pairs, gates, links, last)
    count = order_gates(pairs, gates, links, True, order, notes)
    strides[:] = OUT
    held = U(0)
    for q in range(qubits):
        if last[q] < 0:
            w, x, y, z = between(prefix, q, -1, gates)
            bits[q] = uniforms[q] * (w * w + x * x + y * y + z * z) >= w * w + z * z
    size, norm, peak = U(1), F(1), U(1)
    state[held, 0, 0], state[held, 1, 0] = F(1), F(0)
    for step in range(count):
        gate = order[step]
        first, second = 0, 1
        # the end that leaves most is called a, and the one that stays longest b
        if (links[gate, 1, AFTER] < 0) and (links[gate, 0, AFTER] >= 0 or links[gate, 1, BEFORE] < 0):
            first, second = 1, 0
        a, b = pairs[gate, first], pairs[gate, second]
        before_a, before_b = links[gate, first, BEFORE], links[gate, second, BEFORE]
        a_leaves, b_leaves = links[gate, first, AFTER] < 0, links[gate, second, AFTER] < 0
        if not a_leaves:
            if before_a < 0 <= before_b:
                a, b = b, a
                before_a, before_b = before_b, before_a
            size = enter(state, held, size, strides, prefix, gate, before_a, a, OUT)
            size = enter(state, held, size, strides, prefix, gate, before_b, b, strides[a])
            peak = max(peak, size)
            if before_b >= 0:
                flip(state, held, size, strides[a], strides[b])
            continue
        size = enter(state, held, size, strides, prefix, gate, before_b, b, OUT)
        peak = max(peak, size)
        factors = SAME
        if before_a < 0:
            zero, one = half_norms(state, held, size, strides[b])
            bits[a], p, q, r, s, norm = lone_qubit(
                between(prefix, a, -1, gate), between(prefix, a, gate, gates), zero, one, uniforms[a]
            )
            if not b_leaves:
                scale(state, held, size, strides[b], p, q, r, s)
            factors = (p, q, r, s)
        else:
            bits[a], norm = measure(
                state, held, size, strides, a, b, between(prefix, a, before_a, gate), between(prefix, a, gate, gates),
                SAME, uniforms[a], norm,
            )  # fmt: skip
            size >>= U(1)
            held = U(1) - held
        if b_leaves:
            bits[b], norm = measure(
                state, held, size, strides, b, b, IDENTITY, between(prefix, b, gate, gates), factors, uniforms[b], norm,
            )  # fmt: skip
            size >>= U(1)
            held = U(1) - held
        if size == U(1):
            state[held, 0, 0], state[held, 1, 0], norm = F(1), F(0), F(1)
    return peak
