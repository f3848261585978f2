"""Compiled tables of `ml_lookup`: sums of odds by syndrome word, in an open-addressing hash table."""

from __future__ import annotations

from typing import TypeAlias

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["Table", "score", "tabulate"]

Table: TypeAlias = tuple[NDArray[np.uint64], NDArray[np.float64], NDArray[np.int64]]
"""(words (U,), sums (U, 2^observables), slots): `slots` maps a hashed word to its row, -1 where free."""


def tabulate(
    words: NDArray[np.uint64], observables: NDArray[np.uint64], odds: NDArray[np.float64], num_observables: int
) -> Table:
    """Sum `odds` of equal word and observables."""
    distinct, rows = np.unique(words, return_inverse=True)
    sums = np.zeros((len(distinct), 2**num_observables))
    np.add.at(sums, (rows, observables.astype(np.int64)), odds)
    size = 16
    while size < 4 * len(distinct):
        size *= 2
    return distinct, sums, _slots(distinct, size)


@numba.njit(cache=True)
def _slots(words, size):  # type: ignore[no-untyped-def]
    slots = np.full(size, -1, np.int64)
    mask = size - 1
    for row in range(len(words)):
        at = _hash(words[row], mask)
        while slots[at] >= 0:
            at = (at + 1) & mask
        slots[at] = row
    return slots


@numba.njit(inline="always")
def _hash(word, mask):  # type: ignore[no-untyped-def]
    mixed = (word ^ (word >> np.uint64(29))) * np.uint64(0x9E3779B97F4A7C15)
    return np.int64((mixed >> np.uint64(20)) & np.uint64(mask))


@numba.njit(inline="always")
def _find(word, words, slots):  # type: ignore[no-untyped-def]
    mask = len(slots) - 1
    at = _hash(word, mask)
    while slots[at] >= 0:
        if words[slots[at]] == word:
            return slots[at]
        at = (at + 1) & mask
    return -1


@numba.njit(cache=True)
def _score(syndromes, words, observables, odds, single, cubes, pairs, scores):  # type: ignore[no-untyped-def]
    values = scores.shape[1]
    squares = (odds * odds).sum()
    for shot in range(len(syndromes)):
        syndrome = syndromes[shot]
        out = scores[shot]
        if syndrome == 0:
            out[0] += 1.0
        row = _find(syndrome, single[0], single[2])
        if row >= 0:
            for value in range(values):
                # e1, and from e3 the terms -e1 p2 / 3
                out[value] += single[1][row, value] * (1.0 - squares / 3.0)
        row = _find(syndrome, cubes[0], cubes[2])
        if row >= 0:
            for value in range(values):
                out[value] += cubes[1][row, value] / 3.0
        row = _find(syndrome, pairs[0], pairs[2])
        if row >= 0:
            for value in range(values):
                out[value] += pairs[1][row, value]
        for fault in range(len(words)):
            row = _find(syndrome ^ words[fault], pairs[0], pairs[2])
            if row >= 0:
                for value in range(values):
                    out[value ^ observables[fault]] += odds[fault] * pairs[1][row, value] / 3.0
        if out.max() > 0.0:
            continue
        for pair in range(len(pairs[0])):
            row = _find(syndrome ^ pairs[0][pair], pairs[0], pairs[2])
            if row >= 0:
                for first in range(values):
                    for second in range(values):
                        out[first ^ second] += pairs[1][pair, first] * pairs[1][row, second]


def score(
    syndromes: NDArray[np.uint64],
    words: NDArray[np.uint64],
    observables: NDArray[np.uint64],
    odds: NDArray[np.float64],
    single: Table,
    cubes: Table,
    pairs: Table,
) -> NDArray[np.float64]:
    """(shots, 2^observables) float64: for each syndrome the summed odds of each value of the observables.

    All zero where no set of at most four faults explains the syndrome. Sums over sets of four are scaled by 6.
    """
    scores = np.zeros((len(syndromes), single[1].shape[1]))
    _score(syndromes, words, observables.astype(np.int64), odds, single, cubes, pairs, scores)
    return scores
