"""Compiled loops of the engines, and the random numbers that they draw.

Every candidate has a stream of its own, seeded from a key and the candidate's number: results do not depend on threads.
Every driver takes `chunk`, candidates per parallel task; a chunk of the whole batch runs in the calling thread.

All is in one file, because numba's cache on disk notices changes in a kernel's own file, not in what it calls.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

__all__ = [
    "Circuit",
    "Evaluated",
    "Landscape",
    "Rates",
    "Trials",
    "binomials",
    "draw_rewards",
    "evaluate",
    "sample_shots",
    "stream_key",
]

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_FAST = {"reassoc", "contract", "nsz"}
"""Sums may be reordered; infinities and NaN keep their meaning."""
_FEW = 10.0
"""Expected successes below which a binomial is drawn by inversion."""
_NEAR = 16
"""Distance from the mode within which a ratio of two masses is multiplied out; beyond, Stirling's series is cheaper."""


class Landscape(NamedTuple):
    """A gate's exponent, -log(1 - p/p_max): `floor[g] + slope[g] * sum_i (x[k, g, i] - optimum[g, i])**2`.

    Attributes:
        floor, slope: (G,) float64.
    """

    floor: NDArray[np.float64]
    slope: NDArray[np.float64]


class Rates(NamedTuple):
    """How exponents make the detection rates of C classes, and those their mean.

    Attributes:
        indptr, indices, counts: CSR of classes and gates: int64, uint32, float64.
        fixed: (C,) float64, log(1 - 2 D) at perfect gates.
        weight: (C,) float64, of each class in the mean over objectives.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.uint32]
    counts: NDArray[np.float64]
    fixed: NDArray[np.float64]
    weight: NDArray[np.float64]


class Evaluated(NamedTuple):
    """What is found of K candidates, float64.

    Attributes:
        exponents: (K, G), of the gates' errors.
        rates: (K, C), of detection events.
        costs: (K,) mean rate; NaN where a parameter was not finite.
    """

    exponents: NDArray[np.float64]
    rates: NDArray[np.float64]
    costs: NDArray[np.float64]


class Trials(NamedTuple):
    """How each class is measured.

    Attributes:
        objective: (C,) int64.
        number: (C,) int64, detectors times shots.
        share: (C,) float64, what one detection event adds to its objective's rate.
    """

    objective: NDArray[np.int64]
    number: NDArray[np.int64]
    share: NDArray[np.float64]


class Circuit(NamedTuple):
    """Where gates are used in a circuit, and which detectors their errors flip, int64.

    Attributes:
        first_use: (G + 1,) first use of each gate.
        bits: (U,) generators of each use.
        generator: (U,) its first generator: X and Z on its first qubit, then on its second; or a flip.
        indptr, detectors: CSR of generators and the detectors that each flips.
        objective: (D,) objective of each detector, -1 where it has none.
    """

    first_use: NDArray[np.int64]
    bits: NDArray[np.int64]
    generator: NDArray[np.int64]
    indptr: NDArray[np.int64]
    detectors: NDArray[np.int64]
    objective: NDArray[np.int64]


def stream_key(*numbers: int) -> np.uint64:
    """64 bits that mix integers, such as a seed and an epoch, in their order."""
    key = 0
    for number in numbers:
        key = ((key ^ (number & _MASK)) * 0xD1342543DE82EF95 + _GOLDEN) & _MASK
        key = ((key ^ (key >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        key = ((key ^ (key >> 27)) * 0x94D049BB133111EB) & _MASK
        key ^= key >> 31
    return np.uint64(key)


@njit(cache=True, nogil=True, inline="always")
def _seed_stream(streams, k, key):  # type: ignore[no-untyped-def]
    """Set row k, the state of xoshiro256++, from four steps of splitmix64."""
    state = key ^ (np.uint64(k + 1) * np.uint64(0xD1342543DE82EF95))
    for i in range(4):
        state += np.uint64(0x9E3779B97F4A7C15)
        z = state
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        streams[k, i] = z ^ (z >> np.uint64(31))


@njit(cache=True, nogil=True, inline="always")
def _uniform(streams, k):  # type: ignore[no-untyped-def]
    """The next float64 of stream k, inside (0, 1): xoshiro256++ (Blackman and Vigna 2019), its upper 53 bits."""
    s0, s1, s2, s3 = streams[k, 0], streams[k, 1], streams[k, 2], streams[k, 3]
    both = s0 + s3
    result = ((both << np.uint64(23)) | (both >> np.uint64(41))) + s0
    shifted = s1 << np.uint64(17)
    s2 ^= s0
    s3 ^= s1
    streams[k, 1] = s1 ^ s2
    streams[k, 0] = s0 ^ s3
    streams[k, 2] = s2 ^ shifted
    streams[k, 3] = (s3 << np.uint64(45)) | (s3 >> np.uint64(19))
    return (np.float64(result >> np.uint64(11)) + 0.5) * 1.1102230246251565e-16


@njit(cache=True, nogil=True, inline="always")
def _stirling(k):  # type: ignore[no-untyped-def]
    """Log k! less its leading terms, (k + 1/2) log(k + 1) - (k + 1) + log(2 pi)/2."""
    if k < 10:
        return math.lgamma(k + 1.0) - ((k + 0.5) * math.log(k + 1.0) - (k + 1.0) + 0.9189385332046727)
    square = 1.0 / ((k + 1.0) * (k + 1.0))
    return (1.0 / 12 - (1.0 / 360 - square / 1260) * square) / (k + 1.0)


@njit(cache=True, nogil=True)
def _few(streams, k, n, p):  # type: ignore[no-untyped-def]
    """Binomial by inversion: walk up the cumulative distribution. For n p below `_FEW`, p <= 1/2."""
    mass = math.exp(n * math.log1p(-p))
    odds = p / (1.0 - p)
    left = _uniform(streams, k)
    count = 0
    while left > mass and count < n:
        left -= mass
        count += 1
        mass *= odds * (n - count + 1) / count
    return count


@njit(cache=True, nogil=True)
def _many(streams, k, n, p):  # type: ignore[no-untyped-def]
    """Binomial by transformed rejection (Hörmann 1993, algorithm BTRS). For n p from `_FEW` on, p <= 1/2."""
    spread = math.sqrt(n * p * (1.0 - p))
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * p
    centre = n * p + 0.5
    v_r = 0.92 - 4.2 / b
    alpha = (2.83 + 5.1 / b) * spread
    while True:
        u = _uniform(streams, k) - 0.5
        v = _uniform(streams, k)
        edge = 0.5 - abs(u)
        count = math.floor((2.0 * a / edge + b) * u + centre)
        if edge >= 0.07 and v <= v_r:
            return int(count)
        if count < 0 or count > n:
            continue
        v *= alpha / (a / (edge * edge) + b)
        odds = p / (1.0 - p)
        mode = math.floor((n + 1) * p)
        if abs(count - mode) <= _NEAR:
            above, below = 1.0, v
            for i in range(mode + 1, count + 1):
                above *= odds * (n - i + 1)
                below *= i
            for i in range(count + 1, mode + 1):
                above *= i
                below *= odds * (n - i + 1)
            if below <= above:
                return int(count)
            continue
        bound = (
            (mode + 0.5) * math.log((mode + 1.0) / (odds * (n - mode + 1.0)))
            + (n + 1.0) * math.log((n - mode + 1.0) / (n - count + 1.0))
            + (count + 0.5) * math.log(odds * (n - count + 1.0) / (count + 1.0))
            + _stirling(mode)
            + _stirling(n - mode)
            - _stirling(count)
            - _stirling(n - count)
        )
        if math.log(v) <= bound:
            return int(count)


@njit(cache=True, nogil=True, inline="always")
def _binomial(streams, k, n, p):  # type: ignore[no-untyped-def]
    """Successes among n trials of probability p <= 1/2."""
    if n * p < _FEW:
        return _few(streams, k, n, p)
    return _many(streams, k, n, p)


@njit(cache=True, nogil=True)
def binomials(key, n, p, out):  # type: ignore[no-untyped-def]
    """Fill `out`, (N,) int64, from one stream. Probabilities are at most 1/2."""
    streams = np.empty((1, 4), np.uint64)
    _seed_stream(streams, 0, key)
    for i in range(len(out)):
        out[i] = _binomial(streams, 0, n, p)


@njit(cache=True, nogil=True, fastmath=_FAST)
def _exponents_of(x, optimum, floor, slope, k, e):  # type: ignore[no-untyped-def]
    """Row k of `e`: see `exponents`."""
    G, P = optimum.shape
    for g in range(G):
        total = x.dtype.type(0)
        for i in range(P):
            distance = x[k, g, i] - optimum[g, i]
            total += distance * distance
        e[k, g] = floor[g] + slope[g] * total


@njit(cache=True, nogil=True, fastmath=_FAST)
def _rates_of(e, made, k, rates):  # type: ignore[no-untyped-def]
    """Row k of `rates`, from the exponents of the gates."""
    indptr, indices, counts, fixed, _ = made
    for c in range(len(fixed)):
        total = fixed[c]
        for at in range(indptr[c], indptr[c + 1]):
            total -= counts[at] * e[k, indices[at]]
        rates[k, c] = total
    for c in range(len(fixed)):
        rates[k, c] = -0.5 * math.expm1(rates[k, c])


@njit(cache=True, nogil=True)
def _evaluate_some(first, last, x, optimum, landscape, made, out):  # type: ignore[no-untyped-def]
    floor, slope = landscape
    weight = made.weight
    e, rates, costs = out
    for k in range(first, last):
        _exponents_of(x, optimum, floor, slope, k, e)
        _rates_of(e, made, k, rates)
        total, cost = 0.0, 0.0
        for g in range(len(floor)):
            total += e[k, g]
        for c in range(len(weight)):
            cost += rates[k, c] * weight[c]
        costs[k] = cost if total < np.inf else np.nan


@njit(cache=True, nogil=True, parallel=True)
def _evaluate_all(chunk, x, optimum, landscape, made, out):  # type: ignore[no-untyped-def]
    for task in prange((len(x) + chunk - 1) // chunk):
        first, last = task * chunk, min((task + 1) * chunk, len(x))
        _evaluate_some(first, last, x, optimum, landscape, made, out)


def evaluate(chunk: int, x: Any, optimum: Any, landscape: Landscape, made: Rates, out: Evaluated) -> None:
    """Parameters -> exponents of the gates' errors -> detection rates -> mean rate. Nothing is random.

    Args:
        chunk: Candidates of one task.
        x: (K, G, P), float32 or float64, C-contiguous.
        optimum: (G, P), the dtype of `x`.
        made: How exponents make rates.
        out: Filled.
    """
    if chunk >= len(x):
        _evaluate_some(0, len(x), x, optimum, landscape, made, out)
    else:
        _evaluate_all(chunk, x, optimum, landscape, made, out)


@njit(cache=True, nogil=True)
def _draw_some(first, last, rates, trials, key, streams, rewards):  # type: ignore[no-untyped-def]
    objective, number, share = trials
    for k in range(first, last):
        _seed_stream(streams, k, key)
        for j in range(rewards.shape[1]):
            rewards[k, j] = 0
        for c in range(len(objective)):
            rewards[k, objective[c]] -= np.float32(_binomial(streams, k, number[c], rates[k, c]) * share[c])


@njit(cache=True, nogil=True, parallel=True)
def _draw_all(chunk, rates, trials, key, streams, rewards):  # type: ignore[no-untyped-def]
    for task in prange((len(rates) + chunk - 1) // chunk):
        _draw_some(task * chunk, min((task + 1) * chunk, len(rates)), rates, trials, key, streams, rewards)


def draw_rewards(chunk: int, rates: Any, trials: Trials, key: np.uint64, streams: Any, rewards: Any) -> None:
    """Binomial counts of every class, independent of each other, as rewards.

    Args:
        chunk: Candidates of one task.
        rates: (K, C) float64 in [0, 1/2].
        key: uint64 that the streams are seeded from.
        streams: Scratch, (K, 4) uint64.
        rewards: (K, m) float32, filled with minus the rates drawn.
    """
    if chunk >= len(rates):
        _draw_some(0, len(rates), rates, trials, key, streams, rewards)
    else:
        _draw_all(chunk, rates, trials, key, streams, rewards)


@njit(cache=True, nogil=True)
def _sample_some(row, first, last, errors, circuit, share, base, key, streams, flips, rewards):  # type: ignore[no-untyped-def]
    first_use, bits, generators, toggle_ptr, toggle_detector, detectors = circuit
    shots, D = flips.shape[1], flips.shape[2]
    for k in range(first, last):
        _seed_stream(streams, k, key)
        for s in range(shots):
            for j in range(D):
                flips[row, s, j] = base[k, s, j] if len(base) else 0
        for g in range(len(first_use) - 1):
            trials = (first_use[g + 1] - first_use[g]) * shots
            if errors[k, g] <= 0 or trials == 0:
                continue
            scale = 1.0 / math.log1p(-errors[k, g])
            at = math.floor(math.log(_uniform(streams, k)) * scale)
            while at < trials:
                use = first_use[g] + int(at) // shots
                shot = int(at) % shots
                kinds = (1 << bits[use]) - 1
                pauli = 1 + int(_uniform(streams, k) * kinds)
                for bit in range(bits[use]):
                    if (pauli >> bit) & 1:
                        generator = generators[use] + bit
                        for t in range(toggle_ptr[generator], toggle_ptr[generator + 1]):
                            flips[row, shot, toggle_detector[t]] ^= 1
                at += 1 + math.floor(math.log(_uniform(streams, k)) * scale)
        for j in range(D):
            if detectors[j] >= 0:
                count = 0
                for s in range(shots):
                    count += flips[row, s, j]
                rewards[k, detectors[j]] -= np.float32(count * share[detectors[j]])


@njit(cache=True, nogil=True, parallel=True)
def _sample_all(chunk, errors, circuit, share, base, key, streams, flips, rewards):  # type: ignore[no-untyped-def]
    for task in prange((len(errors) + chunk - 1) // chunk):
        first, last = task * chunk, min((task + 1) * chunk, len(errors))
        _sample_some(task, first, last, errors, circuit, share, base, key, streams, flips, rewards)


def sample_shots(
    chunk: int,
    errors: Any,
    circuit: Circuit,
    share: Any,
    base: Any,
    key: np.uint64,
    streams: Any,
    flips: Any,
    rewards: Any,
) -> None:
    """Draw every gate's faults in every shot of a circuit and take the detection events' rates off the rewards.

    A fault is one of the 3 or 15 Pauli errors of its gate, each as likely, or a flip; it flips what the product of its
    generators does. How many shots are skipped between two faults of a gate is geometric.

    Args:
        chunk: Candidates of one task.
        errors: (K, G) float64, probabilities below 1.
        share: (m,) float64, what one detection event adds to its objective's rate.
        base: (K, S, D) uint8 flips by other noise, or (0, 0, 0).
        key: uint64 that the streams are seeded from.
        streams: Scratch, (K, 4) uint64.
        flips: Scratch, (tasks, S, D) uint8: afterwards the events of the last candidate of each task.
        rewards: (K, m) float32, lowered.
    """
    arguments = (errors, circuit, share, base, key, streams, flips, rewards)
    if chunk >= len(errors):
        _sample_some(0, 0, len(errors), *arguments)
    else:
        _sample_all(chunk, *arguments)
