"""The choice among the ways to count violations, made once, by a cost estimate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import comb

import numpy as np
from numpy.typing import NDArray

from qecforge_knill_laflamme._classes import ErrorClasses

__all__ = ["Counter", "Direct"]


class Counter(ABC):
    """Counts the violating errors of each class, for a batch of codes of one shape."""

    name: str

    def __init__(self, n: int, k: int, classes: ErrorClasses) -> None:
        self.n, self.k, self.classes = n, k, classes

    @abstractmethod
    def cost(self) -> float:
        """Estimated nanoseconds per code on one core; infinite where the method does not apply."""

    @abstractmethod
    def count(self, words: NDArray[np.uint64], counts: NDArray[np.int64]) -> None:
        """Fill the first B columns of `counts`, (C, >= B), from (B, n, 2, W) `words`."""


def narrowest(bits: int) -> NDArray[np.unsignedinteger]:
    """An empty array of the narrowest unsigned type that holds so many bits."""
    for dtype in (np.uint16, np.uint32, np.uint64):
        if bits <= 8 * dtype().itemsize:
            return np.empty(0, dtype)
    raise ValueError(f"{bits} bits do not fit one machine word")


class Direct(Counter):
    """Every error of weight < d, one by one (`_direct.py`)."""

    name = "direct"

    def cost(self) -> float:
        """One error takes a fraction of a nanosecond that grows with the word's width."""
        errors = sum(comb(self.n, w) * 3**w for w in range(1, self.classes.depth + 1))
        per_error = 0.05 if self.n + self.k <= 16 else 0.08 if self.n + self.k <= 32 else 0.13
        return errors * per_error

    def count(self, words: NDArray[np.uint64], counts: NDArray[np.int64]) -> None:
        """See `Counter.count`."""
        from qecforge_knill_laflamme._direct import count_direct

        narrow = narrowest(self.n + self.k)
        count_direct(words, self.k, self.classes.depth, self.classes.index, narrow, counts)


def choose(n: int, k: int, classes: ErrorClasses, method: str) -> Counter:
    """The cheapest counter for codes of this shape, or the one asked for."""
    return Direct(n, k, classes)
