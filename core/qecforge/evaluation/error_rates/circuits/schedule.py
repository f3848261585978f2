"""The order of each stabilizer's data gates: a seeded search for one whose faults do least harm.

A fault on an ancilla spreads to the data qubits that are coupled after it, so the order decides which errors of weight
two and more come from single faults. Every order is valid (stabilizers that disagree on a qubit are measured in
different phases), so the search is free: it draws orders, builds the experiment and keeps the best circuit distance,
then the fewest undetectable fault sets of that size, then the fewest layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np

from qecforge.evaluation.error_rates.circuits._faults import fault_table
from qecforge.evaluation.error_rates.circuits.distance import undetectable_sets
from qecforge.evaluation.error_rates.circuits.extraction import ExtractionRound, GadgetKind, Schedule, extraction_round
from qecforge.evaluation.error_rates.circuits.generators import MeasuredCode
from qecforge.evaluation.error_rates.circuits.memory import memory_experiment
from qecforge.evaluation.error_rates.noise import DepolarizingNoise

__all__ = ["best_round", "natural_schedule"]

_Score: TypeAlias = tuple[int, int, int]
_MOST_MECHANISMS = 2_000
"""Above this, sets of three faults are not counted: the pairs would cost more than they tell."""


def natural_schedule(code: MeasuredCode) -> Schedule:
    """Every stabilizer's data qubits in ascending order."""
    return tuple(tuple(q for q, p in enumerate(pauli) if p != "I") for pauli in code.stabilizers)


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
    """The best of `tries` orders, the natural one among them.

    Orders are judged on a two-round experiment in both bases, with depolarizing noise at every place. The search ends
    early when no set of fewer than min(distance, 4) faults is undetectable, since then the order costs no distance
    (or none that is counted). Cat states (`shor`) spread no fault, so their order is the natural one.
    """
    natural = natural_schedule(code)
    if kind == "shor":
        return extraction_round(code.stabilizers, natural, kind, distance)
    best: tuple[_Score, ExtractionRound] | None = None
    for schedule in _candidates(natural, np.random.default_rng(seed), tries):
        candidate = extraction_round(code.stabilizers, schedule, kind, distance)
        score = _score(code, candidate, boundary)
        if best is None or score < best[0]:
            best = (score, candidate)
        if -best[0][0] >= min(distance, 4):
            break
    assert best is not None
    return best[1]


def _candidates(natural: Schedule, rng: np.random.Generator, tries: int) -> Iterator[Schedule]:
    yield natural
    for _ in range(tries - 1):
        yield tuple(tuple(int(q) for q in rng.permutation(order)) for order in natural)


def _score(code: MeasuredCode, candidate: ExtractionRound, boundary: Literal["ideal", "transversal"]) -> _Score:
    channels = DepolarizingNoise.model_validate({}).channels(1e-3)
    totals = {1: 0, 2: 0, 3: 0}
    for basis in ("x", "z"):
        experiment = memory_experiment(
            code,
            candidate,
            channels=channels,
            rounds=2,
            basis=basis,
            boundary=boundary,
        )
        table = fault_table(experiment.detector_error_model)
        for weight in totals:
            if weight < 3 or len(table) <= _MOST_MECHANISMS:
                totals[weight] += undetectable_sets(table, weight)
    for weight, count in totals.items():
        if count:
            return -weight, count, len(candidate.layers)
    return -4, 0, len(candidate.layers)
