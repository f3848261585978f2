"""The fit of the tangential network as one compiled loop.

Between two updates nothing is read twice: while a hidden unit's weights are in the cache, they get their gradient (of
rank T, from a tiny batch of T samples), Adam's step, and their part in the next tiny batch's forward pass.

Hidden units are divided into chunks of a fixed size, whose sums are added in order: the result is the same on any
number of threads.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

__all__ = ["CHUNK", "SLOPE", "fit", "fit_on_threads"]

CHUNK = 64
"""Hidden units that one thread takes at a time."""
SLOPE = np.float32(0.01)
"""Of the leaky ReLU where its input is negative (torch's)."""

_BETA1, _BETA2 = 0.9, 0.999
_KEEP1, _TAKE1 = np.float32(_BETA1), np.float32(1 - _BETA1)
_KEEP2, _TAKE2 = np.float32(_BETA2), np.float32(1 - _BETA2)
_EPSILON = np.float32(1e-8)
_ONE, _ZERO = np.float32(1), np.float32(0)
_FAST = {"reassoc", "contract", "nsz"}


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _adam(w: NDArray[Any], m: NDArray[Any], v: NDArray[Any], g: NDArray[Any], step: Any, root: Any) -> None:
    """Adam's step of one row, in place."""
    for i in range(len(w)):
        first = m[i] + (g[i] - m[i]) * _TAKE1
        second = v[i] * _KEEP2 + g[i] * g[i] * _TAKE2
        m[i], v[i] = first, second
        w[i] -= step * first / (math.sqrt(second) * root + _EPSILON)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _gradient(d: NDArray[Any], x: NDArray[Any], g: NDArray[Any]) -> None:
    """g = sum over samples b of d[b] x[b], eight of them at a time."""
    T = len(d)
    for i in range(len(g)):
        g[i] = _ZERO
    b = 0
    while b + 8 <= T:
        d0, d1, d2, d3 = d[b], d[b + 1], d[b + 2], d[b + 3]
        d4, d5, d6, d7 = d[b + 4], d[b + 5], d[b + 6], d[b + 7]
        x0, x1, x2, x3 = x[b], x[b + 1], x[b + 2], x[b + 3]
        x4, x5, x6, x7 = x[b + 4], x[b + 5], x[b + 6], x[b + 7]
        for i in range(len(g)):
            low = d0 * x0[i] + d1 * x1[i] + d2 * x2[i] + d3 * x3[i]
            g[i] += low + d4 * x4[i] + d5 * x5[i] + d6 * x6[i] + d7 * x7[i]
        b += 8
    for rest in range(b, T):
        d0, x0 = d[rest], x[rest]
        for i in range(len(g)):
            g[i] += d0 * x0[i]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _forward(w: NDArray[Any], bias: Any, x: NDArray[Any], z: NDArray[Any]) -> None:
    """z[b] = bias + w x[b], eight samples at a time."""
    T = len(z)
    b = 0
    while b + 8 <= T:
        x0, x1, x2, x3 = x[b], x[b + 1], x[b + 2], x[b + 3]
        x4, x5, x6, x7 = x[b + 4], x[b + 5], x[b + 6], x[b + 7]
        s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = _ZERO
        for i in range(len(w)):
            s0 += w[i] * x0[i]
            s1 += w[i] * x1[i]
            s2 += w[i] * x2[i]
            s3 += w[i] * x3[i]
            s4 += w[i] * x4[i]
            s5 += w[i] * x5[i]
            s6 += w[i] * x6[i]
            s7 += w[i] * x7[i]
        z[b], z[b + 1], z[b + 2], z[b + 3] = bias + s0, bias + s1, bias + s2, bias + s3
        z[b + 4], z[b + 5], z[b + 6], z[b + 7] = bias + s4, bias + s5, bias + s6, bias + s7
        b += 8
    for rest in range(b, T):
        s0, x0 = _ZERO, x[rest]
        for i in range(len(w)):
            s0 += w[i] * x0[i]
        z[rest] = bias + s0


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _outputs(h0: int, h1: int, z: NDArray[Any], V: NDArray[Any], logits: NDArray[Any]) -> None:
    """A chunk's part in the logits: logits[b, k] = sum over its units h of V[k, h] leaky(z[b, h])."""
    T, O = logits.shape
    a = np.empty(h1 - h0, np.float32)
    for b in range(T):
        of_sample = z[b, h0:h1]
        for h in range(h1 - h0):
            a[h] = of_sample[h] if of_sample[h] > _ZERO else SLOPE * of_sample[h]
        for k in range(O):
            row, total = V[k, h0:h1], _ZERO
            for h in range(h1 - h0):
                total += row[h] * a[h]
            logits[b, k] = total


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _backward(h0: int, h1: int, z: NDArray[Any], V: NDArray[Any], error: NDArray[Any], D: NDArray[Any]) -> None:
    """D[b, h] = derivative of the loss by the hidden unit h before its activation."""
    T, O = error.shape
    for b in range(T):
        d, of_sample = D[b, h0:h1], z[b, h0:h1]
        d[:] = _ZERO
        for k in range(O):
            e, row = error[b, k], V[k, h0:h1]
            for h in range(h1 - h0):
                d[h] += e * row[h]
        for h in range(h1 - h0):
            d[h] = d[h] if of_sample[h] > _ZERO else SLOPE * d[h]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _update_outputs(
    h0: int, h1: int, z: NDArray[Any], V: NDArray[Any], mV: NDArray[Any], vV: NDArray[Any], error: NDArray[Any],
    step: Any, root: Any,
) -> None:  # fmt: skip
    """Adam's step of the output weights of a chunk."""
    T, O = error.shape
    g = np.empty(h1 - h0, np.float32)
    for k in range(O):
        g[:] = _ZERO
        for b in range(T):
            e, of_sample = error[b, k], z[b, h0:h1]
            for h in range(h1 - h0):
                g[h] += e * (of_sample[h] if of_sample[h] > _ZERO else SLOPE * of_sample[h])
        _adam(V[k, h0:h1], mV[k, h0:h1], vV[k, h0:h1], g, step, root)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _update_chunk(
    h0: int, h1: int, weights: Any, moments: Any, z: NDArray[Any], D: NDArray[Any], error: NDArray[Any],
    x: NDArray[Any], following: NDArray[Any], logits: NDArray[Any], step: Any, root: Any,
) -> None:  # fmt: skip
    """One update of the hidden units h0 .. h1 - 1, and their part in the logits of the following tiny batch."""
    W, bias, V = weights
    mW, vW, m_bias, v_bias, mV, vV = moments
    T, I = x.shape
    _backward(h0, h1, z, V, error, D)
    _update_outputs(h0, h1, z, V, mV, vV, error, step, root)
    g, d, g_bias, z_new = (
        np.empty(I, np.float32), np.empty(T, np.float32), np.empty(h1 - h0, np.float32), np.empty(T, np.float32)
    )  # fmt: skip
    for h in range(h0, h1):
        g_bias[h - h0] = _ZERO
        for b in range(T):
            g_bias[h - h0] += D[b, h]
    _adam(bias[h0:h1], m_bias[h0:h1], v_bias[h0:h1], g_bias, step, root)
    for h in range(h0, h1):
        for b in range(T):
            d[b] = D[b, h]
        _gradient(d, x, g)
        _adam(W[h], mW[h], vW[h], g, step, root)
        _forward(W[h], bias[h], following, z_new)
        for b in range(T):
            z[b, h] = z_new[b]
    _outputs(h0, h1, z, V, logits)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _forward_chunk(h0: int, h1: int, weights: Any, z: NDArray[Any], x: NDArray[Any], logits: NDArray[Any]) -> None:
    """The part of the hidden units h0 .. h1 - 1 in the logits of the first tiny batch."""
    W, bias, V = weights
    z_new = np.empty(len(x), np.float32)
    for h in range(h0, h1):
        _forward(W[h], bias[h], x, z_new)
        for b in range(len(x)):
            z[b, h] = z_new[b]
    _outputs(h0, h1, z, V, logits)


@njit(cache=True, nogil=True, error_model="numpy")
def _errors(parts: NDArray[Any], c: NDArray[Any], y: NDArray[Any], error: NDArray[Any]) -> float:
    """Binary cross entropy of the summed logits, and its derivative by them."""
    chunks, T, O = parts.shape
    loss = 0.0
    for b in range(T):
        for k in range(O):
            o = c[k]
            for chunk in range(chunks):
                o += parts[chunk, b, k]
            loss += max(o, _ZERO) - o * y[b, k] + math.log1p(math.exp(-abs(o)))
            error[b, k] = (_ONE / (_ONE + math.exp(-o)) - y[b, k]) / np.float32(T * O)
    return loss / (T * O)


def _fit(
    W: NDArray[Any], bias: NDArray[Any], V: NDArray[Any], c: NDArray[Any], moments: Any, moments_c: Any,
    X: NDArray[Any], Y: NDArray[Any], steps: int, learning_rate: float,
) -> float:  # fmt: skip
    """N updates by Adam, in place: `TangentialNetwork.fit` says what is what.

    Args:
        W, bias, V, c: (H, I), (H,), (O, H), (O,) float32: logits = V leaky(W x + bias) + c.
        moments: First and second of W, of bias, of V; moments_c those of c.
        X, Y: (N, T, I), (N, T, O) float32, the tiny batches.
        steps: Updates before these.

    Returns:
        Mean binary cross entropy of each tiny batch before its update, averaged over the N.
    """
    N, T, I = X.shape
    O, H = V.shape
    chunks = (H + CHUNK - 1) // CHUNK
    weights = (W, bias, V)
    z, D = np.empty((T, H), np.float32), np.empty((T, H), np.float32)
    parts = np.empty((chunks, T, O), np.float32)
    error = np.empty((T, O), np.float32)
    gc = np.empty(O, np.float32)
    for chunk in prange(chunks):
        _forward_chunk(chunk * CHUNK, min(H, (chunk + 1) * CHUNK), weights, z, X[0], parts[chunk])
    total = 0.0
    for n in range(N):
        total += _errors(parts, c, Y[n], error)
        t = steps + n + 1
        step = np.float32(learning_rate / (1.0 - _BETA1**t))
        root = np.float32(1.0 / math.sqrt(1.0 - _BETA2**t))
        gc[:] = _ZERO
        for b in range(T):
            for k in range(O):
                gc[k] += error[b, k]
        _adam(c, moments_c[0], moments_c[1], gc, step, root)
        following = X[min(n + 1, N - 1)]
        for chunk in prange(chunks):
            _update_chunk(
                chunk * CHUNK, min(H, (chunk + 1) * CHUNK), weights, moments, z, D, error, X[n], following,
                parts[chunk], step, root,
            )  # fmt: skip
    return total / N


fit = njit(cache=True, nogil=True, error_model="numpy")(_fit)
fit_on_threads = njit(cache=True, nogil=True, error_model="numpy", parallel=True)(_fit)
