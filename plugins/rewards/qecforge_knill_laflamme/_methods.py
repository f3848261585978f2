"""The ways to count violations behind one face, and the choice among them, made once, by a cost estimate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from math import comb, inf
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from qecforge.errors import ConfigurationError
from qecforge_knill_laflamme._classes import ErrorClasses, error_classes

if TYPE_CHECKING:
    from qecforge_knill_laflamme._meet import MeetPlan

__all__ = ["METHODS", "Counter", "PairSums", "Walk", "choose"]

MAX_NANOSECONDS = 1e9
"""An estimate above this, per code, is refused: no training could be done with it."""
MAX_SLICED_QUBITS = 31
"""Qubits that the enumerator's five bit planes can count."""
MAX_HALF_ERRORS = 2_000_000
"""More errors than this are not hashed: their tables would take more than about 100 MB for each thread."""


class Counter(ABC):
    """Counts the violating errors of each class, for batches of codes of one shape.

    Numba kernels are imported at the first count, so that only those in use are loaded.
    """

    name: ClassVar[str]

    def __init__(self, n: int, k: int, classes: ErrorClasses) -> None:
        self.n, self.k, self.classes = n, k, classes
        self.depth = classes.depth

    @abstractmethod
    def cost(self) -> float:
        """Estimated nanoseconds per code on one core of about 3 GHz with 512-bit vectors; infinite where the method
        does not apply. What counts is the ratio between methods."""

    def count(self, words: NDArray[np.uint64], counts: NDArray[np.int64]) -> None:
        """Fill the first B columns of `counts`, (C, >= B), from (B, n, 2, W) `words`."""
        if self.depth > 0 and len(words) > 0:
            self._count(words, counts)

    @abstractmethod
    def _count(self, words: NDArray[np.uint64], counts: NDArray[np.int64]) -> None:
        """As `count`, for at least one code and one class."""


class Direct(Counter):
    """Every error of weight < d, one by one (`_direct.py`; `_by_qubit.py` where words are two machine words wide)."""

    name = "direct"

    def cost(self) -> float:
        """One error takes a fraction of a nanosecond that grows with the word's width."""
        bits = self.n + self.k
        per_error = 0.05 if bits <= 16 else 0.08 if bits <= 32 else 0.13 if bits <= 64 else 1.3
        return 20 + _errors_up_to(self.n, self.depth) * per_error

    def _count(self, words: NDArray[np.uint64], counts: NDArray[np.int64]) -> None:
        index = self.classes.index
        if words.shape[3] == 2:
            from qecforge_knill_laflamme._by_qubit import walk_errors

            no_noise, total = np.empty((0, self.n, 4)), np.empty(len(words))
            walk_errors(words, stabilizer_masks(self.k), self.depth, index, no_noise, lanes(len(words)), counts, total)
        else:
            from qecforge_knill_laflamme._direct import count_direct

            count_direct(words, self.k, self.depth, index, self._narrow, lanes(len(words)), counts)

    @cached_property
    def _narrow(self) -> NDArray[Any]:
        bits = self.n + self.k
        return np.empty(0, np.uint16 if bits <= 16 else np.uint32 if bits <= 32 else np.uint64)


class Enumerator(Counter):
    """The weight enumerator of the stabilizer group, and its MacWilliams transform (`_enumerator.py`)."""

    name = "enumerator"

    def cost(self) -> float:
        """For each 2048 stabilizers the adders, and a comparison for each bin of the histogram."""
        rows = self.n - self.k
        largest = max(self.classes.sizes(), default=0)
        if self.n > MAX_SLICED_QUBITS or rows > 30 or largest * 2**rows >= 2**62:
            return inf
        by_weight = self.classes.scheme == "weight"
        bins = self.n + 1 if by_weight else (self.n + 1) * (self.n + 2) / 2
        fills = self.n * (1 if by_weight else 2)
        filled = min(1.0, 2 ** (rows - 11))
        per_chunk = fills * (3 + 10 * filled) + bins * (5 + 12 * filled)
        cost: float = 100 + max(1.0, 2 ** (rows - 11)) * per_chunk + bins * len(self.classes) * 0.3
        return cost

    def _count(self, words: NDArray[np.uint64], counts: NDArray[np.int64]) -> None:
        from qecforge_knill_laflamme._enumerator import count_enumerator

        by_weight = self.classes.scheme == "weight"
        count_enumerator(words, self.k, by_weight, self._matrix, pieces(len(words)), counts)

    @cached_property
    def _matrix(self) -> NDArray[np.int64]:
        from qecforge_knill_laflamme._enumerator import transform

        return transform(self.classes, self.k)


class MeetInTheMiddle(Counter):
    """Errors of half the weight, hashed (`_meet.py`)."""

    name = "meet_in_the_middle"

    def cost(self) -> float:
        """One hash probe for each error of weight <= ceil((d-1)/2); dearer where the tables outgrow the caches."""
        errors = _errors_up_to(self.n, (self.depth + 1) // 2)
        if errors > MAX_HALF_ERRORS:
            return inf
        return errors * (14 if errors < 20_000 else 18 if errors < 200_000 else 40)

    def _count(self, words: NDArray[np.uint64], counts: NDArray[np.int64]) -> None:
        from qecforge_knill_laflamme._meet import count_meeting

        slots = 1 << int(2 * self._plan.starts[self._plan.stored]).bit_length()
        count_meeting(words, stabilizer_masks(self.k), self._plan, slots, pieces(len(words)), counts)

    @cached_property
    def _plan(self) -> MeetPlan:
        from qecforge_knill_laflamme._meet import plan

        return plan(self.classes)


class ByQubit(ABC):
    """Weighs errors one by one, for noise that tells qubits apart or has p_X != p_Y."""

    name: ClassVar[str]

    def __init__(self, n: int, k: int, depth: int) -> None:
        self.n, self.k, self.depth = n, k, depth
        self.classes = error_classes("weight", n, depth)

    def check(self, method: str) -> None:
        """Raise `ConfigurationError` where this would take too long, or another method was asked for."""
        if method not in ("auto", self.name):
            raise ConfigurationError(
                f"knill_laflamme: method {method} needs noise that is the same on all qubits, and the environment's "
                f"differs: set method: auto (which takes {self.name} here)"
            )
        if self.cost() > MAX_NANOSECONDS:
            raise _out_of_reach(self.n, self.k, self.depth, self.name, self.cost())

    @abstractmethod
    def cost(self) -> float:
        """As `Counter.cost`."""

    @abstractmethod
    def measure(
        self, words: NDArray[np.uint64], noise: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Violating errors per weight, (C, B), and the residual, (B,); `noise` is (B, n, 4) or (1, n, 4)."""


class Walk(ByQubit):
    """The penalty: the probabilities of all violating errors added up (`_by_qubit.py`)."""

    name = "direct"

    def cost(self) -> float:
        """A few vector operations on 64-bit lanes for each error."""
        return 1.3 * _errors_up_to(self.n, self.depth)

    def measure(
        self, words: NDArray[np.uint64], noise: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """See `ByQubit.measure`."""
        from qecforge_knill_laflamme._by_qubit import walk_errors

        size = len(words)
        counts, total = np.zeros((len(self.classes), size), np.int64), np.zeros(size)
        if self.depth > 0 and size > 0:
            masks, index = stabilizer_masks(self.k), self.classes.index
            walk_errors(words, masks, self.depth, index, noise, lanes(size), counts, total)
        return counts, total


class PairSums(ByQubit):
    """The weighted residual: p(E_i) p(E_j) over all violating pairs (`_meet.py`)."""

    name = "meet_in_the_middle"

    def cost(self) -> float:
        """Two hash probes for each error of the set, and the count that decides `solved`."""
        errors = _errors_up_to(self.n, self.depth // 2)
        return inf if errors > MAX_HALF_ERRORS else 30.0 * errors

    def measure(
        self, words: NDArray[np.uint64], noise: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """See `ByQubit.measure`."""
        from qecforge_knill_laflamme._meet import sum_pairs

        size = len(words)
        counts, total = np.zeros((len(self.classes), size), np.int64), np.zeros(size)
        if self.depth >= 2 and size > 0:
            parents, factors = self._errors
            slots = 1 << (2 * len(parents) + 2).bit_length()
            sum_pairs(words, stabilizer_masks(self.k), parents, factors, noise, slots, pieces(size), total)
        self._counter.count(words, counts)
        return counts, 2.0**self.k * total

    @cached_property
    def _errors(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        from qecforge_knill_laflamme._meet import half_errors

        parents, factors, _ = half_errors(self.classes, self.depth // 2)
        return parents, factors

    @cached_property
    def _counter(self) -> Counter:
        return choose(self.n, self.k, self.classes)


METHODS: dict[str, type[Counter]] = {method.name: method for method in (Direct, Enumerator, MeetInTheMiddle)}


def choose(n: int, k: int, classes: ErrorClasses, method: str = "auto") -> Counter:
    """The cheapest counter for codes of this shape by estimate, or the one asked for.

    Raises:
        ConfigurationError: The method does not apply, or the estimate is beyond `MAX_NANOSECONDS` per code.
    """
    counters = {name: kind(n, k, classes) for name, kind in METHODS.items()}
    chosen = min(counters.values(), key=lambda counter: counter.cost()) if method == "auto" else counters[method]
    if chosen.cost() > MAX_NANOSECONDS:
        raise _out_of_reach(n, k, classes.depth, method, chosen.cost())
    return chosen


def _out_of_reach(n: int, k: int, depth: int, method: str, cost: float) -> ConfigurationError:
    return ConfigurationError(
        f"knill_laflamme: [[{n},{k},{depth + 1}]] is out of reach for method {method} (estimate: {cost / 1e9:.3g} s "
        f"per code): lower target_distance{'' if method == 'auto' else ', or set method: auto'}"
    )


def stabilizer_masks(k: int) -> tuple[np.uint64, np.uint64]:
    """Which bits of machine words 0 and 1 belong to stabilizer rows."""
    rows = 2**128 - 4**k
    return np.uint64(rows % 2**64), np.uint64(rows >> 64)


def lanes(batch: int) -> int:
    """Codes per block of the kernels whose SIMD lanes are the codes: a multiple of 32, and a block for each thread."""
    from numba import get_num_threads

    share = -(-batch // int(get_num_threads()))
    return min(128, max(32, -(-share // 32) * 32))


def pieces(batch: int) -> int:
    """Into how many pieces to cut a batch for the threads: a few for each, to even out the load; one for one thread."""
    from numba import get_num_threads

    threads = int(get_num_threads())
    return 1 if threads == 1 else min(batch, 4 * threads)


def _errors_up_to(n: int, weight: int) -> int:
    return sum(comb(n, w) * 3**w for w in range(1, weight + 1))
