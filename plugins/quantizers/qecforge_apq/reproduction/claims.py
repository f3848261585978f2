"""What the argmax-preserving quantization paper claims of the order of methods and of APQ's numbers, and what ours say.

Two methods are compared seed by seed, for they share each seed's teacher.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

from qecforge.contracts import Claim
from qecforge.evaluation.policies.fidelity import MARGIN_BUCKETS, MarginBucket
from qecforge.reporting.spread import Spread, three
from qecforge.reporting.tables import percent
from qecforge.reproduction import at_least, at_most
from qecforge_apq.reproduction.runs import MAIN_EXPERIMENTS, Result, methods
from qecforge_apq.reproduction.tables import MEAN, grouped

__all__ = ["claims"]

GOAL_TOP1, GOAL_TAU, GOAL_FLIPS = 0.986, 0.955, 0.10
"""What the paper reports of APQ."""

_ORDER = ("apq", "lsq", "smoothquant", "ptq")
"""Of top-1 agreement in the paper's table 2, best first."""


@dataclass(frozen=True)
class _Numbers:
    """Of one method and seed: top-1 agreement, tau-b, and flips of distinct states in the lowest bucket,
    None where it has none or they were not counted."""

    top1: float
    tau: float
    flips: float | None


_BySeed: TypeAlias = Mapping[int, _Numbers]


def claims(results: Sequence[Result]) -> list[Claim]:
    """Every claim of which there are runs, for each experiment, then for the mean over the paper's three."""
    found = _by_experiment(results)
    return [
        claim
        for experiment, by_method in found.items()
        for claim in (*_goals(experiment, by_method.get("apq", {})), *_order(experiment, by_method))
    ]


def _by_experiment(results: Sequence[Result]) -> dict[str, dict[str, _BySeed]]:
    """By experiment and method; `mean` has the seeds of which all of the paper's experiments are there."""
    by_experiment: dict[str, dict[str, _BySeed]] = {}
    for (experiment, method), group in grouped([each for each in results if each.task == each.experiment]).items():
        numbers = {
            result.seed: _Numbers(found.top1, found.tau, _flips_once(found.buckets[0]))
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


def _flips_once(bucket: MarginBucket) -> float | None:
    """The rate over distinct states: a sharp policy visits the same states again and again."""
    once = bucket.once
    return once.rate if once is not None and once.states else None


def _mean(numbers: Sequence[_Numbers]) -> _Numbers:
    flips = [each.flips for each in numbers if each.flips is not None]
    return _Numbers(
        sum(each.top1 for each in numbers) / len(numbers),
        sum(each.tau for each in numbers) / len(numbers),
        sum(flips) / len(flips) if flips else None,
    )


def _goals(experiment: str, apq: _BySeed) -> Iterator[Claim]:
    """APQ's own numbers."""
    if ours := Spread.student(each.top1 for each in apq.values()):
        goal = percent(GOAL_TOP1)
        yield Claim(
            part=experiment,
            text=f"APQ: top-1 at least {goal}",
            theirs=goal,
            ours=ours,
            criterion=at_least(GOAL_TOP1, percent),
            show=percent,
        )
    if ours := Spread.student(each.tau for each in apq.values()):
        yield Claim(
            part=experiment,
            text=f"APQ: tau at least {GOAL_TAU}",
            theirs=three(GOAL_TAU),
            ours=ours,
            criterion=at_least(GOAL_TAU, three),
            show=three,
        )
    if ours := Spread.student(each.flips for each in apq.values()):
        goal, lowest = percent(GOAL_FLIPS), MarginBucket(*MARGIN_BUCKETS[0], 0, 0).label
        yield Claim(
            part=experiment,
            text=f"APQ: flips below {goal} of distinct states at margins in {lowest}",
            theirs=goal,
            ours=ours,
            criterion=at_most(GOAL_FLIPS, percent),
            show=percent,
        )


def _order(experiment: str, by_method: Mapping[str, _BySeed]) -> Iterator[Claim]:
    """That each method agrees with the teacher more than those after it."""
    for better, worse in combinations(_ORDER, 2):
        first, second = by_method.get(better, {}), by_method.get(worse, {})
        shared = sorted(set(first) & set(second))
        if ours := Spread.student(first[seed].top1 - second[seed].top1 for seed in shared):
            yield Claim(
                part=experiment,
                text=f"top-1: {better} above {worse}, by",
                theirs=_lead(better, worse),
                ours=ours,
                criterion=at_least(0),
                show=percent,
            )


def _lead(better: str, worse: str) -> str:
    """By how much the paper's table 2 has one method above another."""
    one, other = (methods()[name].paper.top1 for name in (better, worse))
    return "" if one is None or other is None else percent(one - other)
