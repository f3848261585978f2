"""Classes of Pauli errors of equal weight in the sum, and what each class weighs.

Where every qubit has the same channel with p_X = p_Y, all that counts of an error is how many qubits it hits with Z
(`z`) and how many with X or Y (`y`); with p_X = p_Y = p_Z its weight z + y alone. Counting violations per class, in
exact integers, is the kernels' work; a reward is the dot product of these counts with the classes' weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from math import comb
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["ErrorClasses", "Scheme", "error_classes", "pair_counts"]

Scheme = Literal["weight", "bias"]


@dataclass(frozen=True)
class ErrorClasses:
    """The classes of all Pauli errors of weight 1..depth on n qubits.

    Attributes:
        scheme: `weight`: one class per weight; `bias`: one per pair (z, y).
        n: Qubits.
        depth: Greatest weight.
        members: (C, 2) int64, (z, y) of each class; in scheme `weight` the representative (0, weight).
    """

    scheme: Scheme
    n: int
    depth: int

    @cached_property
    def members(self) -> NDArray[np.int64]:
        """(C, 2) int64, ascending in weight."""
        pairs = [(z, w - z) for w in range(1, self.depth + 1) for z in range(w if self.scheme == "bias" else 0, -1, -1)]
        return np.array(pairs, dtype=np.int64).reshape(-1, 2)

    @cached_property
    def index(self) -> NDArray[np.int64]:
        """(depth + 1, depth + 1) int64: the class of an error with z Zs and y Xs or Ys; -1 where there is none."""
        index = np.full((self.depth + 1, self.depth + 1), -1, dtype=np.int64)
        position = {tuple(pair): c for c, pair in enumerate(self.members.tolist())}
        for z, y in product(range(self.depth + 1), repeat=2):
            index[z, y] = position.get((z, y) if self.scheme == "bias" else (0, z + y), -1)
        return index

    @property
    def weights(self) -> NDArray[np.int64]:
        """(C,) int64: the Pauli weight of each class."""
        return np.asarray(self.members.sum(axis=1))

    def __len__(self) -> int:
        return len(self.members)

    def sizes(self) -> list[int]:
        """How many errors each class has."""
        if self.scheme == "weight":
            return [comb(self.n, w) * 3**w for _, w in self.members.tolist()]
        return [comb(self.n, z + y) * comb(z + y, z) * 2**y for z, y in self.members.tolist()]


@lru_cache(maxsize=64)
def error_classes(scheme: Scheme, n: int, depth: int) -> ErrorClasses:
    """The classes, built once."""
    return ErrorClasses(scheme, n, depth)


@lru_cache(maxsize=256)
def pair_counts(n: int, top: int, z: int, y: int) -> NDArray[np.float64]:
    """How many ordered pairs of Paulis multiply, up to phase, to a given one.

    Args:
        n: Qubits.
        top: Greatest number of Zs, and of Xs and Ys, that is told apart in a factor.
        z, y: The product has Z on z qubits and X (or Y) on y others.

    Returns:
        (top + 1,) * 4 float64 holding exact integers while below 2^53: `[az, ay, bz, by]` pairs whose factors have
        az, bz Zs and ay, by Xs and Ys. Not to be written to.

    A site of the product is made from its factors' sites as I = II + ZZ + XX + YY, Z = IZ + ZI + XY + YX,
    X = IX + XI + YZ + ZY; the counts are the coefficients of the product over all sites.
    """
    identity = (((0, 0, 0, 0), 1), ((1, 0, 1, 0), 1), ((0, 1, 0, 1), 2))
    phase_flip = (((0, 0, 1, 0), 1), ((1, 0, 0, 0), 1), ((0, 1, 0, 1), 2))
    bit_flip = (((0, 0, 0, 1), 1), ((0, 1, 0, 0), 1), ((0, 1, 1, 0), 1), ((1, 0, 0, 1), 1))
    counts = np.zeros((top + 1,) * 4)
    counts[0, 0, 0, 0] = 1
    for site in [phase_flip] * z + [bit_flip] * y + [identity] * (n - z - y):
        grown = np.zeros_like(counts)
        for shift, ways in site:
            to = tuple(slice(s, None) for s in shift)
            source = tuple(slice(0, top + 1 - s) for s in shift)
            grown[to] += ways * counts[source]
        counts = grown
    counts.setflags(write=False)
    return counts
