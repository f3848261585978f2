"""The codes behind the logical error rates of the argmax-preserving quantization tables, and how well those are known.

The store counts shots by code: runs that end with the same code have the same rate, which then says nothing of the
methods.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from qecforge.reporting.tables import Column, Table
from qecforge_apq.reproduction.runs import Result
from qecforge_apq.reproduction.tables import WHO, grouped

__all__ = ["codes_table"]

_STRENGTHS = {"1e3": 1e-3, "1e4": 1e-4}


def codes_table(results: Sequence[Result]) -> Table:
    """Of each method's runs: how many different codes, how many of them the float teacher's too, errors and shots."""
    columns = (
        *WHO,
        Column("codes", "distinct codes"),
        Column("as_teacher", "runs with the teacher's code"),
        *(
            Column(f"{what}_{name}", f"{what} at {p:.0e}".replace("e-0", "e-"))
            for name, p in _STRENGTHS.items()
            for what in ("errors", "shots")
        ),
    )
    teachers = {
        (result.experiment, result.seed): result.code.id
        for result in results
        if result.method.quantizer is None and result.code is not None
    }
    rows: list[dict[str, Any]] = []
    for (experiment, _), group in grouped(results).items():
        found = [result for result in group if result.code is not None and result.rates]
        if not found:
            continue
        row: dict[str, Any] = {
            "experiment": experiment,
            "method": group[0].method.label,
            "seeds": len(group),
            "codes": len({result.code.id for result in found if result.code is not None}),
            "as_teacher": _shared(found, teachers),
        }
        for name, p in _STRENGTHS.items():
            rates = [rate for result in once_each(found) if (rate := result.rate_at(p)) is not None]
            sampled = [rate for rate in rates if rate.counts.exact_rate is None]
            row[f"errors_{name}"] = sum(rate.errors for rate in sampled) if sampled else None
            row[f"shots_{name}"] = sum(rate.counts.kept for rate in sampled) if sampled else None
        rows.append(row)
    return Table(columns, rows, "Codes behind the logical error rates, each counted once")


def once_each(results: Iterable[Result]) -> list[Result]:
    """The first result of each code."""
    first: dict[str, Result] = {}
    for result in results:
        if result.code is not None:
            first.setdefault(result.code.id, result)
    return list(first.values())


def _shared(found: Sequence[Result], teachers: dict[tuple[str, int], str]) -> int | None:
    """Runs whose code is that of the float run of their seed; None for the float policy itself."""
    if found[0].method.quantizer is None:
        return None
    return sum(
        result.code is not None and teachers.get((result.experiment, result.seed)) == result.code.id for result in found
    )
