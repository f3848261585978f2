"""Compiled sums over the faults that happened in each shot."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["sums_over_faults"]


def sums_over_faults(faults: NDArray[np.uint8], terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each shot the sum of the rows of `terms` whose fault happened.

    Args:
        faults: (S, ceil(F/8)) uint8, bits from the lowest.
        terms: (F, K) float64.

    Returns:
        (S, K) float64.
    """
    total = np.zeros((len(faults), terms.shape[1]))
    _add(np.ascontiguousarray(faults), np.ascontiguousarray(terms), total)
    return total


@numba.njit(cache=True)
def _add(faults, terms, total):  # type: ignore[no-untyped-def]
    for shot in range(faults.shape[0]):
        for place in range(faults.shape[1]):
            byte = faults[shot, place]
            if byte == 0:
                continue
            for bit in range(8):
                if (byte >> bit) & 1:
                    for k in range(terms.shape[1]):
                        total[shot, k] += terms[8 * place + bit, k]
