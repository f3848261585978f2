"""Compiled loops that learn: advantages, their way through the factor graph, and the steps of mean and deviation.

Symbols: E epochs of data (the newest and those replayed), K candidates, P parameters, m objectives, G groups of the
factor graph. z is a candidate in the units of the distribution that it was drawn from, z0 in those of the distribution
(mu0, sigma0) at the start of the update, zs in those of the present inner step.

Parameters are worked on in blocks, and all inner steps on a block follow one another while its normals lie in the
cache; where the ratio belongs to whole objectives (`_objective`) blocks have to wait for each other. Sums run over
candidates in their order for each parameter, so results do not depend on threads.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from qecforge_ppo.parameters._normals import BLOCK, exp32

__all__ = [
    "ADAM",
    "BATCH",
    "COMMON",
    "LEARNED",
    "NONE",
    "OBJECTIVE",
    "SGD",
    "Epochs",
    "Gaussian",
    "Settings",
    "advantages",
    "coordinate_steps",
    "spread",
]

F = np.float32
_FAST = {"contract", "nsz"}

BATCH, LEARNED = 0, 1
NONE, COMMON, OBJECTIVE = 0, 1, 2
SGD, ADAM = 0, 1
# Where what lies in `rows`, a block's room to work in: one array, because a compiler that has to show that many do not
# overlap gives up on vector instructions. A sample holds a candidate's z0 and, from WORTH on, its advantage.
ROWS = 11
MEAN0, LOG_SIGMA0, LOG_FACTOR, FACTOR, OFFSET = 0, BLOCK, 2 * BLOCK, 3 * BLOCK, 4 * BLOCK
LOG_NARROWING, NARROWING, SHIFT = 5 * BLOCK, 6 * BLOCK, 7 * BLOCK
TO_MEAN, TO_SIGMA, CLIPS = 8 * BLOCK, 9 * BLOCK, 10 * BLOCK
WORTH = BLOCK


class Settings(NamedTuple):
    """Numbers of an update.

    Attributes:
        rate, sigma_rate, entropy: As they are in this epoch.
        low, high: Bounds of a ratio; of its logarithm where the ratio belongs to whole objectives.
        max_weight: Greatest importance weight.
        beta1, beta2, epsilon: Adam's.
        log_sigma_min, log_sigma_max: Bounds of log sigma.
        optimizer: SGD or ADAM.
        steps: Inner steps.
        parameters: P.
    """

    rate: np.float32
    sigma_rate: np.float32
    entropy: np.float32
    low: np.float32
    high: np.float32
    max_weight: np.float32
    beta1: np.float32
    beta2: np.float32
    epsilon: np.float32
    log_sigma_min: np.float32
    log_sigma_max: np.float32
    optimizer: int
    steps: int
    parameters: int


class Epochs(NamedTuple):
    """What is kept of the newest epoch and of those that may be replayed, by slot.

    Attributes:
        ring: (slots, blocks, K, BLOCK) float32, normals.
        summed: (slots, K, G + 1) float32, masked advantages of the groups, 0 for the last.
        means, log_sigmas: (slots, blocks * BLOCK) float32, the distributions that candidates were drawn from.
    """

    ring: NDArray[np.float32]
    summed: NDArray[np.float32]
    means: NDArray[np.float32]
    log_sigmas: NDArray[np.float32]


class Gaussian(NamedTuple):
    """The distribution that is learned, stepped in place.

    Attributes:
        mean, log_sigma: (blocks * BLOCK,) float32.
        moments: (4, blocks * BLOCK) float32, Adam's, of mean and log sigma.
    """

    mean: NDArray[np.float32]
    log_sigma: NDArray[np.float32]
    moments: NDArray[np.float32]


@njit(cache=True, nogil=True)
def advantages(rewards, baseline, kind, normalize, mirrored, out):  # type: ignore[no-untyped-def]
    """Reward less baseline, of every candidate and objective.

    The batch baseline of a candidate is the mean of the others (of the other pairs, where candidates are mirrored), so
    that it is independent of the candidate's own noise and the gradient stays unbiased.

    Args:
        rewards: (K, m) float32.
        baseline: (m,) float64, used where `kind` is LEARNED.
        normalize: OBJECTIVE divides an objective's advantages by their root mean square, COMMON all by one number,
            NONE by nothing. Where all are 0 they stay 0.
        out: (m, K) float32, written.
    """
    K, m = rewards.shape
    total = 0.0
    for j in range(m):
        mean = 0.0
        for k in range(K):
            mean += rewards[k, j]
        mean /= K
        square = 0.0
        for k in range(K):
            if kind == LEARNED:
                value = rewards[k, j] - baseline[j]
            elif mirrored:
                twin = k - K // 2 if k >= K // 2 else k + K // 2
                own = rewards[k, j] - mean
                value = own + (own + rewards[twin, j] - mean) / (K - 2)
            else:
                value = (rewards[k, j] - mean) * (K / (K - 1.0))
            out[j, k] = value
            square += value * value
        square /= K
        total += square / m
        if normalize == OBJECTIVE and square > 0.0:
            scale = F(1.0 / math.sqrt(square))
            for k in range(K):
                out[j, k] *= scale
    if normalize == COMMON and total > 0.0:
        scale = F(1.0 / math.sqrt(total))
        for j in range(m):
            for k in range(K):
                out[j, k] *= scale


@njit(cache=True, nogil=True)
def spread(values, indptr, indices, out):  # type: ignore[no-untyped-def]
    """Gradient masking: each group's sum over its own objectives alone.

    Args:
        values: (m, K) float32.
        indptr, indices: The factor graph by groups, (G + 1,) and (nnz,) int64.
        out: (K, G) float32, written; further columns stay as they are.
    """
    K, G = out.shape[0], len(indptr) - 1
    row = np.empty(K, np.float32)
    for g in range(G):
        row[:] = F(0.0)
        for n in range(indptr[g], indptr[g + 1]):
            value = values[indices[n]]
            for k in range(K):
                row[k] += value[k]
        for k in range(K):
            out[k, g] = row[k]


@njit(inline="always")
def _adam(gradient, first, second, i, correction1, correction2, settings):  # type: ignore[no-untyped-def]
    first[i] = settings.beta1 * first[i] + (F(1.0) - settings.beta1) * gradient
    second[i] = settings.beta2 * second[i] + (F(1.0) - settings.beta2) * gradient * gradient
    return first[i] * correction1 / (math.sqrt(second[i] * correction2) + settings.epsilon)


@njit(inline="always")
def step_block(rows, mean, log_sigma, moments, taken, settings):  # type: ignore[no-untyped-def]
    """One step of a block along the gradients of mu / sigma0 and of log sigma in `rows`."""
    correction1 = F(1.0) / (F(1.0) - settings.beta1 ** F(taken))
    correction2 = F(1.0) / (F(1.0) - settings.beta2 ** F(taken))
    m1, v1, m2, v2 = moments[0], moments[1], moments[2], moments[3]
    rate, sigma_rate, least, most = settings.rate, settings.sigma_rate, settings.log_sigma_min, settings.log_sigma_max
    for i in range(BLOCK):
        first, second = rows[TO_MEAN + i], rows[TO_SIGMA + i]
        if settings.optimizer == ADAM:
            first = _adam(first, m1, v1, i, correction1, correction2, settings)
            second = _adam(second, m2, v2, i, correction1, correction2, settings)
        mean[i] += rate * exp32(rows[LOG_SIGMA0 + i]) * first
        log_sigma[i] = min(max(log_sigma[i] + sigma_rate * second, least), most)


@njit(inline="always")
def account(rows, mean, log_sigma, width, share):  # type: ignore[no-untyped-def]
    """Of a block's `width` parameters: clipped fraction and KL(old || new), nats, both summed."""
    total = clipped = 0.0
    for i in range(width):
        clipped += rows[CLIPS + i] * share
        change = log_sigma[i] - rows[LOG_SIGMA0 + i]
        shift = (mean[i] - rows[MEAN0 + i]) * exp32(-log_sigma[i])
        total += change + F(0.5) * (exp32(F(-2.0) * change) + shift * shift - F(1.0))
    return clipped, total


@njit(inline="always")
def relate(rows, mean_then, log_sigma_then):  # type: ignore[no-untyped-def]
    """How z of an earlier distribution becomes z0 of (mu0, sigma0): z0 = FACTOR z + OFFSET."""
    for i in range(BLOCK):
        change = log_sigma_then[i] - rows[LOG_SIGMA0 + i]
        rows[LOG_FACTOR + i] = change
        rows[FACTOR + i] = exp32(change)
        rows[OFFSET + i] = (mean_then[i] - rows[MEAN0 + i]) * exp32(-rows[LOG_SIGMA0 + i])


@njit(inline="always")
def compare(rows, mean, log_sigma):  # type: ignore[no-untyped-def]
    """How z0 becomes zs of the present inner step, zs = (z0 - SHIFT) NARROWING; sums of gradients set to 0."""
    for i in range(BLOCK):
        change = rows[LOG_SIGMA0 + i] - log_sigma[i]
        rows[LOG_NARROWING + i] = change
        rows[NARROWING + i] = exp32(change)
        rows[SHIFT + i] = (mean[i] - rows[MEAN0 + i]) * exp32(-rows[LOG_SIGMA0 + i])
        rows[TO_MEAN + i] = F(0.0)
        rows[TO_SIGMA + i] = F(0.0)
        rows[CLIPS + i] = F(0.0)


@njit(inline="always")
def place(rows, z, sample):  # type: ignore[no-untyped-def]
    """z0 of a replayed candidate."""
    for i in range(BLOCK):
        sample[i] = rows[FACTOR + i] * z[i] + rows[OFFSET + i]


@njit(inline="always")
def _weigh(rows, z, sample, most):  # type: ignore[no-untyped-def]
    """Its worth times the importance weight pi_0 / pi_then of each coordinate, cut at `most`."""
    for i in range(BLOCK):
        log_weight = F(0.5) * (z[i] * z[i] - sample[i] * sample[i]) + rows[LOG_FACTOR + i]
        sample[WORTH + i] *= min(exp32(log_weight), most)


@njit(inline="always")
def _pull_first(rows, sample):  # type: ignore[no-untyped-def]
    """Add a candidate's gradient at the first inner step, where every ratio is 1."""
    for i in range(BLOCK):
        z0, worth = sample[i], sample[WORTH + i]
        rows[TO_MEAN + i] += worth * z0
        rows[TO_SIGMA + i] += worth * (z0 * z0 - F(1.0))


@njit(inline="always")
def _pull(rows, sample, low, high):  # type: ignore[no-untyped-def]
    """Add a candidate's gradient of min(ratio A, clip(ratio) A)."""
    for i in range(BLOCK):
        z0, worth = sample[i], sample[WORTH + i]
        zs = (z0 - rows[SHIFT + i]) * rows[NARROWING + i]
        ratio = exp32(F(0.5) * (z0 * z0 - zs * zs) + rows[LOG_NARROWING + i])
        inside = F(1.0) if (ratio <= high if worth > F(0.0) else ratio >= low) else F(0.0)
        pull = inside * ratio * worth
        rows[CLIPS + i] += F(1.0) - inside
        rows[TO_MEAN + i] += pull * zs * rows[NARROWING + i]
        rows[TO_SIGMA + i] += pull * (zs * zs - F(1.0))


@njit(cache=True, nogil=True, fastmath=_FAST)
def _coordinate_block(b, slots, now, epochs, group, gaussian, taken, settings, samples, rows):  # type: ignore[no-untyped-def]
    """All inner steps on block b. `samples` (E, K, 2 BLOCK) and `rows` are room to work in."""
    ring, summed, means, log_sigmas = epochs
    mean, log_sigma, moments = gaussian
    K = ring.shape[2]
    here = slice(b * BLOCK, b * BLOCK + BLOCK)
    groups, mu, ls, adam = group[here], mean[here], log_sigma[here], moments[:, here]
    for i in range(BLOCK):
        rows[MEAN0 + i] = mu[i]
        rows[LOG_SIGMA0 + i] = ls[i]
    for n in range(len(slots)):
        e = slots[n]
        relate(rows, means[e, here], log_sigmas[e, here])
        for k in range(K):
            z, sample, of_group = ring[e, b, k], samples[n, k], summed[e, k]
            for i in range(BLOCK):
                sample[WORTH + i] = of_group[groups[i]]
            if e == now:
                for i in range(BLOCK):
                    sample[i] = z[i]
            else:
                place(rows, z, sample)
                _weigh(rows, z, sample, settings.max_weight)
    share = F(1.0) / F(len(slots) * K)
    for step in range(settings.steps):
        compare(rows, mu, ls)
        for n in range(len(slots)):
            for k in range(K):
                if step == 0:
                    _pull_first(rows, samples[n, k])
                else:
                    _pull(rows, samples[n, k], settings.low, settings.high)
        for i in range(BLOCK):
            rows[TO_MEAN + i] *= share
            rows[TO_SIGMA + i] = rows[TO_SIGMA + i] * share + settings.entropy
        step_block(rows, mu, ls, adam, taken + step + 1, settings)
    return account(rows, mu, ls, min(BLOCK, settings.parameters - b * BLOCK), share)


@njit(cache=True, nogil=True)
def _coordinate_blocks(begin, end, slots, now, epochs, group, gaussian, taken, settings, report):  # type: ignore[no-untyped-def]
    samples = np.empty((len(slots), epochs.ring.shape[2], 2 * BLOCK), np.float32)
    rows = np.empty(ROWS * BLOCK, np.float32)
    for b in range(begin, end):
        report[b, 0], report[b, 1] = _coordinate_block(
            b, slots, now, epochs, group, gaussian, taken, settings, samples, rows
        )


@njit(cache=True, nogil=True, parallel=True)
def _coordinate_shared(tasks, slots, now, epochs, group, gaussian, taken, settings, report):  # type: ignore[no-untyped-def]
    blocks = epochs.ring.shape[1]
    for task in prange(tasks):
        begin, end = task * blocks // tasks, (task + 1) * blocks // tasks
        _coordinate_blocks(begin, end, slots, now, epochs, group, gaussian, taken, settings, report)


def coordinate_steps(
    slots: NDArray[np.int64],
    now: int,
    epochs: Epochs,
    group: NDArray[np.uint32],
    gaussian: Gaussian,
    taken: int,
    settings: Settings,
    report: NDArray[np.float32],
    tasks: int,
) -> None:
    """All inner steps of an update, the ratio being each coordinate's own.

    Args:
        slots: (E,) int64, epochs of data: places in the arrays of `epochs`. `now` is the place of the newest.
        group: (blocks * BLOCK,) uint32; what fills the last block up belongs to the last group.
        taken: Steps taken before.
        report: (blocks, 2) float32, written: sums over parameters of the clipped fraction at the last step and of
            KL(old || new).
        tasks: Shares of the blocks for numba's threads; 1 works in the calling thread.
    """
    arguments = (slots, now, epochs, group, gaussian, taken, settings, report)
    if tasks == 1:
        _coordinate_blocks(0, epochs.ring.shape[1], *arguments)
    else:
        _coordinate_shared(tasks, *arguments)
