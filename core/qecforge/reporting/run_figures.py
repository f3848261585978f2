"""Figures that every run can have, whatever its plugins: how it learned, the codes that it found, and their logical
error rates."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from qecforge.contracts.metrics import COST, EPISODE_RETURN, TRUE_COST
from qecforge.errors import ConfigurationError
from qecforge.evaluation.built_in import DECISION_FIDELITY
from qecforge.evaluation.policies.fidelity import DecisionFidelity
from qecforge.evaluation.statistics import SlopeFit, fit_slope
from qecforge.reporting.curves import STEPS, Curves, curves_figure, grouped_thousands, run_title
from qecforge.reporting.figures import (
    BESIDE,
    Bar,
    Point,
    error_lengths,
    error_rate_figure,
    new_axes,
    plain_text,
    require_matplotlib,
)
from qecforge.reporting.tables import bound

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from qecforge.store import CodeRecord, ErrorRate, Run, Store

__all__ = ["code_name", "codes_figure", "decisions_figure", "error_rates_figure", "learning_curve", "metrics_figure"]

MOST_CURVES = 6
"""Logical error rates that one figure has room for."""
MOST_METRICS = 4
"""Panels of metrics about which no view says which matters."""


def learning_curve(store: Store, run: Run, *, labels: Mapping[str, str] | None = None, x: str = STEPS) -> Figure | None:
    """The mean return of episodes, or else the cost and what it is without sampling noise, over the run's progress.

    Args:
        labels: What people call a metric, by its name.
        x: What the horizontal axis says.

    Returns:
        None where the run logged neither.
    """
    labels, names = labels or {}, store.metric_names(run.id)
    if EPISODE_RETURN in names:
        label = labels.get(EPISODE_RETURN, "episode return")
        return curves_figure(store, run, [Curves(y=f"mean {label}", metrics={EPISODE_RETURN: ""})], x=x)
    if COST not in names:
        return None
    metrics = {COST: "measured", TRUE_COST: "without sampling noise"}
    return curves_figure(store, run, [Curves(y=labels.get(COST, "cost"), metrics=metrics, log=True)], x=x)


def metrics_figure(store: Store, run: Run, *, x: str = STEPS) -> Figure | None:
    """The first metrics that a run logged, a panel each, for runs of which nothing else is drawn.

    None where it logged nothing.
    """
    panels = [Curves(y=plain_text(name), metrics={name: ""}) for name in store.metric_names(run.id)[:MOST_METRICS]]
    return curves_figure(store, run, panels, x=x)


def codes_figure(store: Store, run: Run, *, x: str = STEPS) -> Figure | None:
    """Gates and distances of the codes found, over the steps at which the shortest encoder of each was found.

    Above, its gates, a colour for each kind of code, hollow where the distance is only a bound, with a line for the
    fewest so far; below, how many codes of each kind there were. None where the run found none.
    """
    records = store.codes(run=run.id, order_by=("-distance", "gate_count"))
    if not records:
        return None
    require_matplotlib()
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    figure.suptitle(run_title(run))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    end = max([_last_step(store, run), *(found.step for record in records for found in record.discoveries)])
    kinds = list(dict.fromkeys(map(code_name, records)))
    for number, kind in enumerate(kinds):
        colour = f"C{number % 10}"
        of_kind = [record for record in records if code_name(record) == kind]
        points = sorted((found.step, found.gate_count) for record in of_kind for found in record.discoveries)
        steps, gates = [step for step, _ in points], [count for _, count in points]
        proved = of_kind[0].distance_kind == "exact"
        label = f"{kind}, {len(points):,} code{'s' * (len(points) > 1)}"
        above.scatter(
            steps, gates, s=16, facecolors=colour if proved else "none", edgecolors=colour, alpha=0.6, label=label
        )
        fewest = list(accumulate(gates, min))
        above.step([*steps, end], [*fewest, fewest[-1]], where="post", color=colour, linewidth=1)
        count = range(len(steps) + 1)
        below.step([0, *steps, end], [*count, len(steps)], where="post", color=colour, linewidth=1.2)
    above.plot([], [], color="C0" if len(kinds) == 1 else "0.3", linewidth=1, label="fewest so far")
    above.set_ylabel("gates of the shortest encoder")
    below.set_ylabel("codes so far")
    below.set_xlabel(x)
    for axes, ticks in ((above, 8), (below, 4)):
        axes.grid(alpha=0.3)
        axes.yaxis.set_major_locator(MaxNLocator(ticks, integer=True))
    grouped_thousands(below)
    above.legend(**BESIDE if len(kinds) > 2 else {"fontsize": "small"})
    return figure


def error_rates_figure(store: Store, run: Run) -> Figure | None:
    """Logical error rates of the run's codes over p with 95 % intervals, and the power of p that fits each curve best.

    Shots that other runs drew for the same codes count too. The best codes have room: greatest distance, then fewest
    gates. None where nothing was measured.
    """
    curves = list(_curves(store, run))
    if not curves:
        return None
    shown = curves[:MOST_CURVES]
    varying = {key for key in shown[0].parts if len({curve.parts[key] for curve in shown}) > 1} | {"code"}
    rates = {
        plain_text(", ".join(filter(None, (curve.parts[key] for key in curve.parts if key in varying)))): curve.rates
        for curve in shown
    }
    common = [text for key, text in shown[0].parts.items() if key not in varying | {"factors"} and text]
    if len(curves) > len(shown):
        common.append(f"{len(shown)} of {len(curves)} curves")
    points = {name: [_point(rate) for rate in of_curve] for name, of_curve in rates.items()}
    fits = {name: fit for name, of_curve in rates.items() if (fit := _fit(of_curve)) is not None}
    figure = error_rate_figure(points, "", fits)
    figure.suptitle(run_title(run))
    figure.axes[0].set_title(plain_text(", ".join(common)), fontsize="small")
    return figure


def decisions_figure(store: Store, run: Run) -> Figure | None:
    """How often policy and teacher choose different actions, by the teacher's margin, with Wilson 95 % intervals.

    Where distinct states were counted, each enters once: visits of one state are no independent trials. None where
    the run's decisions were not compared.
    """
    found = [each for each in store.policy_evaluations(run.id) if each.name == DECISION_FIDELITY.name and each.payload]
    if not found or found[0].payload is None:
        return None
    fidelity = DecisionFidelity.from_payload(found[0].payload)
    once = [bucket.once or bucket for bucket in fidelity.buckets]
    filled = [(number, bucket) for number, bucket in enumerate(once) if bucket.states]
    figure, axes = new_axes("", "teacher's margin", "decided otherwise, %")
    bars = [Bar("", each.rate, each.interval.low, each.interval.high) for _, each in filled]
    axes.bar(
        [number for number, _ in filled],
        [100 * bar.value for bar in bars],
        0.6,
        yerr=error_lengths(bars, 100),
        capsize=3,
    )
    axes.set_xticks(range(len(once)), [f"{each.label}\n{each.states:,} states" for each in once], fontsize="small")
    axes.set_ylim(bottom=0)
    figure.suptitle(run_title(run))
    axes.set_title(f"same decision in {100 * fidelity.top1:.2f} % of {fidelity.states:,} states", fontsize="small")
    return figure


def code_name(record: CodeRecord) -> str:
    """`[[n,k,d]]`; a distance that is only bounded says so."""
    return f"[[{record.n},{record.k},{bound(record.distance_kind)}{record.distance}]]"


@dataclass(frozen=True)
class _Curve:
    """Rates that differ by p alone, and what tells them from others."""

    parts: Mapping[str, str]
    rates: list[ErrorRate]


def _curves(store: Store, run: Run) -> Iterator[_Curve]:
    """Of the best code first."""
    measured: dict[str, list[ErrorRate]] = {}
    for rate in store.error_rates(run=run.id):
        measured.setdefault(rate.code_id, []).append(rate)
    if not measured:
        return
    for record in store.codes(run=run.id, order_by=("-distance", "gate_count")):
        groups: dict[tuple[Any, ...], list[ErrorRate]] = {}
        for rate in measured.get(record.id, ()):
            task = rate.task
            key = (task.experiment, task.noise, task.extraction, task.rounds, task.basis, task.boundary, task.decoder)
            groups.setdefault((*key, task.sampled), []).append(rate)
        for rates in groups.values():
            yield _Curve(_parts(record, rates[0]), sorted(rates, key=lambda rate: rate.p))


def _parts(record: CodeRecord, rate: ErrorRate) -> dict[str, str]:
    task = rate.task
    noise = json.loads(task.noise)
    return {
        "code": f"{code_name(record)} {record.id}",
        "noise": f"{noise.pop('model', 'noise')} noise",
        "factors": ", ".join(f"{name} {value}" for name, value in noise.items()),
        "experiment": task.experiment.replace("_", " "),
        "extraction": "" if task.extraction == "none" else f"{task.extraction} extraction",
        "rounds": f"{task.rounds} rounds" if task.rounds else "",
        "basis": "" if task.basis in ("none", "both") else f"basis {task.basis}",
        "boundary": "" if task.boundary in ("none", "ideal") else f"{task.boundary} boundary",
        "decoder": f"decoder {task.decoder}",
        "sampled": "" if task.sampled else "exact",
    }


def _fit(rates: Sequence[ErrorRate]) -> SlopeFit | None:
    """None where there are too few values of p, or no errors, for a line."""
    points = [(rate.p, rate.counts) for rate in rates if rate.counts.exact_rate is None or rate.rate > 0]
    try:
        return fit_slope(points)
    except ConfigurationError:
        return None


def _point(rate: ErrorRate) -> Point:
    return Point(rate.p, rate.rate, rate.interval.low, rate.interval.high)


def _last_step(store: Store, run: Run) -> int:
    """Of what the run logged of its learning; 0 where it logged nothing."""
    series = [store.metrics(run.id, name) for name in (EPISODE_RETURN, COST)]
    return max((int(each.step[-1]) for each in series if len(each)), default=0)
