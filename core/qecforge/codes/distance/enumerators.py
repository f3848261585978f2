"""Shor-Laflamme weight enumerators of stabilizer codes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from qecforge.codes import _gf2
from qecforge.codes._structure import CodeStructure
from qecforge.codes.distance._budget import check_deadline
from qecforge.errors import CodeError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MAX_ENUMERATED_BITS", "WeightEnumerators", "macwilliams", "span_weights", "weight_enumerators"]

MAX_ENUMERATED_BITS = 34
"""Largest n - k whose 2^(n-k) stabilizers are walked (17e9 steps: a minute or two)."""

_SLICE = 1 << 26  # Elements a call of the kernel walks, about 0.1 s


@dataclass(frozen=True)
class WeightEnumerators:
    """Weight distributions of a stabilizer group and of its normalizer.

    Attributes:
        A: A[w] stabilizers of weight w, w = 0..n; they sum to 2^(n-k).
        B: B[w] elements of the normalizer (Paulis that commute with every stabilizer, up to phase) of weight w; they
            sum to 2^(n+k). B[w] - A[w] logical operators have weight w, and the distance is the smallest w where
            that is positive.

    Source: Shor and Laflamme 1997, quant-ph/9610040, whose enumerators are these up to normalisation: theirs are 4^k A
    and 2^k B.
    """

    A: tuple[int, ...]
    B: tuple[int, ...]

    @property
    def distance(self) -> int:
        """Smallest weight of a non-trivial logical operator; for k = 0, of a stabilizer other than the identity."""
        stabilizer_state = sum(self.A) == sum(self.B)
        counts = self.A if stabilizer_state else tuple(b - a for a, b in zip(self.A, self.B, strict=True))
        return next(w for w, count in enumerate(counts) if w and count)


def weight_enumerators(code: CodeStructure) -> WeightEnumerators:
    """A by a Gray-code walk over all 2^(n-k) stabilizers, B by the MacWilliams transform. Exact.

    Raises:
        CodeError: n - k above `MAX_ENUMERATED_BITS`.
    """
    generators = code.n - code.k
    if generators > MAX_ENUMERATED_BITS:
        raise CodeError(
            f"weight enumerators: n - k is {generators}; 2^(n-k) stabilizers can be counted up to n - k = "
            f"{MAX_ENUMERATED_BITS}"
        )
    counts = span_weights(_gf2.pack_rows(code.check_matrix), code.n, paired=True)
    return WeightEnumerators(tuple(counts), tuple(macwilliams(counts, 4)))


def span_weights(rows: Sequence[int], n: int, *, paired: bool, deadline: float = math.inf) -> list[int]:
    """Number of elements of each weight 0..n in the span of independent rows.

    Args:
        rows: Rows [x | z] of 2n bits, counted by Pauli weight, where `paired`; else of n bits, by Hamming weight.
        deadline: Raises `OutOfTime` once `time.perf_counter()` passes it.
    """
    from qecforge.codes.distance import _kernels

    mask, words = (1 << n) - 1, (n + 63) // 64
    z = _gf2.to_words([row & mask for row in rows], words)
    x = _gf2.to_words([row >> n for row in rows], words) if paired else np.zeros_like(z)
    counts = np.zeros(n + 1, dtype=np.int64)
    for start in range(0, 1 << len(rows), _SLICE):
        check_deadline(deadline)
        _kernels.count_span(x, z, counts, start, min(start + _SLICE, 1 << len(rows)))
    return [int(count) for count in counts]


def macwilliams(weights: Sequence[int], q: int, *, deadline: float = math.inf) -> list[int]:
    """Weight distribution of the dual of an additive code of length n, from its own.

    Args:
        weights: (n + 1) counts; their sum is the size of the code.
        q: 4 for stabilizer groups (the dual is the normalizer), 2 for binary linear codes.
        deadline: Raises `OutOfTime` once `time.perf_counter()` passes it.

    Source: MacWilliams identity: the dual's enumerator is sum_i weights[i] (1 - z)^i (1 + (q - 1) z)^(n - i) / size.
    """
    n, size = len(weights) - 1, sum(weights)
    term = [comb(n, j) * (q - 1) ** j for j in range(n + 1)]  # of i = 0; its coefficients are Krawtchouk's K_j(i)
    total = [0] * (n + 1)
    for i, count in enumerate(weights):
        check_deadline(deadline)
        if count:
            total = [before + count * coefficient for before, coefficient in zip(total, term, strict=True)]
        if i < n:
            quotient = previous = 0
            for j in range(n + 1):
                quotient = term[j] - (q - 1) * quotient if j < n else 0
                term[j], previous = quotient - previous, quotient
    return [coefficient // size for coefficient in total]
