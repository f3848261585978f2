"""What the kernel of meet in the middle works on: `_kernels.scan_errors`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Columns", "Table", "Tails"]


class Columns(NamedTuple):
    """Errors on one qubit, `letters` for each.

    Attributes:
        keys, values: (n * letters,) syndromes and logical actions; columns q * letters .. (q + 1) * letters - 1 belong
            to qubit q.
    """

    keys: NDArray[np.uint64]
    values: NDArray[np.uint64]
    letters: int


class Tails(NamedTuple):
    """The last letters of errors of one weight.

    Attributes:
        words: (T, 2) keys and values.
        columns: (T, t) their columns.
        buckets: (P + 1,), P a power of two; tails buckets[b]..buckets[b + 1] - 1 have keys of low bits b, and falling
            first columns.
    """

    words: NDArray[np.uint64]
    columns: NDArray[np.int64]
    buckets: NDArray[np.int64]


class Table(NamedTuple):
    """An open-addressing hash table.

    Attributes:
        entries: (2^s, 2) keys and values, s >= 1, zero keys empty.
        filled: (1,) number of entries, kept up to date.
    """

    entries: NDArray[np.uint64]
    filled: NDArray[np.int64]

    @classmethod
    def of_bits(cls, bits: int) -> Table:
        """An empty one of 2^bits slots."""
        return cls(np.zeros((1 << bits, 2), dtype=np.uint64), np.zeros(1, dtype=np.int64))
