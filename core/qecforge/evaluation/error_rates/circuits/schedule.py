"""The order of each stabilizer's data gates: a seeded search for one whose faults do least harm.

A fault on an ancilla spreads to the data qubits that are coupled after it, so the order decides which errors of weight
two and more come from single faults. Every order is valid where stabilizers that disagree on a qubit are measured in
different phases, so the search is free. Candidates, until one keeps the code's distance:

1. with bare ancillas, the standard order of a matchable code, see `interleaving`;
2. ascending order;
3. orders drawn for each stabilizer apart, until the faults of its own gadget, with errors on the data, keep the
   distance: for distance 3 and a flag, until suffixes of equal syndrome act equally; then, where gadgets together lose
   it again, stabilizers drawn anew one at a time;
4. whole orders drawn at random.

That an order keeps the distance is read off the table of what faults leave behind (`_spread`), whatever the number of
rounds: exactly where that is graph-like, else for sets of at most four faults. Where no order does, experiments of two
rounds are compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import permutations
from math import factorial
from typing import Literal, TypeAlias

import numpy as np

from qecforge.errors import ConfigurationError
from qecforge.evaluation.error_rates.circuits._faults import FaultTable, fault_table
from qecforge.evaluation.error_rates.circuits._spread import residual_table, sectors
from qecforge.evaluation.error_rates.circuits.distance import (
    graphlike_distance,
    least_undetectable,
    undetectable_sets,
)
from qecforge.evaluation.error_rates.circuits.extraction import (
    ExtractionRound,
    Gadget,
    GadgetKind,
    Schedule,
    extraction_gadget,
    extraction_round,
)
from qecforge.evaluation.error_rates.circuits.generators import MeasuredCode, in_css_frame
from qecforge.evaluation.error_rates.circuits.interleaving import standard_round
from qecforge.evaluation.error_rates.circuits.memory import memory_experiment
from qecforge.evaluation.error_rates.noise import DepolarizingNoise

__all__ = ["best_round", "given_round", "natural_schedule", "proved_distance"]

_Score: TypeAlias = tuple[int, int, int]
"""Minus the distance, how many undetectable sets of that many faults there are, layers: the least is best."""

_MOST_COUNTED = {3: 2_000, 4: 1_500}
"""Size of fault sets that are counted, and the largest number of mechanisms for which they are."""
_BASES: tuple[Literal["x", "z"], ...] = ("x", "z")
_DEPOLARIZING = DepolarizingNoise.model_validate({}).channels(1e-3)
_DRAWS = 200
_MENDS = 60


def natural_schedule(code: MeasuredCode) -> Schedule:
    """Every stabilizer's data qubits in ascending order."""
    return tuple(tuple(q for q, p in enumerate(pauli) if p != "I") for pauli in code.stabilizers)


def given_round(
    code: MeasuredCode, stabilizers: Sequence[str], order: Sequence[Sequence[int]], kind: GadgetKind, distance: int
) -> ExtractionRound:
    """The round with the order that somebody asked for.

    Args:
        code: What is measured.
        stabilizers: The same generators, in the order in which `order` follows them.
        order: The data qubits of each.
        kind: By which gadgets.
        distance: The code's distance.

    Raises:
        ConfigurationError: the order is not one of each generator's qubits.
    """
    if len(order) != len(stabilizers):
        raise ConfigurationError(
            f"order: got {len(order)} lists, expected one for each of the code's {len(stabilizers)} generators"
        )
    by_pauli = {}
    for number, (pauli, qubits) in enumerate(zip(stabilizers, order, strict=True)):
        support = [qubit for qubit, p in enumerate(pauli) if p != "I"]
        if sorted(qubits) != support:
            raise ConfigurationError(
                f"order: got {list(qubits)} for generator {number}, {pauli}; expected {support} in some order"
            )
        by_pauli[pauli] = tuple(qubits)
    return extraction_round(code.stabilizers, tuple(by_pauli[pauli] for pauli in code.stabilizers), kind, distance)


@lru_cache(maxsize=64)
def best_round(
    code: MeasuredCode,
    kind: GadgetKind,
    *,
    distance: int,
    boundary: Literal["ideal", "transversal"] = "ideal",
    seed: int = 0,
    tries: int = 48,
) -> ExtractionRound:
    """The first candidate that keeps the code's distance, else the best.

    Args:
        code: What is measured.
        kind: By which gadgets.
        distance: The code's distance, or an upper bound.
        boundary: Of the experiments that are compared.
        seed: Of what is drawn.
        tries: How many whole orders are looked at, the ascending one among them, where none is proved to be good.
    """
    best: tuple[_Score, ExtractionRound] | None = None
    for number, candidate in enumerate(_candidates(code, kind, distance, seed, tries)):
        if number > 2 and best is not None and -best[0][0] >= 4:
            break  # no larger sets are counted, so drawing on would choose by layers alone
        score = _score(code, candidate, kind, distance, boundary)
        if best is None or score < best[0]:
            best = (score, candidate)
        if -best[0][0] >= distance:
            break
    assert best is not None
    return best[1]


def _candidates(
    code: MeasuredCode, kind: GadgetKind, distance: int, seed: int, tries: int
) -> Iterator[ExtractionRound]:
    if kind == "bare" and (standard := standard_round(code, seed)) is not None:
        yield standard
    natural = natural_schedule(code)
    yield extraction_round(code.stabilizers, natural, kind, distance)
    apart = _drawn_apart(in_css_frame(code) or code, kind, distance, np.random.default_rng([seed, 1]))
    yield extraction_round(code.stabilizers, apart, kind, distance)
    if kind == "shor":
        return  # what is drawn apart is never worse
    rng = np.random.default_rng(seed)
    for _ in range(tries - 1):
        drawn = tuple(tuple(int(q) for q in rng.permutation(order)) for order in natural)
        yield extraction_round(code.stabilizers, drawn, kind, distance)


def _score(
    code: MeasuredCode,
    candidate: ExtractionRound,
    kind: GadgetKind,
    distance: int,
    boundary: Literal["ideal", "transversal"],
) -> _Score:
    if _kept(in_css_frame(code) or code, _data_orders(candidate, code.n), kind, distance) >= distance:
        return -distance, 0, len(candidate.layers)
    tables = [
        fault_table(
            memory_experiment(
                code, candidate, channels=_DEPOLARIZING, rounds=2, basis=basis, boundary=boundary
            ).detector_error_model
        )
        for basis in _BASES
    ]
    for weight in (1, 2, 3):
        if count := sum(
            undetectable_sets(table, weight) for table in tables if weight < 3 or len(table) <= _MOST_COUNTED[3]
        ):
            return -weight, count, len(candidate.layers)
    return -4, 0, len(candidate.layers)


def _data_orders(extraction: ExtractionRound, n: int) -> Schedule:
    return tuple(
        tuple(operation.qubits[1] for operation in gadget.coupling if operation.qubits[1] < n)
        for gadget in extraction.gadgets
    )


def proved_distance(code: MeasuredCode, extraction: ExtractionRound, kind: GadgetKind, distance: int) -> int:
    """A lower bound on the circuit distance of any number of rounds, at most `distance`, by whatever Pauli noise.

    Args:
        code: What is measured.
        extraction: One round of it.
        kind: Its gadgets.
        distance: The code's distance.
    """
    code = in_css_frame(code) or code
    orders = _data_orders(extraction, code.n)
    gadgets = [_gadget(code, index, order, kind, distance) for index, order in enumerate(orders)]
    bound = distance
    for sector in sectors(code):
        table = residual_table(sector, gadgets)
        if all(len(detectors) <= 2 for detectors in table.detectors):
            bound = min(bound, graphlike_distance(table) or distance)
        elif distance > 1:
            bound = min(bound, least_undetectable(table, min(distance - 1, _counted(table))).lower)
    return bound


def _kept(code: MeasuredCode, schedule: Schedule, kind: GadgetKind, distance: int) -> int:
    gadgets = [_gadget(code, index, order, kind, distance) for index, order in enumerate(schedule)]
    return _least(code, gadgets, distance)[0]


def _gadget(code: MeasuredCode, index: int, order: Sequence[int], kind: GadgetKind, distance: int) -> Gadget:
    return extraction_gadget(index, code.stabilizers[index], order, kind, code.n, distance)[0]


def _least(code: MeasuredCode, gadgets: Sequence[Gadget], distance: int) -> tuple[int, int]:
    """(the least size of a set of faults that goes unnoticed and matters, or `distance` where none below it was found;
    minus how many there are of that size, 1 for many): the greatest is best."""
    return min(_least_in(residual_table(sector, gadgets), distance) for sector in sectors(code))


def _least_in(table: FaultTable, distance: int) -> tuple[int, int]:
    if all(len(detectors) <= 2 for detectors in table.detectors):
        reached = graphlike_distance(table)
        return (distance, 0) if reached is None or reached >= distance else (reached, -1)
    upper = least_undetectable(table, min(distance - 1, _counted(table))).upper if distance > 1 else None
    if upper is None:
        return distance, 0
    return upper, -undetectable_sets(table, upper) if upper <= 3 else -1


def _counted(table: FaultTable) -> int:
    """The largest sets that are looked through in a table of this size."""
    return max((most for most in (3, 4) if len(table) <= _MOST_COUNTED[most]), default=2)


def _drawn_apart(code: MeasuredCode, kind: GadgetKind, distance: int, rng: np.random.Generator) -> Schedule:
    """Orders drawn for each stabilizer until its own faults keep the distance, then mended together."""
    schedule: list[tuple[int, ...]] = []
    alone: list[tuple[int, int]] = []
    for index, natural in enumerate(natural_schedule(code)):
        best: tuple[tuple[int, int], tuple[int, ...]] | None = None
        for order in _orders(natural, rng):
            reached = _least(code, [_gadget(code, index, order, kind, distance)], distance)
            if best is None or reached > best[0]:
                best = (reached, order)
            if reached[0] >= distance:
                break
        assert best is not None
        alone.append(best[0])
        schedule.append(best[1])
    return _mended(code, kind, distance, schedule, alone, rng)


def _orders(natural: tuple[int, ...], rng: np.random.Generator) -> Iterator[tuple[int, ...]]:
    """All of them, or `_DRAWS` where there are more; the ascending one first."""
    if factorial(len(natural)) <= _DRAWS:
        yield from permutations(natural)
        return
    yield natural
    for _ in range(_DRAWS - 1):
        yield tuple(int(q) for q in rng.permutation(natural))


def _mended(
    code: MeasuredCode,
    kind: GadgetKind,
    distance: int,
    schedule: Sequence[tuple[int, ...]],
    alone: Sequence[tuple[int, int]],
    rng: np.random.Generator,
) -> Schedule:
    """Stabilizers drawn anew, one at a time, as long as that makes all together no worse."""
    gadgets = [_gadget(code, index, order, kind, distance) for index, order in enumerate(schedule)]
    orders = list(schedule)
    together = _least(code, gadgets, distance)
    for _ in range(_MENDS):
        if together[0] >= distance or min(alone)[0] < distance:
            break  # all is well, or one gadget alone is to blame
        index = int(rng.integers(len(orders)))
        order = tuple(int(q) for q in rng.permutation(orders[index]))
        gadget = _gadget(code, index, order, kind, distance)
        if _least(code, [gadget], distance) < alone[index]:
            continue
        changed = [*gadgets[:index], gadget, *gadgets[index + 1 :]]
        reached = _least(code, changed, distance)
        if reached >= together:
            together, gadgets, orders[index] = reached, changed, order
    return tuple(orders)
