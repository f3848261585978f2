"""Compiled drawing of faults: one number for each fault that happens, none for those that do not."""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["draw_faults"]


def draw_faults(
    rng: np.random.Generator,
    shots: int,
    probabilities: NDArray[np.float64],
    first: NDArray[np.int64],
    targets: NDArray[np.int64],
    num_bytes: int,
    terms: NDArray[np.float64],
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """What independent faults flip, and sums over the faults of each shot.

    Args:
        rng: Numbers are taken from it.
        shots: S.
        probabilities: (F,) 0..1.
        first, targets: Fault f flips the bits `targets[first[f]:first[f + 1]]`.
        num_bytes: B, of one shot.
        terms: (F, K) what each fault adds.

    Returns:
        (S, B) uint8, bits from the lowest; (S, K) float64.

    Source: geometric distances between shots in which a fault happens, as in stim (arXiv 2103.02202).
    """
    bits = np.zeros((shots, num_bytes), np.uint8)
    sums = np.zeros((shots, terms.shape[1]))
    _draw(rng, probabilities, first, targets, np.ascontiguousarray(terms), bits, sums)
    return bits, sums


@numba.njit(cache=True)
def _draw(rng, probabilities, first, targets, terms, bits, sums):  # type: ignore[no-untyped-def]
    shots = bits.shape[0]
    for fault in range(len(probabilities)):
        p = probabilities[fault]
        if p <= 0.0:
            continue
        log_not = math.log1p(-p) if p < 1.0 else -math.inf
        shot = 0
        while True:
            skipped = math.log1p(-rng.random()) / log_not
            if skipped >= shots - shot:
                break
            shot += int(skipped)
            for place in range(first[fault], first[fault + 1]):
                bits[shot, targets[place] >> 3] ^= np.uint8(1 << (targets[place] & 7))
            for k in range(terms.shape[1]):
                sums[shot, k] += terms[fault, k]
            shot += 1
