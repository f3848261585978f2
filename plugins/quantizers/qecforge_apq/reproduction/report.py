"""The report of the argmax-preserving quantization paper's reproduction: its claims, tables and figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qecforge.contracts import Report
from qecforge.evaluation.policies.fidelity import HISTOGRAM_EDGES, pooled_buckets
from qecforge.evaluation.statistics import wilson_interval
from qecforge.reporting import figures
from qecforge.reporting.spread import Spread
from qecforge_apq.reproduction import figures as drawn
from qecforge_apq.reproduction.claims import claims
from qecforge_apq.reproduction.codes import codes_table, once_each
from qecforge_apq.reproduction.details import flips_table, latency_table, noise_table, search_table
from qecforge_apq.reproduction.runs import Result
from qecforge_apq.reproduction.tables import ablation_table, decision_table, grouped
from qecforge_apq.reproduction.widths import width_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["error_rate_curves", "report_figures", "report_of"]

_PRECISIONS = ("fp32", "bf16", "fp16", "int8", "int4")


def report_of(results: Sequence[Result]) -> Report:
    """What is said of these results."""
    return Report(
        claims=claims(results),
        tables={
            "table2": decision_table(results),
            "table3": ablation_table(results),
            "widths": width_table(results),
            "codes": codes_table(results),
            "flips": flips_table(results),
            "noise": noise_table(results),
            "search": search_table(results),
            "latency": latency_table(results),
        },
        claims_after="codes",
        figures=lambda: report_figures(results),
    )


def report_figures(results: Sequence[Result]) -> dict[str, Figure]:
    """The figures that have something to show, by file name without its ending.

    Of each experiment: `margins`, `flips`, `noise`, `top1`, `tau` (with the paper's means, which are over all
    experiments), `first_code`, `latency` and `error_rates`.
    """
    found: dict[str, Figure] = {}
    for experiment in dict.fromkeys(result.experiment for result in results):
        groups = [group for (where, _), group in grouped(results).items() if where == experiment]
        for name, figure in _figures(experiment, groups):
            found[f"{experiment}_{name}"] = figure
    return found


def error_rate_curves(group: Sequence[Result]) -> list[figures.Point]:
    """Logical error rates of one method by p: counts of all its codes added, each once, with Wilson's interval.

    A rate that was computed exactly enters as the mean over codes, without an interval.
    """
    points = []
    rates = [rate for result in once_each(group) for rate in result.rates]
    for p in sorted({rate.p for rate in rates}):
        found = [rate for rate in rates if rate.p == p]
        if any(rate.counts.exact_rate is not None for rate in found):
            mean = sum(rate.rate for rate in found) / len(found)
            points.append(figures.Point(p, mean, mean, mean))
            continue
        interval = wilson_interval(sum(r.errors for r in found), sum(r.counts.kept for r in found))
        if not math.isnan(interval.estimate):
            points.append(figures.Point(p, interval.estimate, interval.low, interval.high))
    return points


def _figures(experiment: str, groups: Sequence[Sequence[Result]]) -> list[tuple[str, Figure]]:
    found: list[tuple[str, Figure]] = []
    compared = {
        group[0].method.label: [result.fidelity for result in group if result.fidelity is not None] for group in groups
    }
    compared = {label: fidelities for label, fidelities in compared.items() if fidelities}
    if compared:
        # every method is compared on states of the same teachers: the one with most seeds shows them all
        first = max(compared.values(), key=len)
        summed = [sum(counts) for counts in zip(*(each.margin_histogram for each in first), strict=True)]
        above = sum(each.margins_above for each in first)
        name = "teacher's states"
        found.append(
            ("margins", drawn.margin_figure(HISTOGRAM_EDGES, {name: summed}, {name: above}, f"{experiment}: margins"))
        )
        buckets = {label: pooled_buckets(fidelities) for label, fidelities in compared.items()}
        found.append(("flips", drawn.flips_figure(buckets, f"{experiment}: flips by the teacher's margin")))
        noises = {label: [each.noise for each in fidelities] for label, fidelities in compared.items()}
        found.append(("noise", drawn.noise_figure(noises, f"{experiment}: logit noise")))
    for name, what in (("top1", "top-1 agreement"), ("tau", "Kendall's tau-b")):
        bars = []
        for group in groups:
            spread = Spread.of(getattr(result.fidelity, name) if result.fidelity else None for result in group)
            if spread is not None:
                theirs = getattr(group[0].method.paper, name)
                bars.append(figures.Bar(group[0].method.label, spread.mean, spread.low, spread.high, theirs))
        if bars:
            found.append((name, drawn.fidelity_figure(bars, what, f"{experiment}: {what}")))
    times = [
        figures.Bar(group[0].method.label, spread.mean, spread.low, spread.high)
        for group in groups
        if (spread := Spread.of(result.search.get("seconds_to_first_code") for result in group)) is not None
    ]
    if times:
        found.append(("first_code", drawn.first_code_figure(times, f"{experiment}: search by the final policy")))
    latencies = _latencies(groups)
    if latencies:
        present = {precision for values in latencies.values() for precision in values}
        axis = [precision for precision in _PRECISIONS if precision in present]
        axis += sorted(present.difference(axis))
        found.append(("latency", drawn.latency_figure(latencies, axis, f"{experiment}: latency and precision")))
    curves = {group[0].method.label: error_rate_curves(group) for group in groups}
    curves = {label: points for label, points in curves.items() if points}
    if curves:
        found.append(("error_rates", figures.error_rate_figure(curves, f"{experiment}: best code of each run")))
    return found


def _latencies(groups: Sequence[Sequence[Result]]) -> dict[str, dict[str, float]]:
    """Microseconds at batch 1 by runtime and precision; a method with integers is named beside its runtime."""
    found: dict[str, dict[str, float]] = {}
    for group in groups:
        measured = next((result for result in group if result.latency), None)
        for row in measured.latency["rows"] if measured else ():
            if row["batch"] == 1:
                name = row["runtime"]
                if row["precision"].startswith("int"):
                    name = f"{name}, {group[0].method.label}"
                found.setdefault(name, {})[row["precision"]] = 1e6 * row["seconds"]
    return found
