"""The fit of the tangential network as one compiled loop.

Between two updates nothing is read twice: while a hidden unit's weights are in the cache, they get their gradient (of
rank T, from a tiny batch of T samples), Adam's step, and their part in the next tiny batch's forward pass. Up to 8
samples that is one pass over the weights, every instruction of it on vectors.

Hidden units are divided into chunks of a fixed size, whose sums are added in order: the result is the same on any
number of threads.

Letters: T samples of a tiny batch, I inputs, H hidden units, K outputs. All is in one file, because numba's cache on
disk notices changes in a kernel's own file, not in what it calls.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

__all__ = ["CHUNK", "SLOPE", "fit", "fit_on_threads"]

CHUNK = 256
"""Hidden units that one thread takes at a time."""
SLOPE = np.float32(0.01)
"""Of the leaky ReLU where its input is negative (torch's)."""

_BETA1, _BETA2 = 0.9, 0.999
_TAKE1 = np.float32(1 - _BETA1)
_KEEP2, _TAKE2 = np.float32(_BETA2), np.float32(1 - _BETA2)
_EPSILON = np.float32(1e-8)
_ONE, _ZERO = np.float32(1), np.float32(0)
_FAST = {"reassoc", "contract", "nsz"}

_WIDE = 1040
"""Inputs of the one-pass loop, at most: its 16 rows are so far apart in one array. The compiler sees then that they do
not overlap the weights, and makes vectors of it; and no two rows share the sets of a cache."""
_R1, _R2, _R3, _R4, _R5, _R6, _R7, _R8, _R9, _R10, _R11, _R12, _R13, _R14, _R15 = (
    np.uint64(_WIDE * row) for row in range(1, 16)
)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _one_pass(
    h: Any, w: NDArray[Any], m: NDArray[Any], v: NDArray[Any], x: NDArray[Any], d: NDArray[Any], z: NDArray[Any],
    step: Any, root: Any,
) -> None:  # fmt: skip
    """A hidden unit's gradient, Adam's step and next forward pass, 8 samples each.

    Args:
        h: The hidden unit, uint64.
        w, m, v: (H, I) weights and moments, in place.
        x: 16 rows of `_WIDE`: the samples, and those of the next tiny batch.
        d: (8,) derivative of the loss by the unit, for each sample.
        z: (8,) what the new weights make of each of the next samples.
    """
    d0, d1, d2, d3, d4, d5, d6, d7 = d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = _ZERO
    for i in range(np.uint64(w.shape[1])):
        low = (d0 * x[i] + d1 * x[i + _R1]) + (d2 * x[i + _R2] + d3 * x[i + _R3])
        high = (d4 * x[i + _R4] + d5 * x[i + _R5]) + (d6 * x[i + _R6] + d7 * x[i + _R7])
        g = low + high
        first = m[h, i] + (g - m[h, i]) * _TAKE1
        second = v[h, i] * _KEEP2 + g * g * _TAKE2
        m[h, i], v[h, i] = first, second
        new = w[h, i] - step * first / (math.sqrt(second) * root + _EPSILON)
        w[h, i] = new
        s0 += new * x[i + _R8]
        s1 += new * x[i + _R9]
        s2 += new * x[i + _R10]
        s3 += new * x[i + _R11]
        s4 += new * x[i + _R12]
        s5 += new * x[i + _R13]
        s6 += new * x[i + _R14]
        s7 += new * x[i + _R15]
    z[0], z[1], z[2], z[3], z[4], z[5], z[6], z[7] = s0, s1, s2, s3, s4, s5, s6, s7


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _adam(w: NDArray[Any], m: NDArray[Any], v: NDArray[Any], g: NDArray[Any], step: Any, root: Any) -> None:
    """Adam's step of some weights, in place."""
    for i in range(len(w)):
        first = m[i] + (g[i] - m[i]) * _TAKE1
        second = v[i] * _KEEP2 + g[i] * g[i] * _TAKE2
        m[i], v[i] = first, second
        w[i] -= step * first / (math.sqrt(second) * root + _EPSILON)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _separately(
    w: NDArray[Any], m: NDArray[Any], v: NDArray[Any], x: NDArray[Any], following: NDArray[Any], d: NDArray[Any],
    z: NDArray[Any], g: NDArray[Any], step: Any, root: Any,
) -> None:  # fmt: skip
    """What `_one_pass` does, for any number of samples and inputs."""
    g[:] = _ZERO
    for b in range(len(x)):
        of_sample, derivative = x[b], d[b]
        for i in range(len(w)):
            g[i] += derivative * of_sample[i]
    _adam(w, m, v, g, step, root)
    for b in range(len(x)):
        z[b] = _product(w, following[b])


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _product(w: NDArray[Any], x: NDArray[Any]) -> Any:
    total = _ZERO
    for i in range(len(w)):
        total += w[i] * x[i]
    return total


@njit(inline="always")
def _leaky(z: Any) -> Any:
    return z if z > _ZERO else SLOPE * z


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _outputs(h0: int, h1: int, a: NDArray[Any], V: NDArray[Any], logits: NDArray[Any]) -> None:
    """A chunk's part in the logits, (T, K), for its activations a (T, CHUNK)."""
    for b in range(len(a)):
        for k in range(len(V)):
            logits[b, k] = _product(V[k, h0:h1], a[b])


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _derivatives(h0: int, h1: int, a: NDArray[Any], V: NDArray[Any], error: NDArray[Any], D: NDArray[Any]) -> None:
    """D[b, h] = derivative of the loss by the hidden unit h before its activation, which is as negative as it was."""
    for b in range(len(a)):
        d, of_sample = D[b], a[b]
        d[:] = _ZERO
        for k in range(len(V)):
            e, row = error[b, k], V[k, h0:h1]
            for h in range(len(row)):
                d[h] += e * row[h]
        for h in range(len(d)):
            d[h] = d[h] if of_sample[h] > _ZERO else SLOPE * d[h]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _update_outputs(
    h0: int, h1: int, a: NDArray[Any], V: NDArray[Any], m: NDArray[Any], v: NDArray[Any], error: NDArray[Any],
    step: Any, root: Any,
) -> None:  # fmt: skip
    """Adam's step of a chunk's output weights."""
    g = np.empty(h1 - h0, np.float32)
    for k in range(len(V)):
        g[:] = _ZERO
        for b in range(len(a)):
            e, of_sample = error[b, k], a[b]
            for h in range(len(g)):
                g[h] += e * of_sample[h]
        _adam(V[k, h0:h1], m[k, h0:h1], v[k, h0:h1], g, step, root)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _update_chunk(
    h0: int, h1: int, weights: Any, moments: Any, a: NDArray[Any], error: NDArray[Any], x: NDArray[Any],
    following: NDArray[Any], rows: NDArray[Any], logits: NDArray[Any], step: Any, root: Any,
) -> None:  # fmt: skip
    """One update of the hidden units h0 .. h1 - 1, and their part in the logits of the following tiny batch."""
    W, bias, V = weights
    mW, vW, m_bias, v_bias, mV, vV = moments
    T, width, units = x.shape[0], x.shape[1], h1 - h0
    D, g = np.empty((T, CHUNK), np.float32), np.empty(max(width, units), np.float32)
    d, new = np.zeros(max(T, 8), np.float32), np.empty(max(T, 8), np.float32)
    _derivatives(h0, h1, a, V, error, D)
    _update_outputs(h0, h1, a, V, mV, vV, error, step, root)
    for h in range(units):
        g[h] = _ZERO
        for b in range(T):
            g[h] += D[b, h]
    _adam(bias[h0:h1], m_bias[h0:h1], v_bias[h0:h1], g, step, root)
    for h in range(units):
        for b in range(T):
            d[b] = D[b, h]
        if T <= 8 and width <= _WIDE:
            _one_pass(np.uint64(h0 + h), W, mW, vW, rows, d, new, step, root)
        else:
            w, m, v = W[h0 + h], mW[h0 + h], vW[h0 + h]
            _separately(w, m, v, x, following, d, new, g[:width], step, root)
        for b in range(T):
            a[b, h] = _leaky(bias[h0 + h] + new[b])
    _outputs(h0, h1, a, V, logits)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _begin_chunk(h0: int, h1: int, weights: Any, a: NDArray[Any], x: NDArray[Any], logits: NDArray[Any]) -> None:
    """The part of the hidden units h0 .. h1 - 1 in the logits of the first tiny batch."""
    W, bias, V = weights
    for h in range(h0, h1):
        for b in range(len(x)):
            a[b, h - h0] = _leaky(bias[h] + _product(W[h], x[b]))
    _outputs(h0, h1, a, V, logits)


@njit(cache=True, nogil=True, error_model="numpy")
def _errors(parts: NDArray[Any], c: NDArray[Any], y: NDArray[Any], error: NDArray[Any]) -> Any:
    """Binary cross entropy of the summed logits, and its derivative by them."""
    chunks, T, K = parts.shape
    loss = 0.0
    for b in range(T):
        for k in range(K):
            o = c[k]
            for chunk in range(chunks):
                o += parts[chunk, b, k]
            loss += max(o, _ZERO) - o * y[b, k] + math.log1p(math.exp(-abs(o)))
            error[b, k] = (_ONE / (_ONE + math.exp(-o)) - y[b, k]) / np.float32(T * K)
    return loss / (T * K)


def _fit(
    W: NDArray[Any], bias: NDArray[Any], V: NDArray[Any], c: NDArray[Any], moments: Any, moments_c: Any,
    X: NDArray[Any], Y: NDArray[Any], steps: int, learning_rate: float,
) -> Any:  # fmt: skip
    """N updates by Adam, in place.

    Args:
        W, bias, V, c: (H, I), (H,), (K, H), (K,) float32: logits = V leaky(W x + bias) + c.
        moments: First and second of W, of bias, of V; `moments_c` those of c.
        X, Y: (N, T, I), (N, T, K) float32, the tiny batches.
        steps: Updates before these.

    Returns:
        Mean binary cross entropy of each tiny batch before its update, averaged over the N.
    """
    N, T, width = X.shape
    K, H = V.shape
    chunks = (H + CHUNK - 1) // CHUNK
    weights = (W, bias, V)
    a = np.empty((chunks, T, CHUNK), np.float32)
    parts, error = np.empty((chunks, T, K), np.float32), np.empty((T, K), np.float32)
    g, rows = np.empty(K, np.float32), np.zeros((16, _WIDE), np.float32)
    for chunk in prange(chunks):
        h0, h1 = chunk * CHUNK, min(H, (chunk + 1) * CHUNK)
        _begin_chunk(h0, h1, weights, a[chunk], X[0], parts[chunk])
    total = 0.0
    for n in range(N):
        total += _errors(parts, c, Y[n], error)
        t = steps + n + 1
        step = np.float32(learning_rate / (1.0 - _BETA1**t))
        root = np.float32(1.0 / math.sqrt(1.0 - _BETA2**t))
        for k in range(K):
            g[k] = error[:, k].sum()
        _adam(c, moments_c[0], moments_c[1], g, step, root)
        following = X[min(n + 1, N - 1)]
        if T <= 8 and width <= _WIDE:
            rows[:T, :width] = X[n]
            rows[8 : 8 + T, :width] = following
        flat = rows.reshape(-1)
        for chunk in prange(chunks):
            h0, h1 = chunk * CHUNK, min(H, (chunk + 1) * CHUNK)
            _update_chunk(
                h0, h1, weights, moments, a[chunk], error, X[n], following, flat, parts[chunk],
                step, root,
            )  # fmt: skip
    return total / N


fit = njit(cache=True, nogil=True, error_model="numpy")(_fit)
fit_on_threads = njit(cache=True, nogil=True, error_model="numpy", parallel=True)(_fit)
