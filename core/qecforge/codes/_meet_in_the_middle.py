"""Meet in the middle: is there a logical operator of a given weight?

An operator of weight w is the product of two errors of weights floor(w/2) and ceil(w/2) that have the same syndrome and
act differently on the logical qubits. So the lighter half's syndromes go into a hash table, and two errors of equal
syndrome and different action are a logical operator; of weight exactly w, once smaller weights are ruled out. Pairs of
equal action are stabilizers: degeneracy is exact. A table that would grow too large is worked through in partitions of
the syndromes, each with an enumeration of its own.

Syndromes of more than 64 bits are hashed linearly to 64: equal syndromes still meet, and a hit is checked in full, so
that a collision costs time (another hash is drawn) and never the answer. More than 64 logical bits are compared 64 at a
time.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import comb

import numpy as np
from numpy.typing import NDArray

from qecforge.codes._budget import check_deadline
from qecforge.codes._search_space import SearchSpace

__all__ = ["estimated_seconds", "find_of_weight"]

_TABLE_BITS = 25  # 2^25 slots of 16 bytes: 512 MiB
_LOAD = 0.6
_CALL_ERRORS = 1 << 25  # errors a call of the kernel enumerates at most, where their prefix can be split
_SECONDS_ENUMERATE = 1.5e-9
_SECONDS_NEAR, _SECONDS_FAR = 4e-9, 6e-8  # a table access within and beyond the cache
_NEAR_BYTES = 1 << 20


def estimated_seconds(space: SearchSpace, weight: int) -> float:
    """Rough cost of `find_of_weight`."""
    if space.even and weight % 2:
        return 0.0
    light, heavy = weight // 2, (weight + 1) // 2
    stored = _errors(space, light)
    tested = stored if weight % 2 == 0 else stored + _errors(space, heavy)
    bits, partitions = _table_shape(stored)
    access = _SECONDS_NEAR if 16 << bits <= _NEAR_BYTES else _SECONDS_FAR
    slices = max(1, -(-space.action_bits // 64))
    return slices * tested * (partitions * _SECONDS_ENUMERATE + access)


def find_of_weight(space: SearchSpace, weight: int, deadline: float, rng: np.random.Generator) -> int | None:
    """A logical operator of this weight (2n bits), or None where there is none; there must be none of smaller weight.

    Raises:
        OutOfTime: `time.perf_counter()` passed `deadline`.
    """
    if space.even and weight % 2:
        return None
    slices = 1 if space.every else max(1, -(-space.action_bits // 64))
    for index in range(slices):
        values = np.array([action >> 64 * index & (2**64 - 1) for action in space.actions], dtype=np.uint64)
        while True:
            keys = _keys(space, rng)
            operator = _search(space, keys, values, weight, deadline)
            if operator is None:
                break
            if space.is_logical(operator):
                return operator
            # Two syndromes shared a hash: draw another one.
    return None


def _keys(space: SearchSpace, rng: np.random.Generator) -> NDArray[np.uint64]:
    if space.checks <= 64:
        return np.array(space.syndromes, dtype=np.uint64)
    images = [int(word) for word in rng.integers(0, 2**64, size=space.checks, dtype=np.uint64)]
    keys = []
    for syndrome in space.syndromes:
        key = 0
        for bit, image in enumerate(images):
            if syndrome >> bit & 1:
                key ^= image
        keys.append(key)
    return np.array(keys, dtype=np.uint64)


def _search(
    space: SearchSpace, keys: NDArray[np.uint64], values: NDArray[np.uint64], weight: int, deadline: float
) -> int | None:
    from qecforge.codes import _kernels

    light, heavy = weight // 2, (weight + 1) // 2
    bits, partitions = _table_shape(_errors(space, light))
    for partition in range(partitions):
        table = np.zeros((1 << bits, 2), dtype=np.uint64)
        passes = [(light, True)] if weight % 2 == 0 else [(light, True), (heavy, False)]
        for size, insert in passes:
            found = np.zeros(size, dtype=np.int64)
            for prefix, depth in _prefixes(space, size):
                check_deadline(deadline)
                row = _kernels.scan_errors(
                    keys,
                    values,
                    space.letters,
                    prefix,
                    depth,
                    table,
                    insert,
                    partition,
                    partitions - 1,
                    space.every,
                    found,
                )
                if row == -1:
                    continue
                operator = space.operator(found)
                if row == -2:
                    return operator
                partner = _first_error(space, keys, values, light, table[row])
                return operator ^ space.operator(partner)
    return None


def _first_error(
    space: SearchSpace, keys: NDArray[np.uint64], values: NDArray[np.uint64], size: int, entry: NDArray[np.uint64]
) -> NDArray[np.int64]:
    """The columns of the error that made a table's entry (key, value): the first of `size` letters with that key."""
    from qecforge.codes import _kernels

    # In a table of this entry alone, its value changed, the kernel's first hit is that error.
    table = np.zeros((2, 2), dtype=np.uint64)
    found = np.zeros(size, dtype=np.int64)
    none = np.zeros(0, dtype=np.int64)
    _kernels.scan_errors(entry[:1].copy(), entry[1:] ^ np.uint64(1), 1, none, 1, table, True, 0, 0, False, found[:1])
    for prefix, depth in _prefixes(space, size):
        if _kernels.scan_errors(keys, values, space.letters, prefix, depth, table, False, 0, 0, False, found) != -1:
            return found
    raise AssertionError("an error that entered the table is not enumerated again")


def _prefixes(space: SearchSpace, size: int) -> Iterator[tuple[NDArray[np.int64], int]]:
    """(prefix, depth) pairs that together enumerate the errors of `size` letters, in the kernel's order."""
    if size == 0:
        return
    length = 0
    while length < size - 1 and _errors(space, size - length) > _CALL_ERRORS:
        length += 1

    def extend(prefix: list[int]) -> Iterator[list[int]]:
        if len(prefix) == length:
            yield prefix
            return
        first = (prefix[-1] // space.letters + 1) * space.letters if prefix else 0
        for column in range(first, space.n * space.letters):
            yield from extend([*prefix, column])

    for prefix in extend([]):
        yield np.array(prefix, dtype=np.int64), size - length


def _errors(space: SearchSpace, size: int) -> int:
    return comb(space.n, size) * int(space.letters**size)


def _table_shape(stored: int) -> tuple[int, int]:
    """(log2 of the slots, number of partitions, a power of two)."""
    bits = max(1, int(stored / _LOAD).bit_length())
    if bits <= _TABLE_BITS:
        return bits, 1
    return _TABLE_BITS, 1 << max(1, (int(stored / (_LOAD * (1 << _TABLE_BITS)))).bit_length())
