"""Meet in the middle: is there a logical operator of a given weight?

An operator of weight w is the product of two errors of weights floor(w/2) and ceil(w/2) that have the same syndrome and
act differently on the logical qubits. So the lighter half's syndromes go into a hash table, and two errors of equal
syndrome and different action are a logical operator; of weight exactly w, once smaller weights are ruled out. Pairs of
equal action are stabilizers: degeneracy is exact. Errors whose syndromes differ in some low bits never meet, so that a
table that would outgrow the cache is worked through in partitions by those bits; sorted tails of one or two letters
enumerate the errors of each partition alone.

Syndromes are hashed linearly to 64 bits where they are longer: equal syndromes still meet, and a hit is checked in
full, so that a collision costs time (another hash is drawn) and never the answer. More than 64 logical bits are
compared 64 at a time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from functools import lru_cache
from math import comb

import numpy as np
from numpy.typing import NDArray

from qecforge.codes import _gf2
from qecforge.codes.distance._budget import OutOfTime, check_deadline
from qecforge.codes.distance._halves import Columns, Table, Tails
from qecforge.codes.distance._search_space import SearchSpace

__all__ = ["estimated_seconds", "find_of_weight", "load_kernels"]

_TABLE_BITS = range(4, 25)  # log2 of a table's slots of 16 bytes
_LOAD = 0.6
_CALL_ERRORS = 1 << 23  # errors a call of the kernel enumerates at most, where their prefix can be split
_SECONDS_PREFIX, _SECONDS_ERROR = 8e-9, 3e-9
# Seconds a table access takes, by the size of the table in bytes.
_SECONDS_ACCESS = ((1 << 20, 3e-9), (1 << 22, 8e-9), (1 << 25, 2.5e-8), (1 << 62, 7e-8))
_SECONDS_TAIL = 6e-7  # of sorting, for each tail of two letters
_MOST_TAILS = 30_000_000
_WORD = (1 << 64) - 1


def estimated_seconds(space: SearchSpace, weight: int) -> float:
    """Rough cost of `find_of_weight`."""
    if space.even and weight % 2:
        return 0.0
    slices = 1 if space.every else max(1, -(-space.action_bits // 64))
    return slices * _cheapest_shape(space.n, space.letters, weight)[0]


@lru_cache(maxsize=1)
def load_kernels() -> None:
    """Compile the kernels of all proofs, or load them from their cache. It takes seconds where it is done first on a
    machine; the one that takes named tuples is compiled when it is called, the others when they are imported."""
    _plant(Table.of_bits(1), np.zeros(2, dtype=np.uint64))


def find_of_weight(space: SearchSpace, weight: int, deadline: float, rng: np.random.Generator) -> int | None:
    """A logical operator of this weight (2n bits), or None where there is none; there must be none of smaller weight.

    Raises:
        OutOfTime: `time.perf_counter()` passed `deadline`, or the tables alone would take longer or not fit.
    """
    if space.even and weight % 2:
        return None
    if weight > 2:
        tails = comb(space.n * space.letters, 2)
        if tails > _MOST_TAILS or time.perf_counter() + _SECONDS_TAIL * tails > deadline:
            raise OutOfTime
    _, table_bits, partitions = _cheapest_shape(space.n, space.letters, weight)
    slices = 1 if space.every else max(1, -(-space.action_bits // 64))
    for index in range(slices):
        values = np.array([action >> 64 * index & _WORD for action in space.actions], dtype=np.uint64)
        while True:
            # Hashing also spreads the syndromes evenly over the partitions.
            keys = _hashed(space, rng) if space.checks > 64 or partitions > 1 else np.array(space.syndromes, np.uint64)
            search = _Search(space, keys, values, weight, partitions, deadline)
            operator = search.run(table_bits)
            if operator is None:
                break
            if space.is_logical(operator):
                return operator
            # Two syndromes shared a hash: draw another one.
    return None


def _hashed(space: SearchSpace, rng: np.random.Generator) -> NDArray[np.uint64]:
    images = rng.integers(0, 2**64, size=space.checks, dtype=np.uint64)
    keys = np.zeros(len(space.syndromes), dtype=np.uint64)
    # Bit i of a syndrome is column checks - 1 - i of the unpacked rows.
    for column, image in zip(_gf2.unpack_rows(space.syndromes, space.checks).T[::-1], images, strict=True):
        keys ^= column * image
    return keys


class _TableFull(Exception):
    """More errors fell into a partition than its table holds."""


class _Search:
    """One pass over all partitions with one choice of keys."""

    def __init__(
        self,
        space: SearchSpace,
        keys: NDArray[np.uint64],
        values: NDArray[np.uint64],
        weight: int,
        partitions: int,
        deadline: float,
    ) -> None:
        self.space, self.keys, self.values = space, keys, values
        self.light, self.heavy = weight // 2, (weight + 1) // 2
        self.partitions, self.deadline = partitions, deadline
        self.tails = {size: self._sorted_tails(size) for size in {self.light, self.heavy} if size}

    def run(self, table_bits: int) -> int | None:
        """An operator that two errors make, or one error by itself; to be verified where keys are hashes."""
        partition = 0
        while partition < self.partitions:
            table = Table.of_bits(table_bits)
            try:
                operator = self._scan(self.light, partition, table, insert=True)
            except _TableFull:
                table_bits += 1
                continue
            if operator is None and self.heavy != self.light:
                operator = self._scan(self.heavy, partition, table, insert=False)
            if operator is not None:
                return operator
            partition += 1
        return None

    def _scan(self, size: int, partition: int, table: Table, *, insert: bool) -> int | None:
        """The operator of a hit, or None where all errors of this size passed. Raises `_TableFull`."""
        found = np.zeros(size, dtype=np.int64)
        for prefix, depth in self._prefixes(size):
            check_deadline(self.deadline)
            row = self._call(prefix, depth, size, partition, table, insert, self.space.every, found)
            if row == -3:
                raise _TableFull
            if row == -2:
                return self.space.operator(found)
            if row >= 0:
                partner = self._first_error(partition, table.entries[row])
                return self.space.operator(found) ^ self.space.operator(partner)
        return None

    def _call(
        self,
        prefix: NDArray[np.int64],
        depth: int,
        size: int,
        partition: int,
        table: Table,
        insert: bool,
        every: bool,
        found: NDArray[np.int64],
    ) -> int:
        from qecforge.codes.distance import _kernels

        columns, tails = Columns(self.keys, self.values, self.space.letters), self.tails[size]
        return int(_kernels.scan_errors(columns, prefix, depth, tails, partition, table, insert, every, found))

    def _first_error(self, partition: int, entry: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The columns of the error that made a table's entry (key, value): the first one with that key."""
        # In a table of this key alone, its value changed, the kernel's first hit is that error.
        found = np.zeros(self.light, dtype=np.int64)
        for prefix, depth in self._prefixes(self.light):
            table = Table.of_bits(1)
            _plant(table, entry)
            if self._call(prefix, depth, self.light, partition, table, False, False, found) != -1:
                return found
        raise AssertionError("an error that entered the table is not enumerated again")

    def _prefixes(self, size: int) -> Iterator[tuple[NDArray[np.int64], int]]:
        """(prefix, depth) pairs that together enumerate the errors of `size` letters, in one order."""
        if size == 0:
            return
        free = size - _tail_length(size)
        length = 0
        while (
            length < free and _errors(self.space.n, self.space.letters, size - length) > _CALL_ERRORS * self.partitions
        ):
            length += 1
        for prefix in self._extended([], length):
            yield np.array(prefix, dtype=np.int64), free - length

    def _extended(self, prefix: list[int], length: int) -> Iterator[list[int]]:
        if len(prefix) == length:
            yield prefix
            return
        letters = self.space.letters
        first = (prefix[-1] // letters + 1) * letters if prefix else 0
        for column in range(first, self.space.n * letters):
            yield from self._extended([*prefix, column], length)

    def _sorted_tails(self, size: int) -> Tails:
        columns = np.arange(len(self.keys), dtype=np.int64)[:, np.newaxis]
        if _tail_length(size) == 2:
            first, second = np.triu_indices(len(self.keys), 1)
            apart = first // self.space.letters != second // self.space.letters
            columns = np.stack([first[apart], second[apart]], axis=1).astype(np.int64)
        words = np.stack(
            [np.bitwise_xor.reduce(column_words[columns], axis=1) for column_words in (self.keys, self.values)], axis=1
        )
        bucket = (words[:, 0] & np.uint64(self.partitions - 1)).astype(np.int64)
        order = np.lexsort((-columns[:, 0], bucket))
        buckets = np.searchsorted(bucket[order], np.arange(self.partitions + 1)).astype(np.int64)
        return Tails(np.ascontiguousarray(words[order]), np.ascontiguousarray(columns[order]), buckets)


def _plant(table: Table, entry: NDArray[np.uint64]) -> None:
    """Put the key of an entry, with another value, where the kernel will look for it."""
    from qecforge.codes.distance import _kernels

    words = np.array([[entry[0], entry[1] ^ np.uint64(1)]], dtype=np.uint64)
    only = Tails(words, np.zeros((1, 1), dtype=np.int64), np.array([0, 1], dtype=np.int64))
    column = Columns(words[:, 0].copy(), words[:, 1].copy(), 1)
    none, found = np.zeros(0, dtype=np.int64), np.zeros(1, dtype=np.int64)
    _kernels.scan_errors(column, none, 0, only, 0, table, True, False, found)


def _tail_length(size: int) -> int:
    return min(size, 2)


def _errors(n: int, letters: int, size: int) -> int:
    return comb(n, size) * int(letters**size)


@lru_cache(maxsize=256)
def _cheapest_shape(n: int, letters: int, weight: int) -> tuple[float, int, int]:
    """(seconds, log2 of the table's slots, number of partitions) of least estimated cost."""
    light, heavy = weight // 2, (weight + 1) // 2
    stored = _errors(n, letters, light)
    if _errors(n, letters, heavy) >> 62:
        return math.inf, _TABLE_BITS[-1], 1
    tried = stored + (_errors(n, letters, heavy) if heavy != light else 0)
    prefixes = sum(_errors(n, letters, size - _tail_length(size)) for size in {light, heavy} if size)
    shapes = []
    for bits in _TABLE_BITS:
        partitions = 1 << max(0, (int(stored / (_LOAD * (1 << bits)))).bit_length())
        access = next(seconds for size, seconds in _SECONDS_ACCESS if 16 << bits <= size)
        seconds = partitions * prefixes * _SECONDS_PREFIX + tried * (_SECONDS_ERROR + access)
        shapes.append((seconds + partitions * (16 << bits) * 1e-10, bits, partitions))
        if partitions == 1:
            break
    return min(shapes)
