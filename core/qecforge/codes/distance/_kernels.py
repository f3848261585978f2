"""Compiled loops of the distance methods. Importing this module imports numba.

The loops release the GIL, touch only the arrays that they are given, and are called in slices that take well under a
second, so that callers keep budgets and answer Ctrl-C.
"""
# mypy: disable-error-code="no-any-return, no-untyped-call, untyped-decorator"

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, uint64
from numba.core import types
from numba.core.extending import intrinsic
from numpy.typing import NDArray

from qecforge.codes.distance._halves import Columns, Table, Tails

__all__ = ["cheapest_in_span", "count_span", "lightest_sum", "pair_logicals", "reduce_rows", "scan_errors"]

_Words = NDArray[np.uint64]


def _population_count(typing_context: Any, word: Any) -> Any:
    """The machine's own instruction, which numba has no name for."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), build


_popcount: Any = intrinsic(_population_count)


@njit(inline="always")
def _trailing_zeros(value: int) -> int:
    count = 0
    while value & 1 == 0:
        value >>= 1
        count += 1
    return count


@njit(inline="always")
def _mixed(key: Any) -> Any:
    """Spread a key's bits over the word (Stafford's variant 13 of the murmur finaliser)."""
    key = (key ^ (key >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> uint64(27))) * uint64(0x94D049BB133111EB)
    return key ^ (key >> uint64(31))


@njit("void(uint64[:, ::1], uint64[:, ::1], int64[::1], int64, int64)", cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def scan_errors(
    columns: Columns,
    prefix: NDArray[np.int64],
    depth: int,
    tails: Tails,
    partition: int,
    table: Table,
    insert: bool,
    every: bool,
    found: NDArray[np.int64],
) -> int:
    """Look for two errors of equal key and different value, among those that extend `prefix`.

    An error is a rising sequence of columns, at most one a qubit; its key (syndrome) and value (logical action) are
    the XOR of its columns'. It is made of `prefix`, `depth` further columns and a tail. Tails are sorted by the low
    bits of their keys, so that the errors whose key has the low bits `partition` are found without trying the others.

    Args:
        prefix: Columns already chosen.
        depth: Columns to choose between prefix and tail.
        partition: Low bits of the keys that count, in 0..P-1.
        table: Of (key, value).
        insert: Whether errors enter the table; otherwise they are looked up only.
        every: Whether two errors of equal key are a hit whatever their values.
        found: Receives the columns of a hit.

    Returns:
        -1 without a hit; -2 where the error itself has key 0 and acts; -3 where the table is full; else the row of
        the table's entries that the error meets.
    """
    keys, values, letters = columns
    tail_words, tail_columns, buckets = tails
    entries, filled = table
    total, given, tail_length = len(keys), len(prefix), tail_columns.shape[1]
    mask, low_bits = uint64(len(entries) - 1), uint64(len(buckets) - 2)
    limit = len(entries) - (len(entries) >> 3) - 1
    chosen = np.zeros(depth + 1, np.int64)
    key_to = np.zeros(depth + 1, np.uint64)
    value_to = np.zeros(depth + 1, np.uint64)
    for column in prefix:
        key_to[0] ^= keys[column]
        value_to[0] ^= values[column]
    if given:
        chosen[0] = (prefix[given - 1] // letters + 1) * letters
    level = 0
    while level >= 0:
        if level < depth:
            column = chosen[level]
            if column >= total - (depth - 1 - level + tail_length) * letters:
                level -= 1
                if level >= 0:
                    chosen[level] += 1
                continue
            key_to[level + 1] = key_to[level] ^ keys[column]
            value_to[level + 1] = value_to[level] ^ values[column]
            chosen[level + 1] = (column // letters + 1) * letters
            level += 1
            continue
        base_key, base_value = key_to[depth], value_to[depth]
        bucket = np.int64(uint64(partition) ^ (base_key & low_bits))
        for index in range(buckets[bucket], buckets[bucket + 1]):
            if tail_columns[index, 0] < chosen[depth]:
                break
            key = base_key ^ tail_words[index, 0]
            value = base_value ^ tail_words[index, 1]
            hit: Any = -1
            if key == 0:
                if every or value != 0:
                    hit = -2
            else:
                slot = _mixed(key) & mask
                while entries[slot, 0] != 0 and entries[slot, 0] != key:
                    slot = (slot + uint64(1)) & mask
                if entries[slot, 0] == key:
                    if every or entries[slot, 1] != value:
                        hit = np.int64(slot)
                elif insert:
                    if filled[0] >= limit:
                        return -3
                    entries[slot, 0] = key
                    entries[slot, 1] = value
                    filled[0] += 1
            if hit != -1:
                found[:given] = prefix
                found[given : given + depth] = chosen[:depth]
                found[given + depth :] = tail_columns[index]
                return hit
        level -= 1
        if level >= 0:
            chosen[level] += 1
    return -1


@njit("int64(uint64[:, ::1], uint64[:, ::1], uint64[:, ::1], int64[::1], boolean, int64)", cache=True, nogil=True)
def reduce_rows(x: _Words, z: _Words, logical: _Words, order: NDArray[np.int64], paired: bool, lead: int) -> int:
    """Row-reduce along some qubits, with the first `lead` rows reduced before along others.

    Args:
        x, z: (m, W) words of m rows; reduced in place.
        logical: (m, V) words, zero where a row acts trivially; reduced along.
        order: Qubits in the order of elimination.
        paired: Whether z has columns of its own.
        lead: Rows that have a pivot already.

    Returns:
        How many rows have a pivot now.
    """
    generators = len(x)
    for qubit in order:
        if lead == generators:
            break
        for half in range(2 if paired else 1):
            part = x if half == 0 else z
            word, bit = qubit // 64, uint64(qubit % 64)
            pivot = lead
            while pivot < generators and not (part[pivot, word] >> bit) & uint64(1):
                pivot += 1
            if pivot == generators:
                continue
            for row in range(generators):
                if row != pivot and (part[row, word] >> bit) & uint64(1):
                    x[row] ^= x[pivot]
                    z[row] ^= z[pivot]
                    logical[row] ^= logical[pivot]
            if pivot != lead:
                for array in (x, z, logical):
                    for index in range(array.shape[1]):
                        array[lead, index], array[pivot, index] = array[pivot, index], array[lead, index]
            lead += 1
    return lead


@njit(
    "Tuple((int64, int64, int64))(uint64[:, ::1], uint64[:, ::1], uint64[:, ::1], boolean, int64, int64, int64)",
    cache=True,
    nogil=True,
)
def lightest_sum(
    x: _Words, z: _Words, logical: _Words, every: bool, best: Any, start: int, stop: int
) -> tuple[int, int, int]:
    """Look for a light row, or sum of two rows, that acts logically, the later of them among rows start..stop-1.

    Args:
        x, z: (m, W) words of m rows. A row's weight is the popcount of x | z.
        logical: (m, V) words, zero where a row acts trivially.
        every: Whether any row counts as acting, whatever its logical bits.
        best: Only rows lighter than this count.

    Returns:
        (weight, i, j): rows i and j whose sum is the lightest found (j = -1: row i alone), i = -1 where none is.
    """
    words = x.shape[1]
    first = second = -1
    for i in range(start, stop):
        for j in range(-1, i):
            weight = uint64(0)
            for word in range(words):
                if j < 0:
                    weight += _popcount(x[i, word] | z[i, word])
                else:
                    weight += _popcount((x[i, word] ^ x[j, word]) | (z[i, word] ^ z[j, word]))
            if weight >= best or weight == 0:
                continue
            acts = every
            for word in range(logical.shape[1]):
                acts |= (logical[i, word] != 0) if j < 0 else (logical[i, word] != logical[j, word])
            if acts:
                best, first, second = np.int64(weight), i, j
    return best, first, second


@njit("int64[:, ::1](uint64[:, ::1], uint64[:, ::1])", cache=True, nogil=True)
def pair_logicals(x: _Words, z: _Words) -> NDArray[np.int64]:
    """Symplectic Gram-Schmidt: pair up rows that anticommute, and make all others commute with the pair.

    Args:
        x, z: (m, W) words of m rows; changed in place.

    Returns:
        (P, 2): the rows of each pair, in the order in which they were found; the others commute with everything.
    """
    generators, words = x.shape
    pending = np.ones(generators, np.bool_)
    pairs = np.empty((generators // 2, 2), np.int64)
    count = 0
    for first in range(generators):
        if not pending[first]:
            continue
        pending[first] = False
        second = -1
        for other in range(first + 1, generators):
            if not pending[other]:
                continue
            with_first = uint64(0)
            with_second = uint64(0)
            for word in range(words):
                with_first ^= (x[first, word] & z[other, word]) ^ (z[first, word] & x[other, word])
                if second >= 0:
                    with_second ^= (x[second, word] & z[other, word]) ^ (z[second, word] & x[other, word])
            odd_first = _popcount(with_first) & uint64(1)
            if second < 0:
                if odd_first:
                    second = other
                    pending[other] = False
                continue
            odd_second = _popcount(with_second) & uint64(1)
            for word in range(words):
                if odd_first:
                    x[other, word] ^= x[second, word]
                    z[other, word] ^= z[second, word]
                if odd_second:
                    x[other, word] ^= x[first, word]
                    z[other, word] ^= z[first, word]
        if second >= 0:
            # Rows before `second` commute with `first`, and may anticommute with `second`.
            for other in range(first + 1, second):
                if not pending[other]:
                    continue
                with_second = uint64(0)
                for word in range(words):
                    with_second ^= (x[second, word] & z[other, word]) ^ (z[second, word] & x[other, word])
                if _popcount(with_second) & uint64(1):
                    for word in range(words):
                        x[other, word] ^= x[first, word]
                        z[other, word] ^= z[first, word]
            pairs[count, 0], pairs[count, 1] = first, second
            count += 1
    return pairs[:count].copy()


@njit(
    "Tuple((float64, int64))(uint64[::1], uint64[::1], float64[:, ::1], int64, int64, float64)", cache=True, nogil=True
)
def cheapest_in_span(
    x: _Words, z: _Words, costs: NDArray[np.float64], start: int, stop: int, best: float
) -> tuple[float, int]:
    """The cheapest of elements start..stop-1, in Gray-code order, of the span of m rows of at most 64 qubits.

    Args:
        x, z: (m,) rows, bit q for qubit q.
        costs: (G, 256); entry [g, x | z << 4] is what the letters on qubits 4g..4g+3 cost together.
        start, stop: 0 <= start < stop <= 2^m.
        best: Only elements cheaper than this count.

    Returns:
        (cost, element number), the number -1 where none is cheaper than `best`.
    """
    generators = len(x)
    element_x = element_z = uint64(0)
    gray = start ^ (start >> 1)
    for row in range(generators):
        if gray >> row & 1:
            element_x ^= x[row]
            element_z ^= z[row]
    where = -1
    for index in range(start + 1, stop + 1):
        cost = 0.0
        rest_x, rest_z = element_x, element_z
        for group in range(len(costs)):
            cost += costs[group, (rest_x & uint64(15)) | ((rest_z & uint64(15)) << uint64(4))]
            rest_x >>= uint64(4)
            rest_z >>= uint64(4)
        if cost < best:
            best, where = cost, index - 1
        row = _trailing_zeros(index)
        if row < generators:
            element_x ^= x[row]
            element_z ^= z[row]
    return best, where
