"""What lies between the matrix products of an update, each as one pass over memory.

Letters: C critics, B samples, h hidden units, A actions. All arrays are float32. Sums over samples come in their order,
so that results do not depend on threads. All is in one file, because numba's cache on disk notices changes in a
kernel's own file, not in what it calls.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["activate", "activate_and_join", "activate_and_weigh", "by_activation", "by_joined", "by_sum", "by_value"]

Array = NDArray[np.float32]

_SLOPE = np.float32(0.01)
_ONE, _ZERO = np.float32(1), np.float32(0)
_FAST = {"reassoc", "contract", "nsz"}


@njit(inline="always")
def _leaky(z: Any) -> Any:
    return z if z > _ZERO else _SLOPE * z


@njit(inline="always")
def _slope(activation: Any) -> Any:
    """Of the leaky ReLU, whose result has the sign of what went into it."""
    return _ONE if activation > _ZERO else _SLOPE


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def activate(z: Array, bias: Array) -> None:
    """In place leaky(z + bias), (B, h)."""
    for b in range(z.shape[0]):
        row = z[b]
        for i in range(len(row)):
            row[i] = _leaky(row[i] + bias[i])


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def activate_and_join(z: Array, bias: Array, a: Array, joined: Array) -> None:
    """joined[c] = [leaky(z_c + bias_c), a]: from z (B, C h), bias (C h,) and a (B, A) to (C, B, h + A)."""
    actions, hidden = a.shape[1], joined.shape[2] - a.shape[1]
    for c in range(joined.shape[0]):
        own = bias[c * hidden : (c + 1) * hidden]
        for b in range(z.shape[0]):
            row, out, of_sample = z[b, c * hidden : (c + 1) * hidden], joined[c, b], a[b]
            for i in range(hidden):
                out[i] = _leaky(row[i] + own[i])
            for i in range(actions):
                out[hidden + i] = of_sample[i]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def activate_and_weigh(z: Array, bias: Array, weight: Array, shift: Array, q: Array) -> None:
    """In place leaky(z + bias), (C, B, h); q = that times weight + shift, (C, B)."""
    for c in range(z.shape[0]):
        own, of_value = bias[c], weight[c]
        for b in range(z.shape[1]):
            row, total = z[c, b], _ZERO
            for i in range(len(row)):
                activation = _leaky(row[i] + own[i])
                row[i] = activation
                total += activation * of_value[i]
            q[c, b] = total + shift[c]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def by_value(by_q: Array, z: Array, weight: Array, by_weight: Array, by_bias: Array) -> None:
    """Derivatives behind `activate_and_weigh` for those by its values (C, B): z <- that before the activation; those by
    `weight` and `bias`, (C, h)."""
    by_weight[:], by_bias[:] = _ZERO, _ZERO
    for c in range(z.shape[0]):
        of_value, sums, of_bias = weight[c], by_weight[c], by_bias[c]
        for b in range(z.shape[1]):
            row, derivative = z[c, b], by_q[c, b]
            for i in range(len(row)):
                sums[i] += derivative * row[i]
                found = derivative * of_value[i] * _slope(row[i])
                row[i] = found
                of_bias[i] += found


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def by_sum(z: Array, weight: Array) -> None:
    """The same for the sum of one critic's values: z (B, h) <- its derivative before the activation."""
    for b in range(z.shape[0]):
        row = z[b]
        for i in range(len(row)):
            row[i] = weight[i] * _slope(row[i])


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def by_joined(by_hidden: Array, joined: Array, by_z: Array, by_bias: Array) -> None:
    """Derivatives behind `activate_and_join` by z (B, C h) and `bias` (C h,), for those by hidden units (C, B, h)."""
    hidden = by_hidden.shape[2]
    by_bias[:] = _ZERO
    for c in range(by_hidden.shape[0]):
        of_bias = by_bias[c * hidden : (c + 1) * hidden]
        for b in range(by_hidden.shape[1]):
            given, row, out = by_hidden[c, b], joined[c, b], by_z[b, c * hidden : (c + 1) * hidden]
            for i in range(hidden):
                found = given[i] * _slope(row[i])
                out[i] = found
                of_bias[i] += found


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def by_activation(derivative: Array, z: Array, by_bias: Array) -> None:
    """The derivative before `activate`, (B, h), in the place of that behind it, and the one by its `bias`, (h,)."""
    by_bias[:] = _ZERO
    for b in range(z.shape[0]):
        row, of_sample = z[b], derivative[b]
        for i in range(len(row)):
            found = of_sample[i] * _slope(row[i])
            of_sample[i] = found
            by_bias[i] += found
