"""Figures of the argmax-preserving quantization paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from qecforge.reporting.figures import Bar, add_legend, error_lengths, new_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    from qecforge.evaluation.policies.fidelity import LogitNoise, MarginBucket

__all__ = ["fidelity_figure", "first_code_figure", "flips_figure", "latency_figure", "margin_figure", "noise_figure"]


def margin_figure(
    edges: ArrayLike, histograms: Mapping[str, Sequence[int]], above: Mapping[str, int], title: str = ""
) -> Figure:
    """Histogram of the teacher's margin on the states of each named set.

    Args:
        edges: (E + 1,) of the bins.
        histograms: (E,) counts by name.
        above: Counts beyond the last edge, by the same names; shown in the legend.
    """
    figure, axes = new_axes(title, "teacher's margin z(a*) - max z(a)", "share of states per bin")
    for name, counts in histograms.items():
        total = sum(counts) + above[name]
        share = np.asarray(counts, float) / max(total, 1)
        beyond = 100 * above[name] / max(total, 1)
        axes.stairs(share, np.asarray(edges), label=f"{name} ({beyond:.0f} % beyond)")
    axes.set_xlim(0, float(np.asarray(edges)[-1]))
    axes.set_ylim(bottom=0)
    add_legend(axes)
    return figure


def flips_figure(buckets: Mapping[str, Sequence[MarginBucket]], title: str = "") -> Figure:
    """Flips of the argmax in each bucket of margins, a bar for each method, with Wilson's intervals.

    Where distinct states were counted, each enters once: visits of one state are no independent trials.
    """
    figure, axes = new_axes(title, "teacher's margin", "flips of the argmax, %")
    names = list(buckets)
    width = 0.8 / max(len(names), 1)
    for place, name in enumerate(names):
        once = [bucket.once or bucket for bucket in buckets[name]]
        filled = [(number, bucket) for number, bucket in enumerate(once) if bucket.states]
        x = [number - 0.4 + (place + 0.5) * width for number, _ in filled]
        bars = [Bar("", each.rate, each.interval.low, each.interval.high) for _, each in filled]
        axes.bar(x, [100 * bar.value for bar in bars], width, yerr=error_lengths(bars, 100), label=name, capsize=2)
    first = next(iter(buckets.values()), ())
    axes.set_xticks(range(len(first)), [bucket.label for bucket in first])
    axes.margins(y=0.1 + 0.04 * len(names))  # room for the legend above the bars
    axes.set_ylim(bottom=0)
    add_legend(axes, columns=2)
    return figure


def fidelity_figure(bars: Sequence[Bar], what: str, title: str = "") -> Figure:
    """A bar for each method with its interval over seeds; a diamond where somebody else's number is known."""
    figure, axes = new_axes(title, "", what)
    axes.bar(range(len(bars)), [bar.value for bar in bars], yerr=error_lengths(bars, 1), capsize=3, color="tab:blue")
    known = [(number, bar.theirs) for number, bar in enumerate(bars) if bar.theirs is not None]
    if known:
        axes.plot(
            [number for number, _ in known], [value for _, value in known], "D", color="tab:orange", label="paper"
        )
        add_legend(axes)
    axes.set_xticks(range(len(bars)), [bar.label for bar in bars], rotation=20, ha="right")
    values = [each for bar in bars for each in (bar.low, bar.value, bar.theirs) if each is not None]
    if values:
        lowest = min(values)
        axes.set_ylim(lowest - 0.1 * (1.02 - lowest), 1.005 if max(values) <= 1 else None)
    return figure


def noise_figure(noises: Mapping[str, Sequence[LogitNoise]], title: str = "") -> Figure:
    """Logit noise of each method: its mean (bar) and 95th percentile (mark) over states, both averaged over seeds."""
    figure, axes = new_axes(title, "", "largest change of a legal logit")
    means = [float(np.mean([each.mean for each in found])) for found in noises.values()]
    axes.bar(range(len(means)), means, color="tab:blue", label="mean")
    highest = [float(np.mean([each.p95 for each in found])) for found in noises.values()]
    axes.plot(range(len(highest)), highest, "_", color="black", markersize=14, label="95th percentile")
    axes.set_xticks(range(len(noises)), list(noises), rotation=20, ha="right")
    axes.set_ylim(bottom=0)
    add_legend(axes)
    return figure


def first_code_figure(bars: Sequence[Bar], title: str = "") -> Figure:
    """Seconds until a method's final policy, playing, found its first code, with the interval over seeds."""
    figure, axes = new_axes(title, "", "seconds to the first code")
    axes.bar(range(len(bars)), [bar.value for bar in bars], yerr=error_lengths(bars, 1), capsize=3, color="tab:blue")
    axes.set_xticks(range(len(bars)), [bar.label for bar in bars], rotation=20, ha="right")
    axes.set_ylim(bottom=0)
    return figure


def latency_figure(points: Mapping[str, Mapping[str, float]], precisions: Sequence[str], title: str = "") -> Figure:
    """Microseconds at batch 1 over precision, a mark for each runtime; discrete, hence not connected.

    Args:
        points: Runtime -> precision -> microseconds.
        precisions: In the order of the axis.
    """
    figure, axes = new_axes(title, "precision", "latency at batch 1, µs")
    for marker, (runtime, values) in zip("osD^vP*X" * len(points), points.items(), strict=False):
        x = [precisions.index(precision) for precision in values]
        axes.plot(x, list(values.values()), marker, label=runtime)
    axes.set_xticks(range(len(precisions)), list(precisions))
    axes.set_xlim(-0.5, len(precisions) - 0.5)
    axes.set_yscale("log")
    add_legend(axes)
    return figure
