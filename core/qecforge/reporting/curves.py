"""Metrics of one run over its progress, as a figure of several panels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qecforge.reporting.figures import plain_text, require_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from qecforge.store import Run, Series, Store

__all__ = ["STEPS", "Curves", "curves_figure", "grouped_thousands", "run_title"]

STEPS = "environment steps"
"""What the horizontal axis says where an agent counts steps."""


@dataclass(frozen=True, kw_only=True)
class Curves:
    """One panel.

    Attributes:
        y: What its vertical axis says, with the unit.
        metrics: Metric -> its name in the legend, which a panel with one curve does without.
        log: Logarithmic, where all values are positive and the greatest is more than ten times the least.
    """

    y: str
    metrics: Mapping[str, str]
    log: bool = False


def curves_figure(
    store: Store, run: Run, panels: Sequence[Curves], *, x: str = STEPS, title: str | None = None
) -> Figure | None:
    """The panels of which the run has a metric, each with those that it has; None where it has none.

    Values that are not finite leave a gap. A long course that is noisy is drawn thin, with its running mean over a
    twentieth of it.

    Args:
        x: What the horizontal axes say.
        title: None for the run's name and seed.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    recorded = set(store.metric_names(run.id))
    present = [
        (panel, [(store.metrics(run.id, metric), name) for metric, name in panel.metrics.items() if metric in recorded])
        for panel in panels
    ]
    present = [(panel, series) for panel, series in present if series]
    if not present:
        return None
    columns = 1 if len(present) < 4 else 2
    rows = -(-len(present) // columns)
    figure = Figure(figsize=(6.4 * (1 if columns == 1 else 1.5), 1.0 + (3.0 if rows == 1 else 2.2 * rows)))
    figure.set_layout_engine("constrained")
    figure.suptitle(run_title(run) if title is None else title)
    grid = figure.subplots(rows, columns, sharex=True, squeeze=False)
    for axes, (panel, series) in zip(grid.flat, present, strict=False):
        _draw(axes, panel, series)
    for axes in grid.flat[len(present) :]:
        axes.remove()
    for column in range(columns):
        last = grid.flat[: len(present)][column::columns][-1]
        last.tick_params(labelbottom=True)
        last.set_xlabel(x)
    return figure


def run_title(run: Run) -> str:
    """A run's name, its place in the sweep, and its seed."""
    return plain_text(f"{run.group}, seed {run.seed}")


def grouped_thousands(axes: Axes) -> None:
    """Steps below the horizontal axis as `200,000`, from 0 on."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10], integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def _draw(axes: Axes, panel: Curves, curves: Sequence[tuple[Series, str]]) -> None:
    axes.set_ylabel(panel.y)
    axes.grid(alpha=0.3)
    for number, (series, name) in enumerate(curves):
        values = np.where(np.isfinite(series.value), series.value, np.nan)
        colour, label = f"C{number}", name if len(curves) > 1 else None
        width = 2.0 if number == 0 and len(curves) > 1 else 1.2  # seen where a second one lies upon it
        if _noisy(values):
            axes.plot(series.step, values, color=colour, linewidth=0.8, alpha=0.35)
            values = _running_mean(values, len(values) // 40)
        marker = "o" if len(values) < 3 else None
        axes.plot(series.step, values, color=colour, linewidth=width, marker=marker, markersize=3, label=label)
    values = np.concatenate([series.value for series, _ in curves])
    values = values[np.isfinite(values)]
    if panel.log and len(values) and values.min() > 0 and values.max() > 10 * values.min():
        axes.set_yscale("log")
    grouped_thousands(axes)
    if len(curves) > 1:
        axes.legend(
            fontsize="small",
            loc="lower right",
            bbox_to_anchor=(1, 1),
            borderaxespad=0.2,
            ncols=len(curves),
            frameon=False,
        )


def _noisy(values: NDArray[np.float64]) -> bool:
    """Of 100 values or more: whether neighbours differ, in the middle, by more than a fiftieth of the range."""
    if np.isfinite(values).sum() < 100:
        return False
    return bool(np.nanmedian(np.abs(np.diff(values))) > 0.02 * (np.nanmax(values) - np.nanmin(values)))


def _running_mean(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """At each place the mean of what is there, at most `reach` places away and as far on either side."""
    known = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    place = np.arange(len(values))
    reaches = np.minimum(reach, np.minimum(place, len(values) - 1 - place))
    low, high = place - reaches, place + reaches + 1
    count = counts[high] - counts[low]
    with np.errstate(invalid="ignore"):
        return np.where(count > 0, (sums[high] - sums[low]) / np.maximum(count, 1), np.nan)
