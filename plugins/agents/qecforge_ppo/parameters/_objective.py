"""Compiled loops for the ratio of whole objectives: products of clipped coordinate ratios.

The symbols are those of `_updates`. An inner step takes two passes, because a parameter's gradient needs the ratios of
its objectives, and those the present values of all their parameters.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from qecforge_ppo.parameters._normals import BLOCK, exp32
from qecforge_ppo.parameters._updates import (
    CLIPS,
    LOG_NARROWING,
    LOG_SIGMA0,
    MEAN0,
    NARROWING,
    ROWS,
    SHIFT,
    TO_MEAN,
    TO_SIGMA,
    WORTH,
    account,
    compare,
    place,
    relate,
    step_block,
)

__all__ = ["Comparison", "Relation", "objective_ratios", "objective_step", "summed_log_ratios"]

F = np.float32
_FAST = {"contract", "nsz"}


class Relation(NamedTuple):
    """How z of each epoch becomes z0 = factor z + offset, (E, blocks * BLOCK) float32 each."""

    factor: NDArray[np.float32]
    offset: NDArray[np.float32]


class Comparison(NamedTuple):
    """How z0 becomes zs = (z0 - shift) narrowing, (E, blocks * BLOCK) float32 each."""

    shift: NDArray[np.float32]
    narrowing: NDArray[np.float32]
    log_narrowing: NDArray[np.float32]


@njit(cache=True, nogil=True, parallel=True, fastmath=_FAST)
def summed_log_ratios(slots, ring, relation, comparison, group, low, high, out):  # type: ignore[no-untyped-def]
    """Logarithms of elementwise clipped ratios, those of the densities at zs and at z0, summed over each group.

    Args:
        slots: (E,) int64, places in `ring` (slots, blocks, K, BLOCK).
        relation, comparison: See `Relation` and `Comparison`.
        low, high: Bounds of a log ratio.
        out: (E, K, G + 1) float32, written; the last group is no objective's.
    """
    factor, offset = relation
    shift, narrowing, log_narrowing = comparison
    K = ring.shape[2]
    for task in prange(len(slots) * K):
        n, k = task // K, task % K
        logs = np.empty(BLOCK, np.float32)
        sums = out[n, k]
        sums[:] = F(0.0)
        for b in range(ring.shape[1]):
            here = slice(b * BLOCK, b * BLOCK + BLOCK)
            z, of = ring[slots[n], b, k], group[here]
            f, o, s = factor[n, here], offset[n, here], shift[n, here]
            w, lw = narrowing[n, here], log_narrowing[n, here]
            for i in range(BLOCK):
                z0 = f[i] * z[i] + o[i]
                zs = (z0 - s[i]) * w[i]
                logs[i] = min(max(F(0.5) * (z0 * z0 - zs * zs) + lw[i], low), high)
            for i in range(BLOCK):
                sums[of[i]] += logs[i]


@njit(cache=True, nogil=True)
def objective_ratios(log_ratios, indptr, indices, highest, out):  # type: ignore[no-untyped-def]
    """Each objective's ratio: the product over the parameters that it is connected to, cut at `highest`.

    Args:
        log_ratios: (E, K, G + 1) float32, of the groups.
        indptr, indices: The factor graph by objectives, (m + 1,) and (nnz,) int64.
        out: (E, m, K) float32, written.
    """
    E, K, _ = log_ratios.shape
    for n in range(E):
        for k in range(K):
            of_group = log_ratios[n, k]
            for j in range(out.shape[1]):
                total = F(0.0)
                for at in range(indptr[j], indptr[j + 1]):
                    total += of_group[indices[at]]
                out[n, j, k] = min(exp32(total), highest)


@njit(inline="always")
def _pull_within(rows, sample, low, high):  # type: ignore[no-untyped-def]
    """Add a candidate's gradient of A times the product of clipped ratios: 0 for a coordinate that is clipped."""
    for i in range(BLOCK):
        z0, worth = sample[i], sample[WORTH + i]
        zs = (z0 - rows[SHIFT + i]) * rows[NARROWING + i]
        log_ratio = F(0.5) * (z0 * z0 - zs * zs) + rows[LOG_NARROWING + i]
        inside = F(1.0) if (log_ratio >= low and log_ratio <= high) else F(0.0)
        pull = inside * worth
        rows[CLIPS + i] += F(1.0) - inside
        rows[TO_MEAN + i] += pull * zs * rows[NARROWING + i]
        rows[TO_SIGMA + i] += pull * (zs * zs - F(1.0))


@njit(cache=True, nogil=True, parallel=True, fastmath=_FAST)
def objective_step(tasks, slots, epochs, worths, group, start, gaussian, taken, settings, report):  # type: ignore[no-untyped-def]
    """One inner step, the ratio being each objective's product.

    Args:
        worths: (E, K, G + 1) float32, ratio times weight times advantage, summed over each group's objectives.
        start: (mu0, log sigma0), a `Distribution` of (blocks * BLOCK,) float32.
        settings: Its `low` and `high` bound the *logarithm* of a ratio.
        The others: See `coordinate_steps`.
    """
    ring, means, log_sigmas = epochs.ring, epochs.means, epochs.log_sigmas
    mean0, log_sigma0 = start
    mean, log_sigma, moments = gaussian
    blocks, K = ring.shape[1], ring.shape[2]
    for task in prange(tasks):
        rows = np.empty(ROWS * BLOCK, np.float32)
        sample = np.empty(2 * BLOCK, np.float32)
        share = F(1.0) / F(len(slots) * K)
        for b in range(task * blocks // tasks, (task + 1) * blocks // tasks):
            here = slice(b * BLOCK, b * BLOCK + BLOCK)
            groups, mu, ls, mu0, ls0 = group[here], mean[here], log_sigma[here], mean0[here], log_sigma0[here]
            for i in range(BLOCK):
                rows[MEAN0 + i] = mu0[i]
                rows[LOG_SIGMA0 + i] = ls0[i]
            compare(rows, mu, ls)
            for n in range(len(slots)):
                relate(rows, means[slots[n], here], log_sigmas[slots[n], here])
                for k in range(K):
                    of_group = worths[n, k]
                    for i in range(BLOCK):
                        sample[WORTH + i] = of_group[groups[i]]
                    place(rows, ring[slots[n], b, k], sample)
                    _pull_within(rows, sample, settings.low, settings.high)
            for i in range(BLOCK):
                rows[TO_MEAN + i] *= share
                rows[TO_SIGMA + i] = rows[TO_SIGMA + i] * share + settings.entropy
            step_block(rows, mu, ls, moments[:, here], taken + 1, settings)
            report[b, 0], report[b, 1] = account(rows, mu, ls, min(BLOCK, settings.parameters - b * BLOCK), share)
