"""From angles to the rotations that a circuit accumulates on each qubit, and from torques on those back to angles.

A rotation is a unit quaternion (w, x, y, z): the matrix w - i (x X + y Y + z Z). Products of all rotations of a qubit
from the first layer on, its *prefixes*, are kept as numbers of shape (layers, 4, LANES): one register of the machine
holds a component for all qubits. Each is brought back to length one by a step of Newton's method, or rounding would add
up. What happens to a qubit between two of its CZs is then one product, of a prefix with the inverse of an earlier one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = [
    "KINDS",
    "LANES",
    "accumulate",
    "accumulate_gates",
    "angle_torques",
    "between",
    "gate_torques",
    "is_finite",
    "turned",
]

LANES = 16
"""Qubits that the exact simulation has room for."""

KINDS = {"r": 0, "ry_rz": 1}
"""What a pair of angles (theta, phi) is: R(theta, phi) = exp(-i theta/2 (cos(phi) X + sin(phi) Y)), or RY(theta) and
then RZ(phi)."""

F = np.float32
ZERO, HALF, ONE, THREE_HALVES = F(0), F(0.5), F(1), F(1.5)

TO_QUARTERS, ROUND = F(2 / np.pi), F(1.5 * 2**23)
"""Adding and subtracting 1.5 * 2^23 rounds a float32 to an integer."""

PI_HALVES = (F(1.5703125), F(4.837512969970703125e-4), F(7.54978995489188216e-8))
"""pi/2 in three parts, the first two with few bits (Cody and Waite 1980); so are the coefficients (Cephes `sinf`)."""

SINE = (F(-1.6666654611e-1), F(8.3321608736e-3), F(-1.9515295891e-4))
COSINE = (F(4.166664568298827e-2), F(-1.388731625493765e-3), F(2.443315711809948e-5))


@njit(nogil=True, error_model="numpy", fastmath={"contract"}, inline="always")
def sine_and_cosine(angle: Any) -> Any:
    """Both of a float32, to 1e-7 where |angle| < 8,000; NaN for what is not finite."""
    quarters = (angle * TO_QUARTERS + ROUND) - ROUND
    rest = ((angle - quarters * PI_HALVES[0]) - quarters * PI_HALVES[1]) - quarters * PI_HALVES[2]
    square = rest * rest
    sine = rest + rest * square * (SINE[0] + square * (SINE[1] + square * SINE[2]))
    cosine = ONE - HALF * square + square * square * (COSINE[0] + square * (COSINE[1] + square * COSINE[2]))
    turned = np.int32(quarters)
    odd = (turned & 1) != 0
    first = cosine if odd else sine
    second = sine if odd else cosine
    return -first if (turned & 2) != 0 else first, -second if ((turned + 1) & 2) != 0 else second


@njit(nogil=True, error_model="numpy", fastmath={"contract"}, cache=True)
def accumulate(angles: Any, kind: int, qubits: int, prefix: Any, work: Any) -> None:
    """Prefixes of one circuit of the paper's family.

    Args:
        angles: (layers * qubits * 2 + 2 * LANES,) float32, the last ones arbitrary: so many are read at once.
        prefix: (layers + 1, 4, LANES) float32, filled; lanes past `qubits` hold nothing of use.
        work: (3, 2 * LANES) float32, scratch: sines, cosines and, unchanged, by what angles are multiplied before.
    """
    sines, cosines, factors = work[0], work[1], work[2]
    flat = prefix.reshape(-1)
    start(prefix)
    for layer in range(prefix.shape[0] - 1):
        given = angles[2 * qubits * layer : 2 * qubits * layer + 2 * LANES]
        for i in range(2 * LANES):
            sines[i], cosines[i] = sine_and_cosine(given[i] * factors[i])
        both = flat[4 * LANES * layer : 4 * LANES * (layer + 2)]  # a slice, or numba would look for negative indices
        if kind == 0:
            for q in range(LANES):
                w, s = cosines[2 * q], sines[2 * q]
                x, y = s * cosines[2 * q + 1], s * sines[2 * q + 1]
                a, b, c, d = both[q], both[LANES + q], both[2 * LANES + q], both[3 * LANES + q]
                a, b, c, d = w * a - x * b - y * c, w * b + x * a + y * d, w * c + y * a - x * d, w * d + x * c - y * b
                unit = THREE_HALVES - HALF * (a * a + b * b + c * c + d * d)
                both[4 * LANES + q], both[5 * LANES + q] = a * unit, b * unit
                both[6 * LANES + q], both[7 * LANES + q] = c * unit, d * unit
        else:
            for q in range(LANES):
                w, x = cosines[2 * q + 1] * cosines[2 * q], -sines[2 * q + 1] * sines[2 * q]
                y, z = cosines[2 * q + 1] * sines[2 * q], sines[2 * q + 1] * cosines[2 * q]
                a, b, c, d = both[q], both[LANES + q], both[2 * LANES + q], both[3 * LANES + q]
                a, b, c, d = (
                    w * a - x * b - y * c - z * d,
                    w * b + x * a + y * d - z * c,
                    w * c + y * a + z * b - x * d,
                    w * d + z * a + x * c - y * b,
                )
                unit = THREE_HALVES - HALF * (a * a + b * b + c * c + d * d)
                both[4 * LANES + q], both[5 * LANES + q] = a * unit, b * unit
                both[6 * LANES + q], both[7 * LANES + q] = c * unit, d * unit


@njit(nogil=True, error_model="numpy", cache=True)
def start(prefix: Any) -> None:
    """Before the first layer nothing has turned."""
    for q in range(LANES):
        prefix[0, 0, q], prefix[0, 1, q], prefix[0, 2, q], prefix[0, 3, q] = ONE, ZERO, ZERO, ZERO


@njit(nogil=True, error_model="numpy", fastmath={"contract"}, cache=True)
def turn(prefix: Any, layer: int, q: int, axis: int, angle: Any) -> None:
    """Multiply one prefix by a rotation about an axis (1, 2, 3: X, Y, Z)."""
    w, s = F(np.cos(0.5 * angle)), F(np.sin(0.5 * angle))
    x, y, z = s if axis == 1 else ZERO, s if axis == 2 else ZERO, s if axis == 3 else ZERO
    a, b, c, d = prefix[layer, 0, q], prefix[layer, 1, q], prefix[layer, 2, q], prefix[layer, 3, q]
    a, b, c, d = (
        w * a - x * b - y * c - z * d,
        w * b + x * a + y * d - z * c,
        w * c + y * a + z * b - x * d,
        w * d + z * a + x * c - y * b,
    )
    unit = THREE_HALVES - HALF * (a * a + b * b + c * c + d * d)
    prefix[layer, 0, q], prefix[layer, 1, q], prefix[layer, 2, q], prefix[layer, 3, q] = (
        a * unit,
        b * unit,
        c * unit,
        d * unit,
    )


@njit(nogil=True, error_model="numpy", cache=True)
def accumulate_gates(angles: Any, gates: Any, prefix: Any) -> None:
    """Prefixes of one circuit that is a list of rotations about X, Y or Z.

    Args:
        angles: (G,) float32 or float64, one for each rotation.
        gates: (G, 3) int64: layer from 0, qubit and axis, layers ascending.
        prefix: (layers + 1, 4, LANES) float32, filled.
    """
    start(prefix)
    g = 0
    for layer in range(prefix.shape[0] - 1):
        prefix[layer + 1] = prefix[layer]
        while g < gates.shape[0] and gates[g, 0] == layer:
            turn(prefix, layer + 1, gates[g, 1], gates[g, 2], angles[g])
            g += 1


@njit(nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz"}, cache=True)
def is_finite(prefix: Any, qubits: int) -> bool:
    """Whether all angles of a circuit were finite: one that is not makes every later prefix of its qubit NaN."""
    last = prefix[prefix.shape[0] - 1]
    total = ZERO
    for q in range(qubits):
        total += last[0, q] * last[0, q] + last[1, q] * last[1, q] + last[2, q] * last[2, q] + last[3, q] * last[3, q]
    return bool(total < LANES + 1)


@njit(nogil=True, error_model="numpy", fastmath={"contract"}, inline="always")
def between(prefix: Any, q: int, before: int, after: int) -> Any:
    """The rotations of a qubit behind layer `before` (-1: from the beginning) up to layer `after`, as a quaternion."""
    a, b, c, d = prefix[after + 1, 0, q], prefix[after + 1, 1, q], prefix[after + 1, 2, q], prefix[after + 1, 3, q]
    w, x = prefix[before + 1, 0, q], -prefix[before + 1, 1, q]
    y, z = -prefix[before + 1, 2, q], -prefix[before + 1, 3, q]
    return (
        a * w - b * x - c * y - d * z,
        a * x + b * w + c * z - d * y,
        a * y + c * w + d * x - b * z,
        a * z + d * w + b * y - c * x,
    )


@njit(nogil=True, error_model="numpy", fastmath={"contract"}, inline="always")
def turned(w: Any, x: Any, y: Any, z: Any, a: Any, b: Any, c: Any) -> Any:
    """The vector (a, b, c) turned by the quaternion."""
    s, t, u = y * c - z * b + w * a, z * a - x * c + w * b, x * b - y * a + w * c
    two = F(2)
    return a + two * (y * u - z * t), b + two * (z * s - x * u), c + two * (x * t - y * s)


@njit(nogil=True, error_model="numpy", fastmath={"contract"}, cache=True)
def angle_torques(angles: Any, kind: int, qubits: int, prefix: Any, torque: Any, out: Any) -> None:
    """Derivatives by the angles of one circuit of the paper's family.

    With the torque T of a layer (see `_marginals`) turned by the prefix P of its end, t = P T, the derivative by theta
    of R(theta, phi) is t . (cos(phi), sin(phi), 0), and that by phi is t_z less the same of the layer's beginning, for
    R(theta, phi) = RZ(phi) RX(theta) RZ(-phi).

    Args:
        angles, prefix: As in `accumulate`.
        torque: (layers, 3, LANES) float32, in the frame before the first layer.
        out: (layers * qubits * 2,) float32, filled.
    """
    before = np.empty(LANES, F)
    for layer in range(prefix.shape[0] - 1):
        P, T = prefix[layer], torque[layer]
        given = angles[2 * qubits * layer : 2 * qubits * layer + 2 * LANES]
        found = out[2 * qubits * layer : 2 * qubits * (layer + 1)]
        for q in range(qubits):
            before[q] = turned(P[0, q], P[1, q], P[2, q], P[3, q], T[0, q], T[1, q], T[2, q])[2]
        P = prefix[layer + 1]
        for q in range(qubits):
            a, b, c = turned(P[0, q], P[1, q], P[2, q], P[3, q], T[0, q], T[1, q], T[2, q])
            sine, cosine = sine_and_cosine(given[2 * q + 1])
            if kind == 0:
                found[2 * q] = a * cosine + b * sine
                found[2 * q + 1] = c - before[q]
            else:
                found[2 * q] = b * cosine - a * sine
                found[2 * q + 1] = c


@njit(nogil=True, error_model="numpy", cache=True)
def gate_torques(gates: Any, angles: Any, torque: Any, out: Any) -> None:
    """Derivatives by the angles of one circuit that is a list of rotations: components of its torque along their axes.

    Args:
        gates, angles: As in `accumulate_gates`.
        torque: (layers, 3, LANES) float32, in the frame before the first layer.
        out: (G,) float32, filled.
    """
    current = np.empty((1, 4, LANES), F)
    start(current)
    for g in range(gates.shape[0]):
        layer, q, axis = gates[g, 0], gates[g, 1], gates[g, 2]
        a, b, c, d = current[0, 0, q], current[0, 1, q], current[0, 2, q], current[0, 3, q]
        out[g] = turned(a, b, c, d, torque[layer, 0, q], torque[layer, 1, q], torque[layer, 2, q])[axis - 1]
        turn(current, 0, q, axis, angles[g])
