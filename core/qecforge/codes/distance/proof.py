"""Code distance with its proof.

The distance of a code is the smallest weight of a Pauli that commutes with every stabilizer and is not one of them; for
k = 0, where there is none, the smallest weight of a stabilizer other than the identity. It is proved by one of

- `enumerator`: all 2^(n-k) stabilizers are counted by weight, the normalizer's weights follow (MacWilliams), and the
  first difference is the distance;
- `meet_in_the_middle`: no logical operator of weight 1, 2, ... up to that of a known one;
- `integer_programme`: HiGHS finds a lightest operator and shows that there is none lighter (in floating point, to 1e-6,
  on integer data).

A CSS code is worked on in its two halves. What is not proved within the budget is a bound and says so.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

import numpy as np

from qecforge.codes import _pauli
from qecforge.codes._numbers import as_integer
from qecforge.codes._structure import CodeStructure
from qecforge.codes.distance import _meet_in_the_middle
from qecforge.codes.distance._budget import OutOfTime
from qecforge.codes.distance._random_search import find_light_operator
from qecforge.codes.distance._search_space import SearchSpace, search_spaces
from qecforge.codes.distance.enumerators import MAX_ENUMERATED_BITS, macwilliams, span_weights
from qecforge.errors import CodeError, ConfigurationError

__all__ = ["CssDistances", "Distance", "DistanceKind", "DistanceMethod", "css_distances", "find_distance"]

DistanceKind: TypeAlias = Literal["exact", "upper_bound", "lower_bound"]
DistanceMethod: TypeAlias = Literal["auto", "enumerator", "meet_in_the_middle", "integer_programme", "search"]

_SECONDS_PER_ELEMENT = 1.2e-9  # of the enumerators' walk, for each word of 64 qubits
_SECONDS_PER_COEFFICIENT = 4e-7  # of the MacWilliams transform, n^2 of them
_QUICK_ROUNDS, _LONG_ROUNDS = 64, 2048
_PROGRAMME_SHARE = 0.5  # of the budget that is kept for the integer programme where nothing else can finish


@dataclass(frozen=True)
class Distance:
    """A distance, or a bound on one, and how it was found.

    Attributes:
        value: The distance or the bound.
        kind: `exact` only where it was proved; `upper_bound`: a logical operator of that weight is known;
            `lower_bound`: it was proved that there is none of smaller weight.
        method: How, such as `enumerator` or `css halves: meet_in_the_middle`.
        seconds: Wall time taken.
        lower: No logical operator has smaller weight; equals `value` where exact.
        excluded: By half (`x`, `z`; the empty name where all Paulis are searched at once), the greatest w such that no
            logical operator of this kind has a weight in 1..w. `lower` is one more than the least of them.
        upper: Weight of a known logical operator; equals `value` where exact; None where none is known.
        witness: A logical operator of weight `upper` as a Pauli string (for k = 0 a stabilizer), or None where the
            proof did not bring one forth.
    """

    value: int
    kind: DistanceKind
    method: str
    seconds: float
    lower: int = 1
    upper: int | None = None
    witness: str | None = None
    excluded: Mapping[str, int] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class CssDistances:
    """Distances of a CSS code's halves.

    Attributes:
        x: Smallest weight of an X-type logical operator: what protects against X errors.
        z: The same for Z.
    """

    x: Distance
    z: Distance


def find_distance(
    code: CodeStructure,
    *,
    method: DistanceMethod = "auto",
    budget_seconds: float | None = 60.0,
    seed: int = 0,
) -> Distance:
    """The distance of a code, proved where the budget allows.

    Args:
        code: The code.
        method: `auto` takes the proof of least estimated cost. `search` only looks for light logical operators, an
            upper bound. The others are described above.
        budget_seconds: Wall time after which the best bounds so far are given back, set-up included, compiling kernels
            not; None for as long as it takes, 0 for what a glance shows. Kept to within about a second.
        seed: Of the random search for light operators (and of hashes, which do not change the result).

    Returns:
        `exact`, or else the upper bound, with both bounds beside it.

    Raises:
        CodeError: `method` is `enumerator` and there are too many stabilizers to count.
        ConfigurationError: an unknown method or a negative budget.
    """
    _check_arguments(method, budget_seconds)
    _meet_in_the_middle.load_kernels()
    started = time.perf_counter()
    return _Proof(code, search_spaces(code), method, budget_seconds, as_integer(seed, "seed"), started).run()


def css_distances(
    code: CodeStructure,
    *,
    method: DistanceMethod = "auto",
    budget_seconds: float | None = 60.0,
    seed: int = 0,
) -> CssDistances:
    """The distances of both halves of a CSS code; arguments as for `find_distance`, the budget for each half.

    Raises:
        CodeError: the code is not CSS, or has no logical operators.
    """
    if code.k == 0:
        raise CodeError("css_distances: k is 0, so there are no logical operators; use distance()")
    if code.css is None:
        raise CodeError("css_distances: X-type and Z-type stabilizers do not generate this code; use distance()")
    _check_arguments(method, budget_seconds)
    _meet_in_the_middle.load_kernels()
    seed = as_integer(seed, "seed")
    x, z = (
        _Proof(code, [space], method, budget_seconds, seed, time.perf_counter()).run() for space in search_spaces(code)
    )
    return CssDistances(x, z)


def _check_arguments(method: str, budget_seconds: float | None) -> None:
    if method not in get_args(DistanceMethod):
        raise ConfigurationError(f"distance method {method!r}: expected one of {', '.join(get_args(DistanceMethod))}")
    if budget_seconds is not None and not budget_seconds >= 0:
        raise ConfigurationError(f"budget_seconds is {budget_seconds}; expected 0 or more seconds, or None")


class _Proof:
    """Bounds of one distance as they tighten. `lower` and `upper` hold over all spaces together, `excluded[i]` for
    space i: no operator that counts there has a weight in 1..excluded[i]."""

    def __init__(
        self,
        code: CodeStructure,
        spaces: list[SearchSpace],
        method: DistanceMethod,
        budget_seconds: float | None,
        seed: int,
        started: float,
    ) -> None:
        self.n, self.spaces, self.method = code.n, spaces, method
        self.started = started
        self.deadline = math.inf if budget_seconds is None else self.started + budget_seconds
        self.rng = np.random.default_rng(seed)
        self.upper = code.n + 1
        self.excluded = [0] * len(spaces)
        self.witness: int | None = None
        self.used: list[str] = []

    @property
    def lower(self) -> int:
        """No operator that counts weighs less."""
        return min(self.excluded) + 1

    def run(self) -> Distance:
        if self.method == "enumerator" and self._enumerator_bits() > MAX_ENUMERATED_BITS:
            raise CodeError(
                f"enumerator: 2^{self._enumerator_bits()} stabilizers are too many to count (limit 2^"
                f"{MAX_ENUMERATED_BITS}); use another method or auto"
            )
        self._search(_LONG_ROUNDS if self.method == "search" else _QUICK_ROUNDS, self.deadline)
        if self.upper > self.n:
            self._take_lightest_row()
        try:
            if self.method == "auto":
                self._prove_by_cheapest()
            elif self.method == "enumerator":
                self._enumerate()
            elif self.method == "meet_in_the_middle":
                self._meet(self.deadline)
            elif self.method == "integer_programme":
                self._solve_programmes()
        except OutOfTime:
            self._search(_LONG_ROUNDS, deadline=self.deadline + 0.5)
        return self._result()

    def _take_lightest_row(self) -> None:
        """A bound where the search had no time for a single round: the lightest operator that is at hand."""
        for space in self.spaces:
            for row, action in zip(space.commuting, space.row_actions, strict=True):
                if action or space.every:
                    self._accept(space.row_operator(row))

    def _result(self) -> Distance:
        exact = self.lower >= self.upper
        method = " + ".join(self.used) if self.used else "search"
        return Distance(
            value=self.upper,
            kind="exact" if exact else "upper_bound",
            method=("css halves: " if self.spaces[0].half else "") + method,
            seconds=time.perf_counter() - self.started,
            lower=min(self.lower, self.upper),
            upper=self.upper,
            excluded={space.half: weight for space, weight in zip(self.spaces, self.excluded, strict=True)},
            witness=None if self.witness is None else _pauli.format_row(self.witness, self.n),
        )

    def _accept(self, operator: int | None) -> None:
        """Take an operator as witness where it is lighter than the one known."""
        if operator is not None and _pauli.pauli_weight(operator, self.n) < self.upper:
            self.upper, self.witness = _pauli.pauli_weight(operator, self.n), operator

    def _search(self, rounds: int, deadline: float = math.inf) -> None:
        for space in self.spaces:
            if space.commuting:
                found = find_light_operator(space, rounds, self.rng, below=self.upper, deadline=deadline)
                self._accept(found)

    def _enumerator_bits(self) -> int:
        return max(len(rows) for rows in self._walked())

    def _walked(self) -> set[tuple[int, ...]]:
        """The spans that the enumerator counts."""
        return {rows for space in self.spaces for rows in (space.stabilizers, space.check_rows)}

    def _enumerator_seconds(self) -> float:
        words = (self.n + 63) // 64
        if self._enumerator_bits() > MAX_ENUMERATED_BITS:
            return math.inf
        walking = sum(_SECONDS_PER_ELEMENT * words * 2.0 ** len(rows) for rows in self._walked())
        return walking + (_SECONDS_PER_COEFFICIENT * self.n**2 if self.n > 128 else 0.0)

    def _meeting_seconds(self, enough: float) -> float:
        """Rough cost of excluding all weights below the bound; not summed up past `enough`."""
        total = 0.0
        for weight in range(1, self.upper):
            total += sum(_meet_in_the_middle.estimated_seconds(space, weight) for space in self.spaces)
            if total > enough:
                break
        return total

    def _prove_by_cheapest(self) -> None:
        enumerating = self._enumerator_seconds()
        remaining = self.deadline - time.perf_counter()
        meeting = self._meeting_seconds(remaining if math.isinf(enumerating) else max(remaining, enumerating))
        if enumerating <= min(meeting, remaining) and self._enumerator_bits() <= MAX_ENUMERATED_BITS:
            self._enumerate()
        elif meeting <= remaining:
            self._meet(self.deadline)
        else:
            self._search(_LONG_ROUNDS, deadline=time.perf_counter() + 0.1 * remaining)
            try:
                self._meet(time.perf_counter() + (1 - _PROGRAMME_SHARE) * (self.deadline - time.perf_counter()))
            except OutOfTime:
                self._solve_programmes()

    def _enumerate(self) -> None:
        paired = not self.spaces[0].half
        weights = {
            rows: span_weights(rows, self.n, paired=paired, deadline=self.deadline) for rows in sorted(self._walked())
        }
        values = [_enumerated_distance(space, weights, self.deadline) for space in self.spaces]
        self.used.append("enumerator")
        if min(values) < self.upper:
            self._search_for(min(values))
        self.upper = min(values)
        self.excluded = [value - 1 for value in values]

    def _search_for(self, weight: int) -> None:
        """Find a witness of a weight that counting has proved; leave it at None where that would take long."""
        self._search(_LONG_ROUNDS, deadline=time.perf_counter() + 1.0)
        if self.upper == weight:
            return
        self.witness = None
        for space in self.spaces:
            if _meet_in_the_middle.estimated_seconds(space, weight) < 1.0:
                with contextlib.suppress(OutOfTime):
                    operator = _meet_in_the_middle.find_of_weight(space, weight, time.perf_counter() + 1.0, self.rng)
                    self.witness = operator if operator is not None else self.witness

    def _meet(self, deadline: float) -> None:
        self.used.append("meet_in_the_middle")
        while (weight := self.lower) < self.upper:
            for index, space in enumerate(self.spaces):
                if self.excluded[index] >= weight:
                    continue
                self._accept(_meet_in_the_middle.find_of_weight(space, weight, deadline, self.rng))
                if self.upper == weight:
                    return
                self.excluded[index] = weight

    def _solve_programmes(self) -> None:
        from qecforge.codes.distance._integer_programme import minimise

        self.used.append("integer_programme")
        for index, space in enumerate(self.spaces):
            share = (self.deadline - time.perf_counter()) / (len(self.spaces) - index)
            result = minimise(
                space,
                np.ones(space.n * space.letters),
                float(self.upper),
                time.perf_counter() + share,
                step=2 if space.even else 1,
            )
            self._accept(result.operator)
            self.excluded[index] = max(self.excluded[index], math.ceil(result.lower) - 1)


def _enumerated_distance(space: SearchSpace, weights: dict[tuple[int, ...], list[int]], deadline: float) -> int:
    """Smallest weight of an operator that counts; n + 1 where a half of a k = 0 code has none."""
    trivial = weights[space.stabilizers]
    if space.every:
        return next((weight for weight, count in enumerate(trivial) if weight and count), space.n + 1)
    commuting = macwilliams(weights[space.check_rows], 2 if space.half else 4, deadline=deadline)
    return next(weight for weight, count in enumerate(commuting) if count > trivial[weight])
