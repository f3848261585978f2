"""Compiled: changes of sequences, and which are accepted. Each chain draws from a generator of its own, so that what
comes out does not depend on threads or on how tries are cut into batches."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["Alphabet", "Chains", "alphabet", "propose", "settle", "shorten", "start"]

REPLACED, NEIGHBOUR, SWAPPED = 0.45, 0.6, 0.75
"""Where the kinds of change end, of a uniform number: another action at one place; one part of an action changed; two
actions swapped; else one action moved to another place, and half of these times drawn anew too [ours]."""


class Alphabet(NamedTuple):
    """Which actions there are to draw.

    Attributes:
        thresholds: (K,) float64, cumulative weights of the kinds, the last one 1.
        kind_starts: (K + 1,) int64 into `of_kind`, (A,): the actions of each kind.
        near_starts: (A + 1,) int64 into `near`: actions of the same kind that differ in one part.
    """

    thresholds: NDArray[np.float64]
    kind_starts: NDArray[np.int64]
    of_kind: NDArray[np.int64]
    near_starts: NDArray[np.int64]
    near: NDArray[np.int64]


class Chains(NamedTuple):
    """State of B chains.

    Attributes:
        sequences: (B, L) int64; lengths: (B,) int64, how many of each row count.
        values: (B,) float64, of the sequences as they are.
        tries: (B,) int64 since the chain started; 0: it is to be started.
        untried: (B,) bool, whether the sequence's value is not known yet: the next try is the sequence itself.
        generators: (B,) uint64, state of each chain's random generator.
    """

    sequences: NDArray[np.int64]
    lengths: NDArray[np.int64]
    values: NDArray[np.float64]
    tries: NDArray[np.int64]
    untried: NDArray[np.bool_]
    generators: NDArray[np.uint64]


def alphabet(factors: NDArray[np.int64], weights: tuple[float, ...]) -> Alphabet:
    """From (A, F) factors of actions, the kind first, and the weight of each kind in ascending order of its number."""
    kinds = np.unique(factors[:, 0])
    shares = np.array(weights or [1.0] * len(kinds), np.float64)
    members = [np.flatnonzero(factors[:, 0] == kind) for kind in kinds]
    near: list[NDArray[np.int64]] = []
    for row in factors:
        different = (factors != row).sum(axis=1)
        near.append(np.flatnonzero((different == 1) & (factors[:, 0] == row[0])))
    return Alphabet(
        thresholds=np.cumsum(shares / shares.sum()),
        kind_starts=np.cumsum([0, *map(len, members)]),
        of_kind=np.concatenate(members),
        near_starts=np.cumsum([0, *map(len, near)]),
        near=np.concatenate([np.zeros(0, np.int64), *near]),
    )


@njit(cache=True, nogil=True)
def _uniform(generators: Any, b: int) -> Any:
    """The next number in [0, 1) of chain b: splitmix64 (Steele, Lea and Flood 2014)."""
    generators[b] += np.uint64(0x9E3779B97F4A7C15)
    value = generators[b]
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    value ^= value >> np.uint64(31)
    return (value >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@njit(cache=True, nogil=True)
def _below(generators: Any, b: int, count: int) -> Any:
    return min(count - 1, int(_uniform(generators, b) * count))


@njit(cache=True, nogil=True)
def _drawn(generators: Any, b: int, letters: Any) -> Any:
    """An action: its kind first."""
    u = _uniform(generators, b)
    kind = 0
    while kind < letters.thresholds.shape[0] - 1 and u >= letters.thresholds[kind]:
        kind += 1
    lo, hi = letters.kind_starts[kind], letters.kind_starts[kind + 1]
    return letters.of_kind[lo + _below(generators, b, hi - lo)]


@njit(cache=True, nogil=True)
def shorten(chains: Any, b: int, length: int) -> None:
    """Leave out actions at places that are drawn, until the sequence has this length; its value is then not known."""
    sequences, lengths = chains.sequences, chains.lengths
    while lengths[b] > length:
        at = _below(chains.generators, b, lengths[b])
        for i in range(at, lengths[b] - 1):
            sequences[b, i] = sequences[b, i + 1]
        lengths[b] -= 1
        chains.untried[b] = True


@njit(cache=True, nogil=True)
def start(chains: Any, b: int, length: int, best: Any, from_best: float, letters: Any) -> None:
    """A new sequence of this length for chain b: the best (G,) without some of its actions, or one that is drawn."""
    if best.shape[0] > length and _uniform(chains.generators, b) < from_best:
        for i in range(best.shape[0]):
            chains.sequences[b, i] = best[i]
        chains.lengths[b] = best.shape[0]
        shorten(chains, b, length)
    else:
        for i in range(length):
            chains.sequences[b, i] = _drawn(chains.generators, b, letters)
        chains.lengths[b] = length
    chains.untried[b] = True


@njit(cache=True, nogil=True)
def propose(chains: Any, length: int, best: Any, from_best: float, letters: Any, proposed: Any) -> None:
    """Write each chain's next sequence to `proposed` (B, L): a change of its own, or a start.

    Args:
        length: Of sequences that start.
        best: (G,) int64, the shortest so far that reached the target; (0,) while there is none.
    """
    generators = chains.generators
    for b in range(proposed.shape[0]):
        if chains.tries[b] == 0:
            start(chains, b, length, best, from_best, letters)
        L = chains.lengths[b]
        for i in range(L):
            proposed[b, i] = chains.sequences[b, i]
        if chains.untried[b]:
            continue
        u = _uniform(generators, b)
        i = _below(generators, b, L)
        if u < REPLACED:
            proposed[b, i] = _drawn(generators, b, letters)
        elif u < NEIGHBOUR:
            lo, hi = letters.near_starts[proposed[b, i]], letters.near_starts[proposed[b, i] + 1]
            if hi > lo:
                proposed[b, i] = letters.near[lo + _below(generators, b, hi - lo)]
        else:
            j = _below(generators, b, L)
            moved = proposed[b, i]
            if u < SWAPPED:
                proposed[b, i] = proposed[b, j]
            elif i < j:
                for at in range(i, j):
                    proposed[b, at] = proposed[b, at + 1]
            else:
                for at in range(i, j, -1):
                    proposed[b, at] = proposed[b, at - 1]
            proposed[b, j] = _drawn(generators, b, letters) if u >= (1.0 + SWAPPED) / 2.0 else moved


@njit(cache=True, nogil=True)
def settle(chains: Any, proposed: Any, values: Any, cooling: int, hottest: float, coldest: float) -> Any:
    """Accept or refuse each chain's try by Metropolis' rule, and cool it.

    Args:
        values: (B,) float32, of the tries; larger is better.

    Returns:
        How many changes were accepted.
    """
    accepted = 0
    for b in range(proposed.shape[0]):
        gain = np.float64(values[b]) - chains.values[b]
        temperature = hottest * (coldest / hottest) ** (chains.tries[b] / cooling)
        drawn = _uniform(chains.generators, b)
        if chains.untried[b] or gain >= 0.0 or drawn < math.exp(gain / temperature):
            accepted += not chains.untried[b]
            chains.values[b] = values[b]
            chains.untried[b] = False
            for i in range(chains.lengths[b]):
                chains.sequences[b, i] = proposed[b, i]
        chains.tries[b] += 1
        if chains.tries[b] >= cooling:
            chains.tries[b] = 0
    return accepted
