"""The fit of the tangential network as one compiled loop.

Between two updates nothing is read twice: while the weights of eight hidden units are in the cache, they get their
gradient (of rank T, from a tiny batch of T samples), Adam's step, and their part in the next tiny batch's forward pass.
Up to 8 samples that is one pass over the weights, whose vectors are written out (`_one_pass`): lanes are hidden units,
so that derivatives and sums of a block stay in registers, and nothing is summed across lanes.

Hidden units are divided into chunks of a fixed size, whose sums are added in order: the result is the same on any
number of threads.

Letters: T samples of a tiny batch, I inputs, H hidden units, K outputs, N tiny batches, B = ceil(H / LANES) blocks. All
is in one file, because numba's cache on disk notices changes in a kernel's own file, not in what it calls.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

__all__ = ["CHUNK", "LANES", "SLOPE", "TINY", "fit", "fit_on_threads"]

LANES = 16
"""Hidden units in a vector."""
CHUNK = 256
"""Hidden units that one thread takes at a time, a multiple of LANES."""
TINY = 8
"""Samples of the one pass; what a tiny batch has fewer are zeros."""
SLOPE = np.float32(0.01)
"""Of the leaky ReLU where its input is negative (torch's)."""

_BETA1, _BETA2 = 0.9, 0.999
_TAKE1 = np.float32(1 - _BETA1)
_KEEP2, _TAKE2 = np.float32(_BETA2), np.float32(1 - _BETA2)
_EPSILON = np.float32(1e-8)
_ONE, _ZERO = np.float32(1), np.float32(0)
_FUSED = ("contract",)
_FAST = {"reassoc", "contract", "nsz"}


def _vectors(_: Any, w: Any, m: Any, v: Any, x: Any, following: Any, d: Any, z: Any, step: Any, root: Any) -> Any:
    """Gradient, Adam's step and next forward pass of LANES hidden units, 8 samples each.

    Args:
        w, m, v: (I, LANES) weights and moments, in place.
        x, following: (I, 8) the samples, and those of the next tiny batch.
        d: (8, LANES) derivative of the loss by the units, for each sample.
        z: (8, LANES) what the new weights make of each of the next samples.
    """
    numba_tools: Any = cgutils
    one = ir.FloatType()
    lanes = ir.VectorType(one, LANES)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        typed = zip(signature.args[:7], arguments, strict=False)
        arrays = [context.make_array(kind)(context, builder, value) for kind, value in typed]
        w, m, v, x, following, d, z = (array.data for array in arrays)
        length = builder.extract_value(arrays[0].shape, 0)
        root_of = numba_tools.get_or_insert_function(
            builder.module, ir.FunctionType(lanes, [lanes]), f"llvm.sqrt.v{LANES}f32"
        )

        def times_plus(left: Any, right: Any, term: Any) -> Any:
            return builder.fadd(builder.fmul(left, right, flags=_FUSED), term, flags=_FUSED)

        def constant(value: Any) -> Any:
            return ir.Constant(lanes, [float(value)] * LANES)

        def spread(scalar: Any) -> Any:
            vector = builder.insert_element(ir.Constant(lanes, ir.Undefined), scalar, ir.IntType(32)(0))
            return builder.shuffle_vector(
                vector, vector, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
            )

        def sample(data: Any, i: Any, b: int) -> Any:
            place = builder.add(builder.mul(i, i.type(TINY)), i.type(b))
            return spread(builder.load(builder.gep(data, [place], source_etype=one), typ=one))

        def vector_at(data: Any, row: Any) -> Any:
            pointer = builder.gep(data, [builder.mul(row, row.type(LANES))], source_etype=one)
            return builder.bitcast(pointer, lanes.as_pointer())

        def load(data: Any, row: Any) -> Any:
            return builder.load(vector_at(data, row), align=4, typ=lanes)

        def store(value: Any, data: Any, row: Any) -> None:
            builder.store(value, vector_at(data, row), align=4)

        derivatives = [load(d, length.type(b)) for b in range(TINY)]
        sums = [numba_tools.alloca_once_value(builder, constant(0)) for _ in range(TINY)]
        minus_step, rooted = spread(builder.fneg(arguments[7])), spread(arguments[8])
        with numba_tools.for_range(builder, length) as loop:
            i = loop.index
            halves = []
            for half in (range(TINY // 2), range(TINY // 2, TINY)):
                part = builder.fmul(derivatives[half[0]], sample(x, i, half[0]))
                for b in half[1:]:
                    part = times_plus(derivatives[b], sample(x, i, b), part)
                halves.append(part)
            g = builder.fadd(*halves)
            before = load(m, i)
            first = times_plus(builder.fsub(g, before), constant(_TAKE1), before)
            second = times_plus(builder.fmul(g, g), constant(_TAKE2), builder.fmul(load(v, i), constant(_KEEP2)))
            below = times_plus(builder.call(root_of, [second]), rooted, constant(_EPSILON))
            new = builder.fadd(load(w, i), builder.fdiv(builder.fmul(minus_step, first), below))
            for value, data in ((first, m), (second, v), (new, w)):
                store(value, data, i)
            for b, total in enumerate(sums):
                builder.store(times_plus(new, sample(following, i, b), builder.load(total)), total)
        for b, total in enumerate(sums):
            store(builder.load(total), z, length.type(b))
        return context.get_dummy_value()

    return types.void(w, m, v, x, following, d, z, step, root), generate


_one_pass: Any = intrinsic(_vectors)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _adam(w: NDArray[Any], m: NDArray[Any], v: NDArray[Any], g: NDArray[Any], step: Any, root: Any) -> None:
    """Adam's step of some weights, in place."""
    for i in range(len(w)):
        first = m[i] + (g[i] - m[i]) * _TAKE1
        second = v[i] * _KEEP2 + g[i] * g[i] * _TAKE2
        m[i], v[i] = first, second
        w[i] -= step * first / (math.sqrt(second) * root + _EPSILON)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _forward(w: NDArray[Any], x: NDArray[Any], z: NDArray[Any]) -> None:
    """z[b, l] = sum over i of w[i, l] x[i, b]."""
    z[:] = _ZERO
    for i in range(len(w)):
        for b in range(len(z)):
            factor = x[i, b]
            for lane in range(LANES):
                z[b, lane] += factor * w[i, lane]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _separately(
    w: NDArray[Any], m: NDArray[Any], v: NDArray[Any], x: NDArray[Any], following: NDArray[Any], d: NDArray[Any],
    z: NDArray[Any], g: NDArray[Any], step: Any, root: Any,
) -> None:  # fmt: skip
    """What `_one_pass` does, for any number of samples; g is (I, LANES) of room."""
    g[:] = _ZERO
    for i in range(len(w)):
        for b in range(len(d)):
            factor = x[i, b]
            for lane in range(LANES):
                g[i, lane] += factor * d[b, lane]
    _adam(w.reshape(-1), m.reshape(-1), v.reshape(-1), g.reshape(-1), step, root)
    _forward(w, following, z)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _product(w: NDArray[Any], x: NDArray[Any]) -> Any:
    total = _ZERO
    for i in range(len(w)):
        total += w[i] * x[i]
    return total


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _outputs(h0: int, h1: int, a: NDArray[Any], V: NDArray[Any], logits: NDArray[Any]) -> None:
    """A chunk's part in the logits, (T, K), for its activations a (T, CHUNK)."""
    for b in range(len(logits)):
        for k in range(len(V)):
            logits[b, k] = _product(V[k, h0:h1], a[b])


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _derivatives(h0: int, h1: int, a: NDArray[Any], V: NDArray[Any], error: NDArray[Any], D: NDArray[Any]) -> None:
    """D[b, h] = derivative of the loss by the hidden unit h before its activation, which is as negative as it was."""
    for b in range(len(error)):
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
        for b in range(len(error)):
            e, of_sample = error[b, k], a[b]
            for h in range(len(g)):
                g[h] += e * of_sample[h]
        _adam(V[k, h0:h1], m[k, h0:h1], v[k, h0:h1], g, step, root)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _activate(bias: NDArray[Any], z: NDArray[Any], a: NDArray[Any]) -> None:
    """a[b, l] = leaky(bias[l] + z[b, l]), of a block."""
    for b in range(len(z)):
        for lane in range(LANES):
            total = bias[lane] + z[b, lane]
            a[b, lane] = max(total, SLOPE * total)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _update_chunk(
    h0: int, h1: int, weights: Any, moments: Any, a: NDArray[Any], error: NDArray[Any], x: NDArray[Any],
    following: NDArray[Any], logits: NDArray[Any], step: Any, root: Any,
) -> None:  # fmt: skip
    """One update of the hidden units h0 .. h1 - 1, and their part in the logits of the following tiny batch."""
    W, bias, V = weights
    mW, vW, m_bias, v_bias, mV, vV = moments
    T = x.shape[1]
    D, g = np.zeros((T, CHUNK), np.float32), np.zeros(CHUNK, np.float32)
    d, z = np.empty((T, LANES), np.float32), np.empty((T, LANES), np.float32)
    room = np.empty((len(x) if T != TINY else 0, LANES), np.float32)
    _derivatives(h0, h1, a, V, error, D)
    _update_outputs(h0, h1, a, V, mV, vV, error, step, root)
    for b in range(T):
        g += D[b]
    _adam(bias[h0:h1], m_bias[h0:h1], v_bias[h0:h1], g, step, root)
    biases = np.zeros(CHUNK, np.float32)
    biases[: h1 - h0] = bias[h0:h1]
    for block in range((h1 - h0 + LANES - 1) // LANES):
        number = h0 // LANES + block
        for b in range(T):
            for lane in range(LANES):
                d[b, lane] = D[b, block * LANES + lane]
        if T == TINY:
            _one_pass(W[number], mW[number], vW[number], x, following, d, z, step, root)
        else:
            _separately(W[number], mW[number], vW[number], x, following, d, z, room, step, root)
        inside = slice(block * LANES, (block + 1) * LANES)
        _activate(biases[inside], z, a[:, inside])
    _outputs(h0, h1, a, V, logits)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _begin_chunk(
    h0: int, h1: int, rows: NDArray[Any], weights: Any, a: NDArray[Any], x: NDArray[Any], logits: NDArray[Any]
) -> None:
    """Blocks of a chunk's rows of weights, and its part in the logits of the first tiny batch."""
    W, bias, V = weights
    T, width = x.shape[1], len(x)
    z, none = np.empty((T, LANES), np.float32), np.zeros((T, LANES), np.float32)
    m, v = np.zeros((width, LANES), np.float32), np.zeros((width, LANES), np.float32)
    biases = np.zeros(CHUNK, np.float32)
    biases[: h1 - h0] = bias[h0:h1]
    for block in range((h1 - h0 + LANES - 1) // LANES):
        first = h0 + block * LANES
        w = W[first // LANES]
        for lane in range(min(LANES, h1 - first)):
            row = rows[first + lane]
            for i in range(len(row)):
                w[i, lane] = row[i]
        if T == TINY:
            _one_pass(w, m, v, x, x, none, z, _ZERO, _ZERO)  # a step of 0 leaves the weights as they are
        else:
            _forward(w, x, z)
        inside = slice(block * LANES, (block + 1) * LANES)
        _activate(biases[inside], z, a[:, inside])
    _outputs(h0, h1, a, V, logits)


@njit(cache=True, nogil=True, error_model="numpy")
def _end_chunk(h0: int, h1: int, rows: NDArray[Any], W: NDArray[Any]) -> None:
    """A chunk's rows of weights, of its blocks."""
    for h in range(h0, h1):
        row, w, lane = rows[h], W[h // LANES], h % LANES
        for i in range(len(row)):
            row[i] = w[i, lane]


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
    rows: NDArray[Any], bias: NDArray[Any], V: NDArray[Any], c: NDArray[Any], moments: Any, moments_c: Any,
    X: NDArray[Any], Y: NDArray[Any], steps: int, learning_rate: float,
) -> Any:  # fmt: skip
    """N updates by Adam, in place.

    Args:
        rows, bias, V, c: W (H, I), (H,), (K, H), (K,) float32: logits = V leaky(W x + bias) + c.
        moments: First and second of W, (B, I, LANES), of bias, of V; `moments_c` those of c.
        X: (N, I, T) float32, the tiny batches; of fewer than 8 samples with zeros up to 8.
        Y: (N, T, K) float32.
        steps: Updates before these.

    Returns:
        Mean binary cross entropy of each tiny batch before its update, averaged over the N.
    """
    N, T, K = Y.shape
    H, width = rows.shape
    chunks = (H + CHUNK - 1) // CHUNK
    W = np.zeros(((H + LANES - 1) // LANES, width, LANES), np.float32)
    weights = (W, bias, V)
    a = np.zeros((chunks, X.shape[2], CHUNK), np.float32)
    parts, error = np.empty((chunks, T, K), np.float32), np.empty((T, K), np.float32)
    g = np.empty(K, np.float32)
    for chunk in prange(chunks):
        h0, h1 = chunk * CHUNK, min(H, (chunk + 1) * CHUNK)
        _begin_chunk(h0, h1, rows, weights, a[chunk], X[0], parts[chunk])
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
        for chunk in prange(chunks):
            h0, h1 = chunk * CHUNK, min(H, (chunk + 1) * CHUNK)
            _update_chunk(h0, h1, weights, moments, a[chunk], error, X[n], following, parts[chunk], step, root)
    for chunk in prange(chunks):
        _end_chunk(chunk * CHUNK, min(H, (chunk + 1) * CHUNK), rows, W)
    return total / N


fit = njit(cache=True, nogil=True, error_model="numpy")(_fit)
fit_on_threads = njit(cache=True, nogil=True, error_model="numpy", parallel=True)(_fit)
