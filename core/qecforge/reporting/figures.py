"""Figures with matplotlib, drawn from plain numbers: each function gives a `Figure`, `save_figure` writes it.

matplotlib comes with the extra `plots`. Nothing here opens a window or touches `pyplot`'s global state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qecforge.errors import ConfigurationError, MissingDependency

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    from qecforge.evaluation.fidelity import LogitNoise, MarginBucket

__all__ = [
    "Bar",
    "Point",
    "error_rate_figure",
    "fidelity_figure",
    "first_code_figure",
    "flips_figure",
    "latency_figure",
    "margin_figure",
    "noise_figure",
    "require_matplotlib",
    "save_figure",
]


@dataclass(frozen=True)
class Bar:
    """A number with the ends of its interval, and what somebody else reports for it."""

    label: str
    value: float
    low: float
    high: float
    theirs: float | None = None


@dataclass(frozen=True)
class Point:
    """A point of a curve with the ends of its interval."""

    x: float
    y: float
    low: float
    high: float


def require_matplotlib() -> None:
    """Raises `MissingDependency` where matplotlib is not installed."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise MissingDependency("figures: matplotlib is not installed: pip install 'qecforge[plots]'") from error


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure in the format that the path's ending names (png, svg, pdf). Same figure, same bytes."""
    metadata: dict[str, Any] = {"Date": None} if path.suffix == ".svg" else {}
    try:
        figure.savefig(path, dpi=150, bbox_inches="tight", metadata=metadata)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written ({error.strerror}): choose another folder") from error
    return path


def margin_figure(
    edges: ArrayLike, histograms: Mapping[str, Sequence[int]], above: Mapping[str, int], title: str = ""
) -> Figure:
    """Histogram of the teacher's margin on the states of each named set.

    Args:
        edges: (E + 1,) of the bins.
        histograms: (E,) counts by name.
        above: Counts beyond the last edge, by the same names; shown in the legend.
    """
    figure, axes = _axes(title, "teacher's margin z(a*) - max z(a)", "share of states per bin")
    for name, counts in histograms.items():
        total = sum(counts) + above[name]
        share = np.asarray(counts, float) / max(total, 1)
        beyond = 100 * above[name] / max(total, 1)
        axes.stairs(share, np.asarray(edges), label=f"{name} ({beyond:.0f} % beyond)")
    axes.set_xlim(0, float(np.asarray(edges)[-1]))
    axes.set_ylim(bottom=0)
    _legend(axes)
    return figure


def flips_figure(buckets: Mapping[str, Sequence[MarginBucket]], title: str = "") -> Figure:
    """Flips of the argmax in each bucket of margins, a bar for each method, with Wilson's intervals.

    Where distinct states were counted, each enters once: visits of one state are no independent trials.
    """
    figure, axes = _axes(title, "teacher's margin", "flips of the argmax, %")
    names = list(buckets)
    width = 0.8 / max(len(names), 1)
    for place, name in enumerate(names):
        once = [bucket.once or bucket for bucket in buckets[name]]
        filled = [(number, bucket) for number, bucket in enumerate(once) if bucket.states]
        x = [number - 0.4 + (place + 0.5) * width for number, _ in filled]
        bars = [Bar("", each.rate, each.interval.low, each.interval.high) for _, each in filled]
        axes.bar(x, [100 * bar.value for bar in bars], width, yerr=_errors(bars, 100), label=name, capsize=2)
    first = next(iter(buckets.values()), ())
    axes.set_xticks(range(len(first)), [bucket.label for bucket in first])
    axes.margins(y=0.1 + 0.04 * len(names))  # room for the legend above the bars
    axes.set_ylim(bottom=0)
    _legend(axes, columns=2)
    return figure


def fidelity_figure(bars: Sequence[Bar], what: str, title: str = "") -> Figure:
    """A bar for each method with its interval over seeds; a diamond where somebody else's number is known."""
    figure, axes = _axes(title, "", what)
    axes.bar(range(len(bars)), [bar.value for bar in bars], yerr=_errors(bars, 1), capsize=3, color="tab:blue")
    known = [(number, bar.theirs) for number, bar in enumerate(bars) if bar.theirs is not None]
    if known:
        axes.plot(
            [number for number, _ in known], [value for _, value in known], "D", color="tab:orange", label="paper"
        )
        _legend(axes)
    axes.set_xticks(range(len(bars)), [bar.label for bar in bars], rotation=20, ha="right")
    values = [each for bar in bars for each in (bar.low, bar.value, bar.theirs) if each is not None]
    if values:
        lowest = min(values)
        axes.set_ylim(lowest - 0.1 * (1.02 - lowest), 1.005 if max(values) <= 1 else None)
    return figure


def noise_figure(noises: Mapping[str, Sequence[LogitNoise]], title: str = "") -> Figure:
    """Logit noise of each method: its mean (bar) and 95th percentile (mark) over states, both averaged over seeds."""
    figure, axes = _axes(title, "", "largest change of a legal logit")
    means = [float(np.mean([each.mean for each in found])) for found in noises.values()]
    axes.bar(range(len(means)), means, color="tab:blue", label="mean")
    highest = [float(np.mean([each.p95 for each in found])) for found in noises.values()]
    axes.plot(range(len(highest)), highest, "_", color="black", markersize=14, label="95th percentile")
    axes.set_xticks(range(len(noises)), list(noises), rotation=20, ha="right")
    axes.set_ylim(bottom=0)
    _legend(axes)
    return figure


def first_code_figure(bars: Sequence[Bar], title: str = "") -> Figure:
    """Seconds until a method's final policy, playing, found its first code, with the interval over seeds."""
    figure, axes = _axes(title, "", "seconds to the first code")
    axes.bar(range(len(bars)), [bar.value for bar in bars], yerr=_errors(bars, 1), capsize=3, color="tab:blue")
    axes.set_xticks(range(len(bars)), [bar.label for bar in bars], rotation=20, ha="right")
    axes.set_ylim(bottom=0)
    return figure


def latency_figure(points: Mapping[str, Mapping[str, float]], precisions: Sequence[str], title: str = "") -> Figure:
    """Microseconds at batch 1 over precision, a mark for each runtime; discrete, hence not connected.

    Args:
        points: Runtime -> precision -> microseconds.
        precisions: In the order of the axis.
    """
    figure, axes = _axes(title, "precision", "latency at batch 1, µs")
    for marker, (runtime, values) in zip("osD^vP*X" * len(points), points.items(), strict=False):
        x = [precisions.index(precision) for precision in values]
        axes.plot(x, list(values.values()), marker, label=runtime)
    axes.set_xticks(range(len(precisions)), list(precisions))
    axes.set_xlim(-0.5, len(precisions) - 0.5)
    axes.set_yscale("log")
    _legend(axes)
    return figure


def error_rate_figure(curves: Mapping[str, Sequence[Point]], title: str = "") -> Figure:
    """Logical error rate over p, both logarithmic, with intervals. A rate of 0 is drawn as its upper limit alone."""
    figure, axes = _axes(title, "physical error rate p", "logical error rate")
    for number, (name, points) in enumerate(curves.items()):
        colour = f"C{number}"
        seen = [point for point in points if point.y > 0]
        bars = [Bar("", point.y, point.low, point.high) for point in seen]
        axes.errorbar(
            [point.x for point in seen],
            [point.y for point in seen],
            yerr=_errors(bars, 1),
            fmt="o-",
            markersize=3,
            capsize=2,
            color=colour,
            label=name,
        )
        none = [point for point in points if point.y == 0]
        axes.plot([point.x for point in none], [point.high for point in none], "v", color=colour, fillstyle="none")
    axes.set_xscale("log")
    axes.set_yscale("log")
    _legend(axes)
    return figure


def _axes(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    require_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0))
    axes = figure.subplots()
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    return figure, axes


def _errors(bars: Sequence[Bar], factor: float) -> list[list[float]]:
    """As matplotlib takes them: lengths below, lengths above."""
    return [[factor * (bar.value - bar.low) for bar in bars], [factor * (bar.high - bar.value) for bar in bars]]


def _legend(axes: Axes, columns: int = 1) -> None:
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize="small", ncols=columns)
