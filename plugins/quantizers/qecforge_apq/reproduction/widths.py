"""What each method keeps at each width: the paper's methods and ours, in one table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qecforge.reporting.spread import Spread, hundred, row_of, spread, three
from qecforge.reporting.tables import Column, Table, number
from qecforge_apq.reproduction.runs import MAIN_EXPERIMENTS, Result
from qecforge_apq.reproduction.tables import MEAN

__all__ = ["width_table"]


def width_table(results: Sequence[Result]) -> Table:
    """A row for each width, experiment and method; then the means over the paper's experiments where all three are
    there. Held-out states are distinct, and the student did not learn on them."""
    columns = (
        Column("bits", justify="right"),
        Column("experiment"),
        Column("method"),
        Column("seeds"),
        Column("top1", "top-1 %", show=spread(hundred), justify="right"),
        Column("top1_distinct", "top-1 %, each distinct state once", show=spread(hundred), justify="right"),
        Column("held_out", "held-out states, %", show=spread(hundred), justify="right"),
        Column("tau", "Kendall tau", show=spread(three), justify="right"),
        Column("step_change", "mean |change of log step|", show=spread(three), justify="right"),
        Column("seconds", "training, s", show=spread(number), justify="right"),
        Column("cpu_seconds", "of the CPU", show=spread(number), justify="right"),
    )
    judged = [result for result in results if result.fidelity is not None]
    groups: dict[tuple[int, str, str], list[Result]] = {}
    for result in judged:
        groups.setdefault((result.bits, result.task, result.method.name), []).append(result)
    rows = [_row(bits, task, [[each] for each in group]) for (bits, task, _), group in groups.items()]
    for bits, method in dict.fromkeys((bits, method) for bits, _, method in groups):
        by_seed: dict[int, list[Result]] = {}
        for task in MAIN_EXPERIMENTS:
            for result in groups.get((bits, task, method), ()):
                by_seed.setdefault(result.seed, []).append(result)
        if complete := [found for found in by_seed.values() if len(found) == len(MAIN_EXPERIMENTS)]:
            rows.append(_row(bits, MEAN, complete))
    rows.sort(key=lambda row: (-row["bits"], row["experiment"] == MEAN))
    return Table(columns, rows, "Widths: decisions kept and what it took")


def _row(bits: int, experiment: str, seeds: Sequence[Sequence[Result]]) -> dict[str, Any]:
    """Of each seed one result, or one for each experiment, whose mean is then the seed's number."""

    def over_seeds(value: Callable[[Result], float | None]) -> dict[str, float] | None:
        return row_of(Spread.of(_mean([value(result) for result in found]) for found in seeds))

    def trained(name: str) -> dict[str, float] | None:
        return over_seeds(lambda result: result.training.get(name))

    return {
        "bits": bits,
        "experiment": experiment,
        "method": seeds[0][0].method.label,
        "seeds": len(seeds),
        "top1": over_seeds(lambda result: result.fidelity.top1 if result.fidelity else None),
        "top1_distinct": over_seeds(lambda result: result.fidelity.top1_distinct if result.fidelity else None),
        "held_out": trained("held_out_top1"),
        "tau": over_seeds(lambda result: result.fidelity.tau if result.fidelity else None),
        "step_change": trained("step_change_mean"),
        "seconds": trained("seconds"),
        "cpu_seconds": trained("cpu_seconds"),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return sum(present) / len(present) if len(present) == len(values) else None
