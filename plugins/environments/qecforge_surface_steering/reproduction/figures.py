"""Figures of the steering paper's results: curves are means over seeds with one standard deviation beside them.

Source of what is drawn: arXiv 2511.08493, figures 2(b), 3(a), 4 and 5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qecforge.reporting.figures import Bar, add_legend, error_lengths, new_axes
from qecforge.reporting.spread import Spread
from qecforge_surface_steering.reproduction import numbers as numbers
from qecforge_surface_steering.reproduction.fits import Fitted, Missing
from qecforge_surface_steering.reproduction.runs import Result
from qecforge_surface_steering.reproduction.sweeps import METHODS
from qecforge_surface_steering.reproduction.tables import VARIANTS, first_of_drift, grouped, of
from qecforge_surface_steering.views.layout import stabilizer_figure, trace_figure
from qecforge_surface_steering.views.run_figures import stabilizer_panels, traces

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from qecforge.store import Series

__all__ = ["Curve", "curves_figure", "gradient_figure", "marks_figure", "mean_curve", "report_figures"]

FloatArray: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """A line with a band: (T,) each."""

    x: NDArray[Any]
    y: FloatArray
    std: FloatArray


def mean_curve(found: Sequence[tuple[NDArray[Any], FloatArray]]) -> Curve | None:
    """Mean and sample deviation over seeds, at the places that all have; None where there are none."""
    found = [each for each in found if len(each[0])]
    if not found:
        return None
    x = found[0][0]
    for other, _ in found[1:]:
        x = np.intersect1d(x, other)
    values = np.stack([y[np.isin(at, x)] for at, y in found])
    std = values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros(len(x))
    return Curve(x, values.mean(axis=0), std)


def curves_figure(
    curves: Mapping[str, Curve], x: str, y: str, title: str = "", *, log_x: bool = False, log_y: bool = False
) -> Figure:
    """Lines with their bands. On a logarithmic axis what is not positive leaves a gap."""
    figure, axes = new_axes(title, x, y)
    for number, (name, curve) in enumerate(curves.items()):
        shown = np.where(curve.y > 0, curve.y, np.nan) if log_y else curve.y
        low, high = curve.y - curve.std, curve.y + curve.std
        axes.plot(curve.x, shown, color=f"C{number}", linewidth=1.2, label=name)
        if curve.std.any():
            low = np.where(low > 0, low, np.nan) if log_y else low
            axes.fill_between(curve.x, low, high, color=f"C{number}", alpha=0.2, linewidth=0)
    if log_x:
        axes.set_xscale("log")
    if log_y:
        axes.set_yscale("log")
    add_legend(axes)
    return figure


def marks_figure(
    groups: Mapping[str, Mapping[float, Spread]], x: str, y: str, title: str = "", *, log_x: bool = False
) -> Figure:
    """Numbers over seeds with their intervals at given places, joined by lines."""
    figure, axes = new_axes(title, x, y)
    for number, (name, points) in enumerate(groups.items()):
        bars = [Bar("", each.mean, each.low, each.high) for each in points.values()]
        axes.errorbar(
            list(points),
            [bar.value for bar in bars],
            yerr=error_lengths(bars, 1),
            fmt="o-",
            markersize=3,
            capsize=2,
            color=f"C{number}",
            label=name,
        )
    if log_x:
        axes.set_xscale("log")
    add_legend(axes)
    return figure


def gradient_figure(results: Sequence[Result], title: str = "") -> Figure:
    """Change of log LER over change of log C along random directions, with counting errors and the paper's line."""
    figure, axes = new_axes(title, "d log detection rate", "d log LER")
    for number, (distance, group) in enumerate(grouped(results, _distance).items()):
        names = ("dlog_rate", "dlog_ler", "dlog_ler_error")
        x, y, error = (np.concatenate([r.values(f"gradient_relation/{name}")[1] for r in group]) for name in names)
        axes.errorbar(x, y, yerr=error, fmt="o", markersize=3, color=f"C{number}", label=f"d = {distance}")
        ends = np.array([x.min(), x.max()]) if len(x) else np.zeros(2)
        slope = (distance + 1) / 2
        axes.plot(ends, slope * ends, color=f"C{number}", linewidth=1, label=f"slope {slope:g}")
    add_legend(axes)
    return figure


def report_figures(results: Sequence[Result]) -> dict[str, Figure]:
    """The figures that have something to show, by file name without its ending."""
    return dict(_figures(results))


def _figures(results: Sequence[Result]) -> Iterator[tuple[str, Figure]]:
    if group := of(results, "gradient_relation"):
        yield "gradient_relation", gradient_figure(group, "Gradient relation")
    for code, group in grouped(of(results, "fine_tuning"), lambda each: str(each.environment["code"])).items():
        if curves := _error_rates(group, ("fixed", "steered", "optimal")):
            yield f"fine_tuning_{code}", curves_figure(curves, "epoch", "LER per cycle", f"Fine-tuning, {code} code")
    yield from _drift(of(results, "drift"))
    if marks := _reductions(of(results, "amplitudes")):
        title = "Injected drift over its amplitude"
        yield "amplitudes", marks_figure(marks, "amplitude", "reduction of the LER", title)
    yield from _over_epochs(results)
    yield from _map(of(results, "map"))
    yield from _scaling(of(results, "scaling"))
    yield from _spectra(of(results, "natural_drift"))
    for (P, distance), group in grouped(of(results, "baselines"), _size).items():
        curves = _curves({METHODS[name]: [r for r in group if r.manifest == name] for name in METHODS}, numbers.excess)
        title = f"Excess over the optimal detection rate, d = {distance}, P = {P}"
        if curves:
            yield (
                f"baselines_d{distance}",
                curves_figure(curves, "epoch", "share of the initial excess", title, log_y=True),
            )


def _curves(
    groups: Mapping[str, Sequence[Result]], value: Callable[[Result], tuple[NDArray[Any], FloatArray]]
) -> dict[str, Curve]:
    found = {name: mean_curve([value(each) for each in group]) for name, group in groups.items()}
    return {name: curve for name, curve in found.items() if curve is not None}


def _error_rates(group: Sequence[Result], policies: Sequence[str]) -> dict[str, Curve]:
    found = {policy: mean_curve([r.values(f"steering/{policy}/nominal/ler") for r in group]) for policy in policies}
    return {policy: curve for policy, curve in found.items() if curve is not None}


def _drift(group: Sequence[Result]) -> Iterator[tuple[str, Figure]]:
    if not group:
        return
    shown = {"fixed": ("fixed", "nominal"), **VARIANTS}
    found = {
        name: mean_curve([r.values(f"steering/{policy}/{prior}/ler") for r in group])
        for name, (policy, prior) in shown.items()
    }
    if curves := {name: curve for name, curve in found.items() if curve is not None}:
        yield "drift_ler", curves_figure(curves, "epoch", "LER per cycle", "Injected drift")
    found = {name: mean_curve([r.values(f"steering/{name}/rate") for r in group]) for name in ("fixed", "steered")}
    if curves := {name: curve for name, curve in found.items() if curve is not None}:
        yield "drift_rate", curves_figure(curves, "epoch", "mean detection rate", "Injected drift")
    yield from _of_one_run(group[0])


def _of_one_run(result: Result) -> Iterator[tuple[str, Figure]]:
    """Stabilizers and parameters, of the first seed."""
    recorded, names = _Recorded(result.series), list(result.series)
    title = f"Injected drift, seed {result.seed}"
    if panels := stabilizer_panels(recorded, result.run, names):
        yield "drift_stabilizers", stabilizer_figure(panels, title)
    if lines := traces(recorded, result.run, names):
        yield "drift_traces", trace_figure(lines, title)


@dataclass(frozen=True)
class _Recorded:
    """The series of one run, asked for as from a store."""

    series: Mapping[str, Series]

    def metrics(self, run_id: str, name: str) -> Series:
        return self.series[name]


def _reductions(group: Sequence[Result]) -> dict[str, dict[float, Spread]]:
    chosen = {name: VARIANTS[name] for name in ("steered", "optimal control")}
    by_amplitude = grouped(group, first_of_drift("amplitude"))
    return {
        name: found
        for name, (policy, prior) in chosen.items()
        if (
            found := _spreads(
                {at: [numbers.reduction(r, policy, prior, "ler") for r in runs] for at, runs in by_amplitude.items()}
            )
        )
    }


def _spreads(values: Mapping[float, Sequence[Fitted]]) -> dict[float, Spread]:
    found = {at: Spread.student(v for v in seeds if not isinstance(v, Missing)) for at, seeds in values.items()}
    return {at: each for at, each in found.items() if each is not None}


def _over_epochs(results: Sequence[Result]) -> Iterator[tuple[str, Figure]]:
    group = of(results, "response")
    curves = _curves({"steered": group}, lambda each: each.values("steering/response/0"))
    if curves:
        fits = [fit for each in group if (fit := numbers.responses(each)[0][1]) is not None]
        x, begins = curves["steered"].x, group[0].environment["drift"][0]["begins"]
        if fits:
            curves["exponential"] = Curve(x, np.mean([fit.at(x - begins) for fit in fits], axis=0), np.zeros(len(x)))
        yield "response", curves_figure(curves, "epoch", "share of the step that is followed", "Response to a step")
    curves = _curves({"steered": of(results, "recovery")}, lambda each: numbers.ratio_to(each, "optimal"))
    if curves:
        title = "Recovery from randomised controls"
        yield "recovery", curves_figure(curves, "epoch", "detection rate / optimal", title, log_y=True)


def _map(group: Sequence[Result]) -> Iterator[tuple[str, Figure]]:
    marks = {}
    for entropy, runs in grouped(group, lambda each: float(each.agent["entropy"])).items():
        by_frequency = grouped(runs, first_of_drift("frequency"))
        marks[f"entropy {entropy:g}"] = _spreads(
            {at: [numbers.improvement(each) for each in seeds] for at, seeds in by_frequency.items()}
        )
    if any(marks.values()):
        title = "Steering in real time: 1 optimal, 0 fixed control"
        figure = marks_figure(marks, "drift, periods per epoch", "normalised improvement", title, log_x=True)
        figure.axes[0].axhline(0, color="0.4", linewidth=1)
        figure.axes[0].set_ylim(bottom=max(-1.5, figure.axes[0].get_ylim()[0]))
        yield "map", figure


def _scaling(group: Sequence[Result]) -> Iterator[tuple[str, Figure]]:
    rates = {}
    for P, runs in grouped(group, lambda each: _size(each)[0]).items():
        by_distance = grouped(runs, _distance)
        if curves := _curves({f"d = {d}": found for d, found in by_distance.items()}, _gap):
            title = f"Distance from the optimal suppression factor, P = {P}"
            yield f"scaling_p{P}", curves_figure(curves, "epoch", "1 - C*/C = 1 - Λ/Λ*", title, log_y=True)
    rates = {
        f"P = {P}": _spreads(
            {d: [numbers.convergence(r) for r in seeds] for d, seeds in grouped(runs, _distance).items()}
        )
        for P, runs in grouped(group, lambda each: _size(each)[0]).items()
    }
    if any(rates.values()):
        yield "scaling_rates", marks_figure(rates, "distance", "convergence rate γ per epoch", "Scaling")


def _gap(result: Result) -> tuple[NDArray[Any], FloatArray]:
    epochs, ratio = numbers.ratio_to(result, "optimal")
    return epochs, 1 - 1 / ratio


def _spectra(group: Sequence[Result]) -> Iterator[tuple[str, Figure]]:
    filters = [found for each in group if not isinstance(found := numbers.filter_of(each, "rate"), Missing)]
    if filters:
        pairs = {
            "fixed": mean_curve([(each.frequencies, each.before) for each in filters]),
            "steered": mean_curve([(each.frequencies, each.after) for each in filters]),
        }
        curves = {name: Curve(c.x, c.y, np.zeros(len(c.x))) for name, c in pairs.items() if c is not None}
        what = "power density of log detection rate"
        yield "natural_drift", curves_figure(curves, "per epoch", what, "Natural drift", log_x=True, log_y=True)


def _distance(result: Result) -> int:
    return int(result.environment["distance"])


def _size(result: Result) -> tuple[int, int]:
    return int(result.environment["parameters_per_gate"]), _distance(result)
