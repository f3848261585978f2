"""The circuit distance: the fewest faults that flip a logical observable and no detector.

A fault is one mechanism of the detector error model: one Pauli error at one place, one flipped measurement or reset.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from qecforge.evaluation.error_rates.circuits._faults import FaultTable, fault_table

if TYPE_CHECKING:
    import stim

__all__ = ["CircuitDistance", "circuit_distance", "graphlike_distance", "least_undetectable", "undetectable_sets"]

_MOST_PAIRS = 8_000_000
_MOST_TRIPLES = 60_000_000


@dataclass(frozen=True)
class CircuitDistance:
    """What is known of a circuit distance.

    Attributes:
        lower: Every set of fewer faults was excluded by enumeration.
        upper: The size of an undetectable set that was found, or None.
    """

    lower: int
    upper: int | None

    @property
    def value(self) -> int:
        """The upper bound where there is one, else the lower."""
        return self.lower if self.upper is None else self.upper

    @property
    def kind(self) -> Literal["exact", "upper_bound", "lower_bound"]:
        """Whether `value` is exact or a bound; exact where the bounds are equal."""
        if self.upper is None:
            return "lower_bound"
        return "exact" if self.lower == self.upper else "upper_bound"


def circuit_distance(circuit: stim.Circuit, *, limit: int = 5) -> CircuitDistance:
    """Prove what enumeration can prove, then look for a set with stim.

    All sets of one to four faults are enumerated (pairs against pairs), of five where their number allows; circuits
    with more than about 4000 mechanisms only up to three faults, beyond about 12 000 up to two. If nothing is found up
    to there, stim's graph-like and truncated hyperedge searches give an upper bound.

    Args:
        circuit: Detectors, observables and noise.
        limit: The largest set to enumerate, 1..5.
    """
    found = least_undetectable(fault_table(circuit.detector_error_model(approximate_disjoint_errors=True)), limit)
    return found if found.upper is not None else CircuitDistance(found.lower, _search(circuit))


def least_undetectable(table: FaultTable, limit: int = 5) -> CircuitDistance:
    """What enumeration alone tells, as far as `circuit_distance` takes it."""
    excluded = 0
    for weight, found in _enumerate(table, limit):
        if found:
            return CircuitDistance(weight, weight)
        excluded = weight
    return CircuitDistance(excluded + 1, None)


def graphlike_distance(table: FaultTable) -> int | None:
    """The fewest mechanisms of at most two detectors each that flip an observable and no detector, exactly; None where
    no number of them does."""
    import stim

    model = stim.DetectorErrorModel()
    for detectors, observables in zip(table.detectors, table.observables, strict=True):
        if len(detectors) <= 2:
            targets = [stim.target_relative_detector_id(detector) for detector in detectors]
            flipped = [bit for bit in range(table.num_observables) if observables >> bit & 1]
            model.append("error", 0.01, [*targets, *map(stim.target_logical_observable_id, flipped)])
    try:
        return len(model.shortest_graphlike_error())
    except ValueError:  # stim's answer where there is none
        return None


def undetectable_sets(table: FaultTable, weight: int) -> int:
    """How many sets of exactly `weight` (1, 2 or 3) mechanisms flip an observable and no detector."""
    words, observables = table.words, table.observable_words
    if weight == 1:
        return int(np.count_nonzero((words == 0) & (observables != 0)))
    by_word = _Groups(words, observables)
    if weight == 2:
        return by_word.differing_pairs()
    count = 0
    for left, right in _pairs(len(table)):
        count += by_word.partners(words[left] ^ words[right], observables[left] ^ observables[right])
    return count // 3


def _enumerate(table: FaultTable, limit: int) -> Iterator[tuple[int, bool]]:
    """(weight, whether an undetectable set of that many faults exists), ascending, as far as affordable.

    Each step may assume that no smaller set exists.
    """
    count = len(table)
    for weight in range(1, min(limit, 3) + 1):
        if weight == 3 and count * (count - 1) // 2 > 10 * _MOST_PAIRS:
            return
        yield weight, undetectable_sets(table, weight) > 0
    pairs = count * (count - 1) // 2
    if limit < 4 or pairs > _MOST_PAIRS:
        return
    left, right = np.triu_indices(count, 1)
    words = table.words[left] ^ table.words[right]
    observables = table.observable_words[left] ^ table.observable_words[right]
    by_word = _Groups(words, observables)
    yield 4, by_word.any_differing()
    if limit < 5 or count * (count - 1) * (count - 2) // 6 > _MOST_TRIPLES:
        return
    found = False
    for first in range(count):
        rest = slice(_first_pair_beyond(first, count), None)
        if by_word.partners(words[rest] ^ table.words[first], observables[rest] ^ table.observable_words[first]):
            found = True
            break
    yield 5, found


def _first_pair_beyond(first: int, count: int) -> int:
    """Index in `np.triu_indices(count, 1)` of the pair (first + 1, first + 2)."""
    return sum(count - 1 - row for row in range(first + 1))


def _pairs(count: int) -> Iterator[tuple[int, slice]]:
    for left in range(count - 1):
        yield left, slice(left + 1, count)


class _Groups:
    """Entries (word, observables), grouped by word."""

    def __init__(self, words: NDArray[np.uint64], observables: NDArray[np.uint64]) -> None:
        order = np.lexsort((observables, words))
        self._words = words[order]
        self._observables = observables[order]
        self._distinct, self._starts = np.unique(self._words, return_index=True)
        self._ends = np.append(self._starts[1:], len(self._words))

    def any_differing(self) -> bool:
        """Whether two entries of one word have different observables."""
        same = self._words[1:] == self._words[:-1]
        return bool(np.any(same & (self._observables[1:] != self._observables[:-1])))

    def differing_pairs(self) -> int:
        """How many pairs of entries share a word and differ in their observables."""
        sizes = self._ends - self._starts
        pairs = int((sizes * (sizes - 1) // 2).sum())
        change = (self._words[1:] != self._words[:-1]) | (self._observables[1:] != self._observables[:-1])
        runs = np.diff(np.concatenate([[0], np.flatnonzero(change) + 1, [len(self._words)]]))
        return pairs - int((runs * (runs - 1) // 2).sum())

    def partners(self, words: NDArray[np.uint64], observables: NDArray[np.uint64]) -> int:
        """How many (query, entry) pairs share a word and differ in their observables."""
        at = np.searchsorted(self._distinct, words)
        at[at == len(self._distinct)] = 0
        (hits,) = np.nonzero(self._distinct[at] == words)
        return sum(
            int(np.count_nonzero(self._observables[self._starts[at[hit]] : self._ends[at[hit]]] != observables[hit]))
            for hit in hits
        )


def _search(circuit: stim.Circuit) -> int | None:
    found: list[int] = []
    with contextlib.suppress(ValueError):  # stim's answer where there is no graph-like logical error
        found.append(len(circuit.shortest_graphlike_error(ignore_ungraphlike_errors=True)))
    for size in (4, 6):
        try:
            found.append(
                len(
                    circuit.search_for_undetectable_logical_errors(
                        dont_explore_detection_event_sets_with_size_above=size,
                        dont_explore_edges_with_degree_above=size,
                        dont_explore_edges_increasing_symptom_degree=False,
                    )
                )
            )
        except ValueError:
            continue  # none within this truncation
        if found:
            break
    return min(found, default=None)
