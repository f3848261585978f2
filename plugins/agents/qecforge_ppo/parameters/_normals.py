"""Compiled loops that draw candidates: standard normals of a counter, so that any epoch's can be had again.

Normal number i of candidate k in epoch t is a function of (key, t, k, i) alone: Philox4x32-10 makes four words of
a counter, Box and Muller's transform two normals of two words. There is no state, the order does not matter, and the
loop has no branch: a compiler turns it into vector instructions (about 1.5 ns a normal on one core).

Sources: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"; Box and Muller 1958. Polynomials: log as in
Cephes' `logf`, sine and cosine as in its `sinf` and `cosf` (coefficients only).

All is in one file, because numba's cache on disk notices changes in a kernel's own file, not in what it calls.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, prange, types
from numba.extending import intrinsic
from numpy.typing import NDArray

__all__ = ["BLOCK", "Distribution", "Units", "draw", "exp32", "normals", "philox"]

BLOCK = 128
"""Parameters that are worked on together: 40 candidates' normals take 20 KiB, and stay in a core's cache."""
QUARTER = BLOCK // 4

U32 = np.uint32
U64 = np.uint64
I32 = np.int32
F = np.float32
_M0, _M1 = U64(0xD2511F53), U64(0xCD9E8D57)
_W0, _W1 = U32(0x9E3779B9), U32(0xBB67AE85)
_32 = U64(32)

_FAST = {"contract", "nsz"}


class Units(NamedTuple):
    """Where parameters start and a natural step of each, float32: a search sees (x - centre) / scale."""

    centre: NDArray[np.float32]
    scale: NDArray[np.float32]


class Distribution(NamedTuple):
    """Independent Gaussians in the search's units, float32."""

    mean: NDArray[np.float32]
    log_sigma: NDArray[np.float32]


def _as_int_code(typingctx, value):  # type: ignore[no-untyped-def]
    """The bits of a float32 as an int32."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.bitcast(args[0], ir.IntType(32))

    return types.int32(types.float32), codegen


def _as_float_code(typingctx, value):  # type: ignore[no-untyped-def]
    """An int32 as the float32 of the same bits."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), codegen


as_int: Any = intrinsic(_as_int_code)
as_float: Any = intrinsic(_as_float_code)


@njit(inline="always")
def _round(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    p0, p1 = _M0 * U64(c0), _M1 * U64(c2)
    return U32((p1 >> _32) ^ U64(c1) ^ U64(k0)), U32(p1), U32((p0 >> _32) ^ U64(c3) ^ U64(k1)), U32(p0)


@njit(inline="always")
def _philox(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    """Ten rounds, spelled out: a loop here would keep the loop around it from becoming vector instructions."""
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, U32(k0 + _W0), U32(k1 + _W1))
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, U32(k0 + U32(2) * _W0), U32(k1 + U32(2) * _W1))
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, U32(k0 + U32(3) * _W0), U32(k1 + U32(3) * _W1))
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, U32(k0 + U32(4) * _W0), U32(k1 + U32(4) * _W1))
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, U32(k0 + U32(5) * _W0), U32(k1 + U32(5) * _W1))
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, U32(k0 + U32(6) * _W0), U32(k1 + U32(6) * _W1))
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, U32(k0 + U32(7) * _W0), U32(k1 + U32(7) * _W1))
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, U32(k0 + U32(8) * _W0), U32(k1 + U32(8) * _W1))
    return _round(c0, c1, c2, c3, U32(k0 + U32(9) * _W0), U32(k1 + U32(9) * _W1))


@njit(cache=True)
def philox(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    """Philox4x32-10: the four uint32 words of a counter of four and a key of two."""
    return _philox(U32(c0), U32(c1), U32(c2), U32(c3), U32(k0), U32(k1))


@njit(inline="always")
def _pair(a, b):  # type: ignore[no-untyped-def]
    """Two independent standard normals of two words; |.| <= 6.66."""
    # radius sqrt(-2 log u), u = (2 floor(a / 2) + 1) / 2^32; log u = e log 2 + log(1 + m), 1 + m in [sqrt(1/2), sqrt 2)
    bits = as_int(F(I32(a >> U32(1))) * F(2.0**-31) + F(2.0**-32))
    e = (bits - I32(0x3F3504F3)) >> I32(23)
    m = as_float(I32(bits - (e << I32(23)))) - F(1.0)
    p = F(7.0376836292e-2) * m + F(-1.1514610310e-1)
    p = p * m + F(1.1676998740e-1)
    p = p * m + F(-1.2420140846e-1)
    p = p * m + F(1.4249322787e-1)
    p = p * m + F(-1.6668057665e-1)
    p = p * m + F(2.0000714765e-1)
    p = p * m + F(-2.4999993993e-1)
    p = p * m + F(3.3333331174e-1)
    square = m * m
    log = m + (p * m * square - F(0.5) * square) + F(e) * F(0.69314718056)
    radius = math.sqrt(max(F(-2.0) * log, F(0.0)))
    # angle 1/2 + b / 2^32 turns, b signed: q quarters and a rest within an eighth; sine and cosine change place or sign
    quarters = F(I32(b)) * F(2.0**-30) + F(2.0)
    q = I32(quarters + F(0.5))
    x = (quarters - F(q)) * F(1.5707963267948966)
    xx = x * x
    sine = x + x * xx * (F(-1.6666654611e-1) + xx * (F(8.3321608736e-3) + xx * F(-1.9515295891e-4)))
    cosine = (
        F(1.0)
        - F(0.5) * xx
        + xx * xx * (F(4.166664568298827e-2) + xx * (F(-1.388731625493765e-3) + xx * F(2.443315711809948e-5)))
    )
    odd = (q & I32(1)) != I32(0)
    along, across = (sine if odd else cosine), (cosine if odd else sine)
    along = as_float(I32(as_int(along) ^ (((q + I32(1)) & I32(2)) << I32(30))))
    across = as_float(I32(as_int(across) ^ ((q & I32(2)) << I32(30))))
    return radius * along, radius * across


@njit(inline="always")
def exp32(x):  # type: ignore[no-untyped-def]
    """e^x, relative error 2e-7, x cut to [-87, 87]. Coefficients of Cephes' `expf`."""
    x = min(max(x, F(-87.0)), F(87.0))
    n = I32(x * F(1.44269504088896341) + F(128.5)) - I32(128)
    f = F(n)
    r = x - f * F(0.693359375) + f * F(2.12194440e-4)
    p = F(1.9875691500e-4) * r + F(1.3981999507e-3)
    p = p * r + F(8.3334519073e-3)
    p = p * r + F(4.1665795894e-2)
    p = p * r + F(1.6666665459e-1)
    p = p * r + F(5.0000001201e-1)
    return (p * r * r + r + F(1.0)) * as_float(I32((n + I32(127)) << I32(23)))


@njit(inline="always")
def _quarter_block(first, second, third, fourth, b, k, epoch, key):  # type: ignore[no-untyped-def]
    """The normals of block b of candidate k. Four views, because an index that is a sum hinders vector instructions."""
    k0, k1 = key[0], key[1]
    for lane in range(QUARTER):
        u0, u1, u2, u3 = _philox(U32(b * QUARTER + lane), U32(k), U32(epoch), U32(0), k0, k1)
        n0, n1 = _pair(u0, u1)
        n2, n3 = _pair(u2, u3)
        first[lane], second[lane], third[lane], fourth[lane] = n0, n1, n2, n3


@njit(cache=True, nogil=True, fastmath=_FAST)
def _draw_blocks(begin, end, z, x, units, distribution, key, epoch, mirrored):  # type: ignore[no-untyped-def]
    centre, scale = units
    mean, log_sigma = distribution
    K, P = x.shape
    drawn = K // 2 if mirrored else K
    mu, sigma = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    for b in range(begin, end):
        start = b * BLOCK
        width = min(BLOCK, P - start)
        for i in range(width):
            mu[i] = centre[start + i] + scale[start + i] * mean[start + i]
            sigma[i] = scale[start + i] * exp32(log_sigma[start + i])
        for k in range(K):
            row = z[b, k]
            if k < drawn:
                _quarter_block(
                    row[:QUARTER],
                    row[QUARTER : 2 * QUARTER],
                    row[2 * QUARTER : 3 * QUARTER],
                    row[3 * QUARTER :],
                    b,
                    k,
                    epoch,
                    key,
                )
            else:
                twin = z[b, k - drawn]
                for i in range(BLOCK):
                    row[i] = -twin[i]
            out = x[k, start : start + width]
            for i in range(width):
                out[i] = mu[i] + sigma[i] * row[i]


@njit(cache=True, nogil=True, parallel=True)
def _draw_shared(tasks, z, x, units, distribution, key, epoch, mirrored):  # type: ignore[no-untyped-def]
    blocks = z.shape[0]
    for task in prange(tasks):
        begin, end = task * blocks // tasks, (task + 1) * blocks // tasks
        _draw_blocks(begin, end, z, x, units, distribution, key, epoch, mirrored)


def draw(
    z: NDArray[np.float32],
    x: NDArray[np.float32],
    units: Units,
    distribution: Distribution,
    key: NDArray[np.uint32],
    epoch: int,
    *,
    mirrored: bool = False,
    tasks: int = 1,
) -> None:
    """Draw an epoch's candidates, x = centre + scale (mean + exp(log_sigma) z).

    Args:
        z: (blocks, K, BLOCK) float32, written: normals of parameter b * BLOCK + i in `z[b, :, i]`. The last block is
            filled to its end.
        x: (K, P) float32, written.
        units, distribution: Of (P,) float32, or longer.
        key: (2,) uint32.
        epoch: Counter; epochs 2^32 apart have the same normals.
        mirrored: Candidate K/2 + k has minus the normals of candidate k.
        tasks: Shares of the blocks for numba's threads; 1 works in the calling thread. The result is the same.
    """
    counter = U32(epoch & 0xFFFFFFFF)
    if tasks == 1:
        _draw_blocks(0, z.shape[0], z, x, units, distribution, key, counter, mirrored)
    else:
        _draw_shared(tasks, z, x, units, distribution, key, counter, mirrored)


def normals(key: NDArray[np.uint32], epoch: int, candidates: int, parameters: int) -> NDArray[np.float32]:
    """(K, P) float32: the standard normals of an epoch."""
    z = np.empty((-(-parameters // BLOCK), candidates, BLOCK), np.float32)
    x = np.empty((candidates, parameters), np.float32)
    nil, one = np.zeros(parameters, np.float32), np.ones(parameters, np.float32)
    draw(z, x, Units(nil, one), Distribution(nil, nil), key, epoch)
    return x
