"""What lies behind tables 2 and 3 of the argmax-preserving quantization paper: flips by margin, logit noise, search,
latency."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qecforge.evaluation.policies.fidelity import DecisionFidelity, pooled_buckets
from qecforge.reporting.spread import Spread, hundred, row_of, spread, three
from qecforge.reporting.tables import Column, Table, number
from qecforge_apq.reproduction.runs import Result
from qecforge_apq.reproduction.tables import WHO, grouped

__all__ = ["flips_table", "latency_table", "noise_table", "search_table"]


def flips_table(results: Sequence[Result]) -> Table:
    """Flips of the argmax by the teacher's margin, states of all seeds pooled.

    Visits of one state are no independent trials: the interval is Wilson's of the distinct states, each counted once.
    """
    columns = (
        Column("experiment"),
        Column("method"),
        Column("margin"),
        Column("states"),
        Column("flips"),
        Column("rate", "flips %", show=hundred, justify="right"),
        Column("theirs", "theirs", show=_theirs, justify="right"),
        Column("distinct", "distinct states"),
        Column("rate_distinct", "flips %, each once", show=hundred, justify="right"),
        Column("interval", "95 %", show=_percents),
        Column("states_student", "states, student's", detail=True),
        Column("flips_student", "flips, student's", detail=True),
    )
    rows = []
    for (experiment, _), group in grouped(results).items():
        found = [result.fidelity for result in group if result.fidelity is not None]
        own = [result.fidelity_student for result in group if result.fidelity_student is not None]
        if not found:
            continue
        for index, (bucket, second) in enumerate(zip(pooled_buckets(found), pooled_buckets(own), strict=True)):
            once = bucket.once
            rows.append(
                {
                    "experiment": experiment,
                    "method": group[0].method.label,
                    "margin": bucket.label,
                    "states": bucket.states,
                    "flips": bucket.flips,
                    "rate": bucket.rate if bucket.states else None,
                    "distinct": None if once is None else once.states,
                    "rate_distinct": once.rate if once is not None and once.states else None,
                    "interval": None if once is None else [once.interval.low, once.interval.high],
                    "theirs": group[0].method.paper.flips if index == 0 else None,
                    "states_student": second.states,
                    "flips_student": second.flips,
                }
            )
    return Table(columns, rows, "Flips of the argmax by the teacher's margin")


def _theirs(rate: float | None) -> str:
    """The upper end of what the paper says, `< 10`."""
    return "" if rate is None else f"<= {100 * rate:.0f}"


def _percents(ends: Sequence[float] | None) -> str:
    return "" if ends is None else f"[{hundred(ends[0])}, {hundred(ends[1])}]"


def noise_table(results: Sequence[Result]) -> Table:
    """Logit noise beside the teacher's margins, and how both rollouts see the agreement."""
    columns = (
        *WHO,
        Column("noise", "logit noise, mean", show=spread(three), justify="right"),
        Column("noise_p95", "95th percentile", show=spread(three), justify="right"),
        Column("noise_shift_free", "shift-free, mean", show=spread(three), justify="right"),
        Column("near_ties", "margin < 0.5, %", show=spread(hundred), justify="right"),
        Column("stable", "margin > 2 noise, %", show=spread(hundred), justify="right"),
        Column("distinct", "distinct states", show=spread(number), justify="right"),
        Column("top1_student", "top-1 % on the student's states", show=spread(hundred), justify="right"),
    )
    rows = []
    for (experiment, _), group in grouped(results).items():
        if all(result.fidelity is None for result in group):
            continue
        rows.append(
            {
                "experiment": experiment,
                "method": group[0].method.label,
                "seeds": len(group),
                "noise": _spread(group, lambda f: f.noise.mean),
                "noise_p95": _spread(group, lambda f: f.noise.p95),
                "noise_shift_free": _spread(group, lambda f: f.noise_shift_free.mean),
                "near_ties": _spread(group, lambda f: 1 - f.buckets[-1].states / f.states),
                "stable": _spread(group, lambda f: f.stable / f.states),
                "distinct": _spread(group, lambda f: f.distinct_states),
                "top1_student": row_of(
                    Spread.of(r.fidelity_student.top1 if r.fidelity_student else None for r in group)
                ),
            }
        )
    return Table(columns, rows, "Logit noise")


def search_table(results: Sequence[Result]) -> Table:
    """What the final policy finds when it plays: how often it reaches the target, and the speed of its actors.

    Successes are episodes that reached the target, many with one code; the float actor is torch's.
    The search may have shared the machine with another run; the rollouts measured with the latency had it alone.
    """
    columns = (
        *WHO,
        Column("success", "success %", show=spread(hundred), justify="right"),
        Column("first", "first code of the search, s", show=spread(number), justify="right"),
        Column("successes_per_hour", "successes per hour", show=spread(number), justify="right"),
        Column("successes_ratio", "to float", show=number, justify="right"),
        Column("steps_per_second", "steps per second", show=spread(number), justify="right"),
        Column("steps_ratio", "to float", show=number, justify="right"),
        Column("rollouts", "steps per second, alone", show=number, justify="right"),
        Column("rollouts_ratio", "to float", show=number, justify="right"),
        Column("codes_ratio_theirs", "codes per hour to float, theirs", show=number, justify="right"),
    )
    rows: list[dict[str, Any]] = []
    groups = grouped(results)
    for (experiment, _), group in groups.items():
        teacher = _teacher(groups, experiment)
        speeds = {
            key: Spread.of(result.search.get(key) for result in group)
            for key in ("success_rate", "seconds_to_first_code", "successes_per_hour", "steps_per_second")
        }
        if all(each is None for each in speeds.values()):
            continue
        base = {key: Spread.of(result.search.get(key) for result in teacher) for key in speeds}
        alone, alone_base = (
            Spread.of(result.latency.get("rollout_steps_per_second") for result in each) for each in (group, teacher)
        )
        rows.append(
            {
                "experiment": experiment,
                "method": group[0].method.label,
                "seeds": len(group),
                "success": row_of(speeds["success_rate"]),
                "first": row_of(speeds["seconds_to_first_code"]),
                "successes_per_hour": row_of(speeds["successes_per_hour"]),
                "successes_ratio": _ratio(speeds["successes_per_hour"], base["successes_per_hour"]),
                "steps_per_second": row_of(speeds["steps_per_second"]),
                "steps_ratio": _ratio(speeds["steps_per_second"], base["steps_per_second"]),
                "rollouts": None if alone is None else alone.mean,
                "rollouts_ratio": _ratio(alone, alone_base),
                "codes_ratio_theirs": 2.1 if group[0].method.name == "apq" else None,
            }
        )
    return Table(columns, rows, "Search: float and INT8 actors")


def latency_table(results: Sequence[Result]) -> Table:
    """Latency by precision and runtime, one policy of each method; the paper's FP16 is torch's on a CPU at batch 1.

    Ratios are to the float policy's numbers from the same model of CPU.
    """
    columns = (
        Column("experiment"),
        Column("method"),
        Column("precision"),
        Column("runtime"),
        Column("batch"),
        Column("microseconds", "us", show=number, justify="right"),
        Column("steps_per_second", "steps per second", show=number, justify="right"),
        Column("steps_theirs", "theirs", show=number, justify="right"),
        Column("speedup", "to torch fp16", show=number, justify="right"),
        Column("speedup_best", "to best float", show=number, justify="right"),
        Column("theirs", "to FP16, theirs", show=number, justify="right"),
        Column("kernel", detail=True),
        Column("cpu", detail=True),
    )
    rows: list[dict[str, Any]] = []
    groups = grouped(results)
    for (experiment, _), group in groups.items():
        measured = next((result for result in group if result.latency), None)
        if measured is None:
            continue
        floats = [
            row
            for result in _teacher(groups, experiment)
            if result.latency.get("cpu") == measured.latency.get("cpu")
            for row in result.latency.get("rows", ())
        ]
        paper = measured.method.paper.latency_ms
        for row in measured.latency["rows"]:
            same = [each for each in floats if each["batch"] == row["batch"]]
            fp16 = [each["seconds"] for each in same if (each["precision"], each["runtime"]) == ("fp16", "torch")]
            integer = row["precision"].startswith("int")
            compared = row["batch"] == 1 and (integer or (row["precision"], row["runtime"]) == ("fp16", "torch"))
            rows.append(
                {
                    "experiment": experiment,
                    "method": measured.method.label,
                    "precision": row["precision"],
                    "runtime": row["runtime"],
                    "batch": row["batch"],
                    "microseconds": 1e6 * row["seconds"],
                    "steps_per_second": row["batch"] / row["seconds"],
                    "steps_theirs": measured.method.paper.steps_per_second if compared else None,
                    "speedup": min(fp16) / row["seconds"] if fp16 else None,
                    "speedup_best": min(each["seconds"] for each in same) / row["seconds"] if same else None,
                    "theirs": 2.74 / paper if paper and integer and row["batch"] == 1 else None,
                    "kernel": row.get("kernel"),
                    "cpu": measured.latency.get("cpu"),
                }
            )
    return Table(columns, rows, "Latency")


def _spread(group: Sequence[Result], value: Callable[[DecisionFidelity], float | None]) -> dict[str, float] | None:
    return row_of(Spread.of(value(result.fidelity) if result.fidelity else None for result in group))


def _ratio(one: Spread | None, other: Spread | None) -> float | None:
    return one.mean / other.mean if one is not None and other is not None and other.mean > 0 else None


def _teacher(groups: Mapping[tuple[str, str], list[Result]], experiment: str) -> list[Result]:
    return [
        result
        for (where, _), group in groups.items()
        if where == experiment
        for result in group
        if result.method.quantizer is None
    ]
