"""Tables 2 and 3 of the argmax-preserving quantization paper: ours beside theirs.

A number over seeds is a `Spread`: mean, sample deviation and Student's interval. Where several of the paper's
experiments are there for a seed, a table's last rows are their mean, which is what the paper prints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qecforge.reporting.spread import Spread, hundred, row_of, small, spread, three
from qecforge.reporting.tables import Column, Table, number
from qecforge_apq.reproduction.runs import MAIN_EXPERIMENTS, Method, Result

__all__ = [
    "MEAN",
    "WHO",
    "ablation_table",
    "decision_table",
    "grouped",
]

MEAN = "mean"
"""The experiment's name in rows that are means over the paper's experiments."""

WHO = (Column("experiment"), Column("method"), Column("seeds"))
_DECISIONS = (
    Column("top1", "top-1 %", show=spread(hundred), justify="right"),
    Column("top1_theirs", "theirs", show=hundred, justify="right"),
    Column("top1_distinct", "top-1 %, each distinct state once", show=spread(hundred), justify="right"),
    Column("tau", "Kendall tau", show=spread(three), justify="right"),
    Column("tau_theirs", "theirs", show=three, justify="right"),
)
_RATES = (
    Column("ler_1e3", "LER at 1e-3", show=spread(small), justify="right"),
    Column("ler_1e3_theirs", "theirs", show=small, justify="right"),
    Column("ler_1e4", "LER at 1e-4", show=spread(small), justify="right"),
    Column("ler_1e4_theirs", "theirs", show=small, justify="right"),
    Column("ler_of", "LER: code, extraction, decoder"),
)


def grouped(results: Sequence[Result]) -> dict[tuple[str, str], list[Result]]:
    """Results by experiment and method, in order of appearance."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.experiment, result.method.name), []).append(result)
    return groups


def decision_table(results: Sequence[Result]) -> Table:
    """Table 2, decisions and code quality. The float teacher agrees with itself by definition."""
    return Table((*WHO, *_DECISIONS, *_RATES), _rows(results, "main"), "Table 2: decisions and code quality")


def ablation_table(results: Sequence[Result]) -> Table:
    """Table 3: APQ and what is left of it without its parts."""
    columns = (
        *WHO,
        *_DECISIONS,
        *_RATES,
        Column("seconds", "first code of the run, s", show=spread(number), justify="right"),
        Column("hours_theirs", "theirs (d = 5), h", show=number, justify="right"),
    )
    return Table(columns, _rows(results, "ablation"), "Table 3: ablations")


def _rows(results: Sequence[Result], table: str) -> list[dict[str, Any]]:
    """A row for each experiment and method, then the means over the paper's experiments where all three are there."""
    chosen = [
        result
        for result in results
        if result.experiment == result.task
        and (result.method.table == table or (table == "ablation" and result.method.name == "apq"))
    ]
    if table == "ablation" and not any(result.method.table == table for result in chosen):
        return []
    groups = grouped(chosen)
    rows = [_decisions(experiment, [[result] for result in group]) for (experiment, _), group in groups.items()]
    for name in dict.fromkeys(result.method.name for result in chosen):
        by_seed: dict[int, list[Result]] = {}
        for experiment in MAIN_EXPERIMENTS:
            for result in groups.get((experiment, name), ()):
                by_seed.setdefault(result.seed, []).append(result)
        complete = [found for found in by_seed.values() if len(found) == len(MAIN_EXPERIMENTS)]
        if complete:
            rows.append(_decisions(MEAN, complete))
    return rows


def _decisions(experiment: str, seeds: Sequence[Sequence[Result]]) -> dict[str, Any]:
    """A row; of each seed one result, or one for each experiment, whose mean is then the seed's number."""
    method: Method = seeds[0][0].method
    teacher = method.quantizer is None
    paper = method.paper

    def over_seeds(value: Callable[[Result], float | None]) -> dict[str, float] | None:
        return row_of(Spread.of(_mean([value(result) for result in found]) for found in seeds))

    def top1(result: Result) -> float | None:
        return 1.0 if teacher else result.fidelity.top1 if result.fidelity else None

    def top1_distinct(result: Result) -> float | None:
        return 1.0 if teacher else result.fidelity.top1_distinct if result.fidelity else None

    def tau(result: Result) -> float | None:
        return 1.0 if teacher else result.fidelity.tau if result.fidelity else None

    def rate(result: Result, p: float) -> float | None:
        found = result.rate_at(p)
        return None if found is None else found.rate

    return {
        "experiment": experiment,
        "method": method.label,
        "seeds": len(seeds),
        "top1": over_seeds(top1),
        "top1_theirs": paper.top1,
        "top1_distinct": over_seeds(top1_distinct),
        "tau": over_seeds(tau),
        "tau_theirs": paper.tau,
        "ler_1e3": over_seeds(lambda result: rate(result, 1e-3)),
        "ler_1e3_theirs": paper.ler_1e3,
        "ler_1e4": over_seeds(lambda result: rate(result, 1e-4)),
        "ler_1e4_theirs": paper.ler_1e4,
        "ler_of": "; ".join(dict.fromkeys(_measured_on(result) for found in seeds for result in found if result.rates)),
        "seconds": over_seeds(lambda result: result.seconds_to_code),
        "hours_theirs": paper.hours,
    }


def _measured_on(result: Result) -> str:
    """Code, extraction and decoder of a result's rates, such as `[[12,1,3]] flag ml_lookup`."""
    assert result.code is not None
    decoders = "/".join(dict.fromkeys(rate.task.decoder for rate in result.rates))
    return f"[[{result.code.n},{result.code.k},{result.code.distance}]] {result.rates[0].task.extraction} {decoders}"


def _mean(values: Sequence[float | None]) -> float | None:
    """None unless all are there: a mean over fewer experiments is another number."""
    present = [value for value in values if value is not None]
    return sum(present) / len(present) if len(present) == len(values) else None
