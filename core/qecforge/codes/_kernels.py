"""Compiled loops of the distance methods. Importing this module imports numba.

The loops release the GIL, touch only the arrays that they are given, and are called in slices that take well under a
second, so that callers keep budgets and answer Ctrl-C.
"""
# mypy: disable-error-code="no-untyped-call, untyped-decorator"

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, uint64
from numba.core import types
from numba.core.extending import intrinsic
from numpy.typing import NDArray

__all__ = ["count_span"]

_Words = NDArray[np.uint64]


@intrinsic  # type: ignore[misc]
def _popcount(typing_context: Any, word: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), build


@njit(cache=True, nogil=True)
def count_span(x: _Words, z: _Words, counts: NDArray[np.int64], start: int, stop: int) -> None:
    """Add to `counts[w]` the elements of weight w among numbers start..stop-1 of the span, in Gray-code order.

    Args:
        x, z: (m, W) words of the m independent rows; an element's weight is the popcount of x | z.
        counts: (n + 1,), added to.
        start, stop: 0 <= start <= stop <= 2^m. Element i is the sum of the rows in the bits of i ^ (i >> 1).
    """
    generators, words = x.shape
    element_x = np.zeros(words, np.uint64)
    element_z = np.zeros(words, np.uint64)
    gray = start ^ (start >> 1)
    for row in range(generators):
        if gray >> row & 1:
            for word in range(words):
                element_x[word] ^= x[row, word]
                element_z[word] ^= z[row, word]
    if words == 1:
        one_x, one_z = element_x[0], element_z[0]
        for index in range(start + 1, stop + 1):
            counts[_popcount(one_x | one_z)] += 1
            row = _trailing_zeros(index)
            if row < generators:
                one_x ^= x[row, 0]
                one_z ^= z[row, 0]
        return
    for index in range(start + 1, stop + 1):
        weight = uint64(0)
        for word in range(words):
            weight += _popcount(element_x[word] | element_z[word])
        counts[weight] += 1
        row = _trailing_zeros(index)
        if row < generators:
            for word in range(words):
                element_x[word] ^= x[row, word]
                element_z[word] ^= z[row, word]


@njit(inline="always")
def _trailing_zeros(value: int) -> int:
    count = 0
    while value & 1 == 0:
        value >>= 1
        count += 1
    return count
