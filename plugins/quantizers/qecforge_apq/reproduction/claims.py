"""What the argmax-preserving quantization paper claims of the order of methods and of APQ's numbers, and what ours say.

A claim is decided by Student's 95 % interval of the mean over seeds: it holds where the whole interval is on the
claimed side, it does not where the whole interval is on the other, and else, or with one seed, it is not decided. Two
methods are compared seed by seed, for they share each seed's teacher.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, TypeAlias

from qecforge.evaluation.policies.fidelity import MARGIN_BUCKETS, MarginBucket
from qecforge.reporting.spread import Spread, spread, three
from qecforge.reporting.tables import Column, Table, percent
from qecforge_apq.reproduction.runs import MAIN_EXPERIMENTS, Result
from qecforge_apq.reproduction.tables import MEAN, grouped

__all__ = ["claims_table"]

GOAL_TOP1, GOAL_TAU, GOAL_FLIPS = 0.986, 0.955, 0.10
"""What the paper reports of APQ."""

_ORDER = ("apq", "lsq", "smoothquant", "ptq")
"""Of top-1 agreement in the paper's table 2, best first."""


@dataclass(frozen=True)
class _Numbers:
    """Of one method and seed: top-1 agreement, tau-b, and flips in the lowest bucket, None where it has no state."""

    top1: float
    tau: float
    flips: float | None


_BySeed: TypeAlias = Mapping[int, _Numbers]


def claims_table(results: Sequence[Result]) -> Table:
    """Every claim of which there are runs, for each experiment, then for the mean over the paper's three."""
    columns = (
        Column("experiment"),
        Column("claim"),
        Column("ours"),
        Column("seeds"),
        Column("holds", show=_verdict),
        Column("value", detail=True),
    )
    found = _by_experiment(results)
    rows = [
        {"experiment": experiment, **row}
        for experiment, methods in found.items()
        for row in (*_goals(methods.get("apq", {})), *_order(methods))
    ]
    return Table(columns, rows, "Claims of the paper")


def _verdict(holds: bool | None) -> str:
    return "not decided" if holds is None else "yes" if holds else "no"


def _by_experiment(results: Sequence[Result]) -> dict[str, dict[str, _BySeed]]:
    """By experiment and method; `mean` has the seeds of which all of the paper's experiments are there."""
    by_experiment: dict[str, dict[str, _BySeed]] = {}
    for (experiment, method), group in grouped(results).items():
        numbers = {
            result.seed: _Numbers(found.top1, found.tau, lowest.rate if (lowest := found.buckets[0]).states else None)
            for result in group
            if (found := result.fidelity) is not None
        }
        if numbers:
            by_experiment.setdefault(experiment, {})[method] = numbers
    mean: dict[str, _BySeed] = {}
    for method in by_experiment.get(MAIN_EXPERIMENTS[0], {}):
        each = [by_experiment.get(experiment, {}).get(method, {}) for experiment in MAIN_EXPERIMENTS]
        shared = sorted(set(each[0]).intersection(*each[1:]))
        if shared:
            mean[method] = {seed: _mean([numbers[seed] for numbers in each]) for seed in shared}
    return {**by_experiment, MEAN: mean} if mean else by_experiment


def _mean(numbers: Sequence[_Numbers]) -> _Numbers:
    flips = [each.flips for each in numbers if each.flips is not None]
    return _Numbers(
        sum(each.top1 for each in numbers) / len(numbers),
        sum(each.tau for each in numbers) / len(numbers),
        sum(flips) / len(flips) if flips else None,
    )


def _goals(apq: _BySeed) -> Iterator[dict[str, Any]]:
    """APQ's own numbers."""
    lowest = MarginBucket(*MARGIN_BUCKETS[0], 0, 0).label
    yield from _row(f"APQ: top-1 at least {percent(GOAL_TOP1)}", [each.top1 for each in apq.values()], GOAL_TOP1)
    yield from _row(f"APQ: tau at least {GOAL_TAU}", [each.tau for each in apq.values()], GOAL_TAU, show=three)
    flips = [each.flips for each in apq.values()]
    claim = f"APQ: flips below {percent(GOAL_FLIPS)} at margins in {lowest}"
    yield from _row(claim, flips, GOAL_FLIPS, sign=-1)


def _order(methods: Mapping[str, _BySeed]) -> Iterator[dict[str, Any]]:
    """That each method agrees with the teacher more than those after it."""
    for better, worse in combinations(_ORDER, 2):
        first, second = methods.get(better, {}), methods.get(worse, {})
        shared = sorted(set(first) & set(second))
        differences = [first[seed].top1 - second[seed].top1 for seed in shared]
        yield from _row(f"top-1: {better} above {worse}, by", differences, 0.0)


def _row(
    claim: str, values: Sequence[float | None], goal: float, *, sign: int = 1, show: Callable[[float], str] = percent
) -> Iterator[dict[str, Any]]:
    """A claim that numbers over seeds lie above the goal, or below it where `sign` is -1."""
    found = Spread.student(values)
    if found is None:
        return
    low, high = sorted((sign * (found.low - goal), sign * (found.high - goal)))
    holds = None if found.seeds == 1 else True if low >= 0 else False if high < 0 else None
    yield {
        "claim": claim,
        "ours": spread(show)(found.row()),
        "seeds": found.seeds,
        "holds": holds,
        "value": found.row(),
    }
