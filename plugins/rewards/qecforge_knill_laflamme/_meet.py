"""Counting violations by meeting in the middle: errors of half the weight, hashed by their stabilizer part.

Two errors of weight <= b = ceil((d-1)/2) whose words agree in the stabilizer bits and differ in the logical ones have
a violating product, of weight < d. So instead of all errors up to weight d - 1, only those up to weight b are
looked at, once each; a hash table by stabilizer part tells with how many earlier ones each one pairs up.

The two factors' supports may overlap, and a product has many factorisations. Both are settled by arithmetic instead
of by looking at pairs: if M[i, j] counts the violating ordered pairs of one error of class i and one of class j, then
M[i, j] = sum_c L[c; i, j] V_c with V_c the violating errors of class c, and L (`pair_counts`) depends on n alone.
Taken in ascending weight, each equation has one unknown. All of it in exact integers, whatever the codes' degeneracy.

The weighted residual *is* such a sum over pairs: `sum_pairs` takes it from the same tables, for any noise.
"""

from __future__ import annotations

from itertools import combinations, product
from typing import Any, NamedTuple

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from qecforge_knill_laflamme._classes import ErrorClasses, pair_counts

__all__ = ["MeetPlan", "count_meeting", "half_errors", "plan", "sum_pairs"]

_U = np.uint64
_NOISE_COLUMN = np.array([3, 1, 2])  # of the Paulis Z, X, Y, as factors number them


class MeetPlan(NamedTuple):
    """What does not depend on the code. Errors e = 0..E-1 have weight 1..b, ascending in class.

    Attributes:
        parents: (E,) int32: the error without its last factor; E for errors of weight 1.
        factors: (E,) int32: the last factor, 3 q + (0: Z, 1: X, 2: Y).
        starts: (S + 1,) int64: the errors of class c are starts[c]..starts[c + 1] - 1; S classes have weight <= b.
        stored: How many classes go into the table (weight <= floor(depth / 2)).
        first: The first class of weight b.
        equations: (C - S, 3) int64: for each class of weight > b, in order: the table class i and streamed class j
            of its equation, and the coefficient of its own unknown.
        lower: (C - S, C) int64: coefficients of the classes solved before it.
    """

    parents: NDArray[np.int32]
    factors: NDArray[np.int32]
    starts: NDArray[np.int64]
    stored: int
    first: int
    equations: NDArray[np.int64]
    lower: NDArray[np.int64]


def half_errors(classes: ErrorClasses, top: int) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    """`parents`, `factors` and `starts` of `MeetPlan` for all errors of weight 1..top."""
    index = classes.index
    errors: list[tuple[int, tuple[int, ...]]] = []
    for w in range(1, top + 1):
        of_weight = []
        for qubits in combinations(range(classes.n), w):
            for paulis in product(range(3), repeat=w):
                z = paulis.count(0)
                of_weight.append((int(index[z, w - z]), tuple(3 * q + p for q, p in zip(qubits, paulis, strict=True))))
        errors += sorted(of_weight)
    position = {factors: e for e, (_, factors) in enumerate(errors)}
    parents = np.array([position.get(factors[:-1], len(errors)) for _, factors in errors], dtype=np.int32)
    last = np.array([factors[-1] for _, factors in errors], dtype=np.int32)
    class_of = np.array([c for c, _ in errors])
    starts = np.searchsorted(class_of, np.arange(class_of[-1] + 2)).astype(np.int64)
    return parents, last, starts


def plan(classes: ErrorClasses) -> MeetPlan:
    """The plan for these classes (depth >= 2)."""
    low, high = classes.depth // 2, (classes.depth + 1) // 2
    parents, factors, starts = half_errors(classes, high)
    members, weights = classes.members, classes.weights
    equations, lower = [], []
    for c in np.flatnonzero(weights > high).tolist():
        z, y = members[c].tolist()
        # any split of the class into one of weight `high` and the rest
        z_j = max(0, high - y) if classes.scheme == "bias" else 0
        y_j = high - z_j
        i, j = int(classes.index[z - z_j, y - y_j]), int(classes.index[z_j, y_j])
        row = [_pairs_making(classes, other, i, j) for other in range(len(classes))]
        equations.append((i, j, row[c]))
        lower.append([ways if other < c else 0 for other, ways in enumerate(row)])
    return MeetPlan(
        parents,
        factors,
        starts,
        int(np.count_nonzero(weights <= low)),
        int(np.count_nonzero(weights < high)),
        np.array(equations, dtype=np.int64).reshape(-1, 3),
        np.array(lower, dtype=np.int64).reshape(-1, len(classes)),
    )


def _pairs_making(classes: ErrorClasses, product_class: int, i: int, j: int) -> int:
    """L[product_class; i, j]: ordered pairs from classes i and j whose product is a given error."""
    z, y = classes.members[product_class].tolist()
    counts = pair_counts(classes.n, (classes.depth + 1) // 2, z, y)
    if classes.scheme == "bias":
        return int(counts[(*classes.members[i], *classes.members[j])])
    in_i, in_j = (np.add.outer(np.arange(len(counts)), np.arange(len(counts))) == classes.weights[c] for c in (i, j))
    return int(counts[in_i][:, in_j].sum())


@njit(nogil=True, cache=True)
def _find(table: Any, low: Any, high: Any, error: int, mask_low: Any, mask_high: Any) -> Any:
    """The slot that holds an error with the same masked word, or the empty one (-1) where it belongs.

    Multiplicative hashing and linear probing; `table` has a power-of-two length and is never more than half full.
    `high` is empty where words are one machine word wide.
    """
    wide = high.shape[0] > 0
    key_low = low[error] & mask_low
    key_high = high[error] & mask_high if wide else _U(0)
    mixed = key_low ^ (key_high * _U(0xC2B2AE3D27D4EB4F))
    mixed = (mixed ^ (mixed >> _U(32))) * _U(0x9E3779B97F4A7C15)
    slot = np.int64(mixed >> _U(32)) & (table.shape[0] - 1)
    while True:
        other = table[slot]
        if other < 0 or ((low[other] & mask_low) == key_low and (not wide or (high[other] & mask_high) == key_high)):
            return slot
        slot = (slot + 1) & (table.shape[0] - 1)


@njit(nogil=True, cache=True)
def _write_words(columns: Any, word: int, parents: Any, factors: Any, out: Any) -> None:
    """Machine word `word` of each error's word, from one code's `columns` (n, 2, W); the identity comes last."""
    size = parents.shape[0]
    out[size] = _U(0)
    for e in range(size):
        q, pauli = factors[e] // 3, factors[e] % 3
        own = _U(0)
        if pauli != 0:
            own ^= columns[q, 0, word]
        if pauli != 1:
            own ^= columns[q, 1, word]
        out[e] = out[parents[e]] ^ own


@njit(nogil=True, cache=True)
def _count_halves(low: Any, high: Any, mask_low: Any, mask_high: Any, starts: Any, found: Any) -> None:
    """Violating errors of the classes of weight <= b."""
    wide = high.shape[0] > 0
    for c in range(starts.shape[0] - 1):
        total = 0
        for e in range(starts[c], starts[c + 1]):
            if wide:
                seen, acts = (low[e] & mask_low) | (high[e] & mask_high), low[e] | high[e]
            else:
                seen, acts = low[e] & mask_low, low[e]
            total += seen == _U(0) and acts != _U(0)
        found[c] = total


@njit(nogil=True, cache=True)
def _count_pairs(
    low: Any, high: Any, mask_low: Any, mask_high: Any, starts: Any, first: int, tables: Any, per_class: Any, pairs: Any
) -> None:
    """Add to `pairs[i, j]` the violating pairs of a stored error of class i and a later one of class j >= first.

    `tables`: by stabilizer part, and by whole word for those words that share their stabilizer part with another one;
    both empty before and after. `per_class`: for the error that opened a slot, how many errors of each class have its
    stabilizer part, and its whole word.
    """
    by_syndrome, by_word = tables
    agreeing, same = per_class
    stored, wide, used, everything = pairs.shape[0], high.shape[0] > 0, False, ~_U(0)
    for c in range(starts.shape[0] - 1):
        if c >= stored and c < first:
            continue
        for e in range(starts[c], starts[c + 1]):
            slot = _find(by_syndrome, low, high, e, mask_low, mask_high)
            group = by_syndrome[slot]
            if group < 0:
                if c < stored:
                    by_syndrome[slot] = e
                    agreeing[e], same[e] = 0, 0
                    agreeing[e, c], same[e, c] = 1, 1
                continue
            twin = group
            if low[e] != low[group] or (wide and high[e] != high[group]):
                slot = _find(by_word, low, high, e, everything, everything)
                twin = by_word[slot]
                if twin < 0 and c < stored:
                    by_word[slot], used, twin = e, True, e
                    same[e] = 0
            if c >= first:
                for i in range(stored):
                    pairs[i, c] += agreeing[group, i] - (same[twin, i] if twin >= 0 else 0)
            if c < stored:
                agreeing[group, c] += 1
                same[twin, c] += 1
    by_syndrome[:] = -1
    if used:
        by_word[:] = -1


@njit(nogil=True, cache=True)
def _solve(pairs: Any, first: int, equations: Any, lower: Any, found: Any) -> None:
    """The classes of weight > b, each from its equation and those before it."""
    done = found.shape[0] - equations.shape[0]
    for row in range(equations.shape[0]):
        i, j = equations[row, 0], equations[row, 1]
        total = pairs[i, j]
        if i >= first:  # both orders count
            total += pairs[j, i]
        for c in range(done + row):
            total -= lower[row, c] * found[c]
        found[done + row] = total // equations[row, 2]


@njit(nogil=True, cache=True)
def _meet_block(block: int, blocks: int, words: Any, masks: Any, plan: MeetPlan, slots: int, counts: Any) -> None:
    parents, factors, starts, stored, first, equations, lower = plan
    batch, wide, errors = words.shape[0], words.shape[3] == 2, parents.shape[0]
    mask_low, mask_high = masks
    low, high = np.empty(errors + 1, _U), np.empty(errors + 1 if wide else 0, _U)
    tables = (np.full(slots, -1, np.int32), np.full(slots, -1, np.int32))
    entries = starts[stored]
    per_class = (np.empty((entries, stored), np.int32), np.empty((entries, stored), np.int32))
    pairs = np.empty((stored, starts.shape[0] - 1), np.int64)
    found = np.empty(counts.shape[0], np.int64)
    for b in range(batch * block // blocks, batch * (block + 1) // blocks):
        _write_words(words[b], 0, parents, factors, low)
        if wide:
            _write_words(words[b], 1, parents, factors, high)
        _count_halves(low, high, mask_low, mask_high, starts, found)
        if equations.shape[0] > 0:
            pairs[:] = 0
            _count_pairs(low, high, mask_low, mask_high, starts, first, tables, per_class, pairs)
            _solve(pairs, first, equations, lower, found)
        for c in range(found.shape[0]):
            counts[c, b] = found[c]


@njit(nogil=True, parallel=True, cache=True)
def count_meeting(words: Any, masks: Any, plan: MeetPlan, slots: int, blocks: int, counts: Any) -> None:
    """Violating errors per class of each code.

    Args:
        words: (B, n, 2, W) uint64, as in `TableauBatch`.
        masks: The stabilizers' bits in machine words 0 and 1.
        slots: Length of the hash tables, a power of two, at least twice the errors stored.
        blocks: Into how many pieces the batch is cut for the threads.
        counts: (C, >= B) int64, filled.
    """
    if blocks == 1:  # in the calling thread: waking another takes longer
        _meet_block(0, 1, words, masks, plan, slots, counts)
    else:
        for block in prange(blocks):
            _meet_block(block, blocks, words, masks, plan, slots, counts)


@njit(nogil=True, cache=True)
def _weigh_errors(noise: Any, parents: Any, factors: Any, between: Any, weights: Any) -> None:
    """p(E) of each error, the identity last, from one code's (n, 4) noise. `between` is scratch, (n + 1, n + 1)."""
    n, size = noise.shape[0], parents.shape[0]
    for i in range(n + 1):
        between[i, i] = 1.0
        for q in range(i, n):
            between[i, q + 1] = between[i, q] * noise[q, 0]
    weights[size] = 1.0
    for e in range(size):  # first over the qubits up to the last factor's
        q, parent = factors[e] // 3, parents[e]
        begin = factors[parent] // 3 + 1 if parent < size else 0
        weights[e] = weights[parent] * between[begin, q] * noise[q, _NOISE_COLUMN[factors[e] % 3]]
    for e in range(size):
        weights[e] *= between[factors[e] // 3 + 1, n]
    weights[size] = between[0, n]


@njit(nogil=True, cache=True)
def _sum_violating_pairs(
    low: Any, high: Any, mask_low: Any, mask_high: Any, weights: Any, tables: Any, sums: Any
) -> float:
    """Sum of weights[i] * weights[j] over ordered violating pairs, the identity (the last error) included."""
    by_syndrome, by_word = tables
    agreeing, same = sums
    wide, used, everything, total = high.shape[0] > 0, False, ~_U(0), 0.0
    for e in range(weights.shape[0]):
        weight = weights[e]
        slot = _find(by_syndrome, low, high, e, mask_low, mask_high)
        group = by_syndrome[slot]
        if group < 0:
            by_syndrome[slot] = e
            agreeing[e], same[e] = weight, weight
            continue
        twin = group
        if low[e] != low[group] or (wide and high[e] != high[group]):
            slot = _find(by_word, low, high, e, everything, everything)
            twin = by_word[slot]
            if twin < 0:
                by_word[slot], used, twin = e, True, e
                same[e] = 0.0
        total += weight * (agreeing[group] - same[twin])
        agreeing[group] += weight
        same[twin] += weight
    by_syndrome[:] = -1
    if used:
        by_word[:] = -1
    return 2.0 * total


@njit(nogil=True, parallel=True, cache=True)
def sum_pairs(
    words: Any, masks: Any, parents: Any, factors: Any, noise: Any, slots: int, blocks: int, total: Any
) -> None:
    """The sum of p(E_i) p(E_j) over ordered violating pairs of Paulis of weight 0..t.

    Args:
        words: (B, n, 2, W) uint64, as in `TableauBatch`.
        masks: The stabilizers' bits in machine words 0 and 1.
        parents, factors: `half_errors` of weight up to t.
        noise: (B, n, 4), or (1, n, 4) where shared.
        slots: Length of the hash tables, a power of two, at least twice the errors, the identity included.
        blocks: Into how many pieces the batch is cut for the threads.
        total: (>= B,) float64, filled.
    """
    batch, n, wide, errors = words.shape[0], words.shape[1], words.shape[3] == 2, parents.shape[0]
    mask_low, mask_high = masks
    for block in prange(blocks):
        low, high = np.empty(errors + 1, _U), np.empty(errors + 1 if wide else 0, _U)
        tables = (np.full(slots, -1, np.int32), np.full(slots, -1, np.int32))
        sums = (np.empty(errors + 1, np.float64), np.empty(errors + 1, np.float64))
        between, weights = np.empty((n + 1, n + 1), np.float64), np.empty(errors + 1, np.float64)
        for b in range(batch * block // blocks, batch * (block + 1) // blocks):
            _write_words(words[b], 0, parents, factors, low)
            if wide:
                _write_words(words[b], 1, parents, factors, high)
            _weigh_errors(noise[0 if noise.shape[0] == 1 else b], parents, factors, between, weights)
            total[b] = _sum_violating_pairs(low, high, mask_low, mask_high, weights, tables, sums)
