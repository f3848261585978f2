"""Code distance with its proof."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from qecforge.codes.enumerators import weight_enumerators

if TYPE_CHECKING:
    from qecforge.codes.stabilizer_code import StabilizerCode

__all__ = ["Distance", "DistanceKind", "DistanceMethod", "find_distance"]

DistanceKind: TypeAlias = Literal["exact", "upper_bound", "lower_bound"]
DistanceMethod: TypeAlias = Literal["auto", "enumerator", "meet_in_the_middle", "integer_programme", "search"]


@dataclass(frozen=True)
class Distance:
    """A distance, or a bound on one, and how it was found.

    Attributes:
        value: The distance or the bound.
        kind: `exact` only where it was proved; `upper_bound`: a logical operator of that weight is known;
            `lower_bound`: there is none of smaller weight.
        method: How, such as `enumerator` or `css halves: meet_in_the_middle`.
        seconds: Wall time taken.
        lower, upper: The best bounds that were proved; equal where exact.
        witness: A logical operator of weight `upper` as a Pauli string, or None where none was kept. For k = 0 a
            stabilizer.
    """

    value: int
    kind: DistanceKind
    method: str
    seconds: float
    lower: int = 1
    upper: int | None = None
    witness: str | None = None


def find_distance(
    code: StabilizerCode, *, method: DistanceMethod = "auto", budget_seconds: float | None = 60.0, seed: int = 0
) -> Distance:
    """The smallest weight of a Pauli that commutes with every stabilizer and is not one of them."""
    started = time.perf_counter()
    value = weight_enumerators(code).distance
    return Distance(value, "exact", "enumerator", time.perf_counter() - started, value, value)
