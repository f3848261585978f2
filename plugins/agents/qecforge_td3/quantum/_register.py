"""A register of qubits that grows and shrinks: what a CZ and the rotations before it do to its amplitudes.

Its buffer is `state[held]` of a float32 array (buffers, 2, capacity): real and imaginary parts, of which the first
`size` count, size = 2^(qubits in it). A qubit is known by its `stride`, 2^position: the distance of two amplitudes that
differ in it alone. Indices are unsigned, or numba would look for negative ones; they go into one array, or it would
count references. Amplitudes are not normalized: whoever projects keeps the squared norm.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = [
    "append",
    "bloch",
    "flip",
    "half_norms",
    "observe",
    "project",
    "remove",
    "rotate",
    "rotate_into",
    "scale",
    "torques",
]

F = np.float32
U = np.uint64
ZERO, ONE = U(0), U(1)
RE, IM = U(0), U(1)
MANY = U(16)
"""Strides from which on loops run over neighbours, so that they are vectorised."""

SUMS = {"contract", "reassoc", "nsz"}


@njit(nogil=True, error_model="numpy", inline="always")
def lower(k: Any, stride: Any) -> Any:
    """The k-th index whose bit at `stride` is 0."""
    rest = k & (stride - ONE)
    return ((k - rest) << ONE) | rest


@njit(nogil=True, error_model="numpy", fastmath={"contract"}, inline="always")
def rotate(state: Any, held: Any, size: Any, stride: Any, w: Any, x: Any, y: Any, z: Any) -> None:
    """Apply w - i (x X + y Y + z Z)."""
    for k in range(size >> ONE):
        i = lower(k, stride)
        j = i + stride
        a, b, c, d = state[held, RE, i], state[held, IM, i], state[held, RE, j], state[held, IM, j]
        state[held, RE, i] = w * a + z * b - y * c + x * d
        state[held, IM, i] = w * b - z * a - y * d - x * c
        state[held, RE, j] = y * a + x * b + w * c - z * d
        state[held, IM, j] = y * b - x * a + w * d + z * c


@njit(nogil=True, error_model="numpy", fastmath={"contract"}, inline="always")
def append(state: Any, held: Any, size: Any, w: Any, x: Any, y: Any, z: Any, sign_at: Any) -> None:
    """A qubit that was |0> and was rotated enters as the highest: stride `size`, and the size doubles.

    Args:
        sign_at: The stride of a qubit that it has a CZ with at once; 0 for none.
    """
    for k in range(size):
        a, b = state[held, RE, k], state[held, IM, k]
        state[held, RE, k] = w * a + z * b
        state[held, IM, k] = w * b - z * a
        sign = F(1) if (k & sign_at) == ZERO else F(-1)
        state[held, RE, k + size] = sign * (y * a + x * b)
        state[held, IM, k + size] = sign * (y * b - x * a)


@njit(nogil=True, error_model="numpy", inline="always")
def flip(state: Any, held: Any, size: Any, first: Any, second: Any) -> None:
    """CZ between two qubits of the register."""
    low, high = min(first, second), max(first, second)
    for k in range(size >> U(2)):
        i = lower(lower(k, low), high) | first | second
        state[held, RE, i] = -state[held, RE, i]
        state[held, IM, i] = -state[held, IM, i]


@njit(nogil=True, error_model="numpy", fastmath=SUMS, inline="always")
def half_norms(state: Any, held: Any, size: Any, stride: Any) -> Any:
    """Squared norms of the halves where a qubit is 0 and 1."""
    zero, one = F(0), F(0)
    for k in range(size >> ONE):
        i = lower(k, stride)
        j = i + stride
        zero += state[held, RE, i] * state[held, RE, i] + state[held, IM, i] * state[held, IM, i]
        one += state[held, RE, j] * state[held, RE, j] + state[held, IM, j] * state[held, IM, j]
    return zero, one


@njit(nogil=True, error_model="numpy", fastmath={"contract"}, inline="always")
def scale(state: Any, held: Any, size: Any, stride: Any, a: Any, b: Any, c: Any, d: Any) -> None:
    """Multiply the half where a qubit is 0 by a + ib, and that where it is 1 by c + id."""
    for k in range(size >> ONE):
        i = lower(k, stride)
        j = i + stride
        state[held, RE, i], state[held, IM, i] = (
            a * state[held, RE, i] - b * state[held, IM, i],
            a * state[held, IM, i] + b * state[held, RE, i],
        )
        state[held, RE, j], state[held, IM, j] = (
            c * state[held, RE, j] - d * state[held, IM, j],
            c * state[held, IM, j] + d * state[held, RE, j],
        )


@njit(nogil=True, error_model="numpy", fastmath=SUMS, inline="always")
def project(state: Any, held: Any, size: Any, stride: Any, row: Any, flipped: Any, sign_at: Any) -> Any:
    """A qubit leaves: the product of a row of two numbers with its two amplitudes, into the other buffer.

    Args:
        row: Real and imaginary part of the first number, then of the second.
        flipped: The row where the qubit with the stride `sign_at` is 1; that stride counts after this one has left.

    Returns:
        The squared norm of what is left.
    """
    norm, other = F(0), ONE - held
    for k in range(size >> ONE):
        i = lower(k, stride)
        j = i + stride
        at_zero = (k & sign_at) == ZERO
        p = row[0] if at_zero else flipped[0]
        q = row[1] if at_zero else flipped[1]
        r = row[2] if at_zero else flipped[2]
        s = row[3] if at_zero else flipped[3]
        real = p * state[held, RE, i] - q * state[held, IM, i] + r * state[held, RE, j] - s * state[held, IM, j]
        imaginary = p * state[held, IM, i] + q * state[held, RE, i] + r * state[held, IM, j] + s * state[held, RE, j]
        state[other, RE, k] = real
        state[other, IM, k] = imaginary
        norm += real * real + imaginary * imaginary
    return norm


@njit(nogil=True, error_model="numpy", fastmath={"contract"}, inline="always")
def pair_into(state: Any, held: Any, into: Any, i: Any, j: Any, w: Any, x: Any, y: Any, z: Any) -> None:
    """`rotate` for two amplitudes, into another buffer."""
    a, b, c, d = state[held, RE, i], state[held, IM, i], state[held, RE, j], state[held, IM, j]
    state[into, RE, i] = w * a + z * b - y * c + x * d
    state[into, IM, i] = w * b - z * a - y * d - x * c
    state[into, RE, j] = y * a + x * b + w * c - z * d
    state[into, IM, j] = y * b - x * a + w * d + z * c


@njit(nogil=True, error_model="numpy", fastmath={"contract"}, cache=True)
def rotate_into(
    state: Any, held: Any, into: Any, size: Any, stride: Any, w: Any, x: Any, y: Any, z: Any
) -> None:  # fmt: skip
    """`rotate` from one buffer into another, which lets LLVM compute on many amplitudes at once."""
    if stride >= MANY:
        for base in range(ZERO, size, stride << ONE):
            for k in range(stride):
                pair_into(state, held, into, base + k, base + k + stride, w, x, y, z)
    else:
        for k in range(size >> ONE):
            i = lower(k, stride)
            pair_into(state, held, into, i, i + stride, w, x, y, z)


@njit(nogil=True, error_model="numpy", fastmath=SUMS, inline="always")
def densities(state: Any, held: Any, i: Any, j: Any) -> Any:
    """What two amplitudes have in <X>, <Y>, <Z> and in the squared norm."""
    a, b, c, d = state[held, RE, i], state[held, IM, i], state[held, RE, j], state[held, IM, j]
    zero, one = a * a + b * b, c * c + d * d
    return F(2) * (a * c + b * d), F(2) * (a * d - b * c), zero - one, zero + one


@njit(nogil=True, error_model="numpy", fastmath=SUMS, cache=True)
def bloch(state: Any, held: Any, size: Any, stride: Any) -> Any:
    """<X>, <Y>, <Z> of a qubit, times the squared norm of the state, and that."""
    x, y, z, norm = F(0), F(0), F(0), F(0)
    if stride >= MANY:
        for base in range(ZERO, size, stride << ONE):
            for k in range(stride):
                a, b, c, d = densities(state, held, base + k, base + k + stride)
                x, y, z, norm = x + a, y + b, z + c, norm + d
    else:
        for k in range(size >> ONE):
            i = lower(k, stride)
            a, b, c, d = densities(state, held, i, i + stride)
            x, y, z, norm = x + a, y + b, z + c, norm + d
    return x, y, z, norm


@njit(nogil=True, error_model="numpy", fastmath={"contract"}, inline="always")
def pair_observed(
    state: Any, psi: Any, into: Any, i: Any, j: Any, zero: Any, one: Any, real: Any, imaginary: Any
) -> None:  # fmt: skip
    """`observe` for two amplitudes."""
    a, b, c, d = state[psi, RE, i], state[psi, IM, i], state[psi, RE, j], state[psi, IM, j]
    state[into, RE, i] += zero * a + real * c - imaginary * d
    state[into, IM, i] += zero * b + real * d + imaginary * c
    state[into, RE, j] += one * c + real * a + imaginary * b
    state[into, IM, j] += one * d + real * b - imaginary * a


@njit(nogil=True, error_model="numpy", fastmath={"contract"}, cache=True)
def observe(
    state: Any, psi: Any, into: Any, size: Any, stride: Any, factor: Any, mx: Any, my: Any, mz: Any
) -> None:  # fmt: skip
    """Add factor (1 - m . sigma) / 2, with the Paulis of one qubit, times the buffer `psi` to another."""
    half = F(0.5) * factor
    zero, one, real, imaginary = half * (F(1) - mz), half * (F(1) + mz), -half * mx, half * my
    if stride >= MANY:
        for base in range(ZERO, size, stride << ONE):
            for k in range(stride):
                pair_observed(state, psi, into, base + k, base + k + stride, zero, one, real, imaginary)
    else:
        for k in range(size >> ONE):
            i = lower(k, stride)
            pair_observed(state, psi, into, i, i + stride, zero, one, real, imaginary)


@njit(nogil=True, error_model="numpy", fastmath=SUMS, inline="always")
def pair_torques(state: Any, psi: Any, by: Any, i: Any, j: Any) -> Any:
    """`torques` of two amplitudes."""
    a, b, c, d = state[psi, RE, i], state[psi, IM, i], state[psi, RE, j], state[psi, IM, j]
    p, q, r, s = state[by, RE, i], state[by, IM, i], state[by, RE, j], state[by, IM, j]
    x = (p * d - q * c) + (r * b - s * a)
    y = (r * a + s * b) - (p * c + q * d)
    return x, y, (p * b - q * a) - (r * d - s * c)


@njit(nogil=True, error_model="numpy", fastmath=SUMS, cache=True)
def torques(state: Any, psi: Any, by: Any, size: Any, stride: Any) -> Any:
    """Im <lambda| sigma |psi> for X, Y, Z of one qubit, lambda in the buffer `by`."""
    x, y, z = F(0), F(0), F(0)
    if stride >= MANY:
        for base in range(ZERO, size, stride << ONE):
            for k in range(stride):
                a, b, c = pair_torques(state, psi, by, base + k, base + k + stride)
                x, y, z = x + a, y + b, z + c
    else:
        for k in range(size >> ONE):
            i = lower(k, stride)
            a, b, c = pair_torques(state, psi, by, i, i + stride)
            x, y, z = x + a, y + b, z + c
    return x, y, z


@njit(nogil=True, error_model="numpy", fastmath={"contract"}, inline="always")
def remove(state: Any, held: Any, size: Any, w: Any, x: Any, y: Any, z: Any) -> None:
    """Undo `append` (without its CZ): the product with the state that the highest qubit entered in; `size` is after."""
    for k in range(size):
        a, b, c, d = state[held, RE, k], state[held, IM, k], state[held, RE, k + size], state[held, IM, k + size]
        state[held, RE, k] = w * a - z * b + y * c - x * d
        state[held, IM, k] = w * b + z * a + y * d + x * c
