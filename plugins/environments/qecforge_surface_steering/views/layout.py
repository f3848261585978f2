"""Figures of one steered run, drawn from plain numbers: stabilizers on the code's layout, traces, rates over time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qecforge.errors import ConfigurationError
from qecforge.reporting.figures import Point, new_axes, require_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch
    from numpy.typing import ArrayLike

__all__ = [
    "Trace",
    "detection_rate_figure",
    "logical_error_rate_figure",
    "place",
    "stabilizer_figure",
    "trace_figure",
]

MOST_LABELS = 50
"""Stabilizers whose rates are also written down."""

_Place = tuple[float, float]
_NUMBER = r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
_NAME = re.compile(rf"\(({_NUMBER}), ({_NUMBER})(?:, {_NUMBER})*\)")


@dataclass(frozen=True)
class Trace:
    """A parameter over time, in its own units.

    Attributes:
        epochs: (T,).
        mean: (T,) where the policy had it.
        optimum: (T,) where it was best.
    """

    epochs: ArrayLike
    mean: ArrayLike
    optimum: ArrayLike


def place(name: str) -> _Place | None:
    """Where an objective with a name such as `(2, 0)` is on the layout; None where the name says no place."""
    found = _NAME.fullmatch(name)
    return None if found is None else (float(found[1]), float(found[2]))


def stabilizer_figure(panels: Mapping[str, Mapping[str, float]], title: str = "") -> Figure:
    """Detection rates on the code's layout, a panel for each state of control, all in one scale of colours.

    Objectives at one place, the detectors of a stabilizer, are averaged; those whose name says no place are left out.
    Where all places are even the tiles are the plaquettes of a rotated surface code, with its data qubits as dots at
    the corners that two of them share; elsewhere stabilizers are discs.

    Args:
        panels: Title of a panel -> name of an objective, such as `(2, 0)` -> detection rate.

    Raises:
        ConfigurationError: There is no panel, or one in which no objective has a place.
        MissingDependency: matplotlib is not installed.
    """
    placed = {name: _by_place(rates) for name, rates in panels.items()}
    if not placed or not all(placed.values()):
        raise ConfigurationError(
            "figure of stabilizers: no objective's name is a place such as '(2, 0)': give detectors coordinates"
        )
    require_matplotlib()
    from matplotlib.collections import PatchCollection
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.6 * len(placed) + 0.8, 3.8), layout="constrained")
    figure.suptitle(title)
    row = figure.subplots(1, len(placed), squeeze=False)[0]
    values = [rate for rates in placed.values() for rate in rates.values()]
    low, high = min(values), max(values)
    for axes, (name, rates) in zip(row, placed.items(), strict=True):
        tiles = PatchCollection(_tiles(list(rates)), cmap="viridis_r", edgecolor="white")
        tiles.set_array(np.array(list(rates.values())))
        tiles.set_clim(low, high)
        axes.add_collection(tiles)
        _mark(axes, rates, dark_from=(low + high) / 2)
        axes.set_title(f"{name}: mean {np.mean(list(rates.values())):.4g}", fontsize="medium")
        axes.set_aspect("equal")
        axes.autoscale_view()
        axes.invert_yaxis()
        axes.set_axis_off()
    figure.colorbar(tiles, ax=list(row), label="detection rate")
    return figure


def trace_figure(traces: Mapping[str, Trace], title: str = "") -> Figure:
    """Parameters over time, one above the other, each with its optimum (dashed).

    Raises:
        ConfigurationError: There is no trace.
        MissingDependency: matplotlib is not installed.
    """
    if not traces:
        raise ConfigurationError("figure of traces: no trace was given: give one or more")
    require_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 1.2 + 1.4 * len(traces)), layout="constrained")
    figure.suptitle(title)
    column = figure.subplots(len(traces), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, trace) in zip(column, traces.items(), strict=True):
        axes.plot(trace.epochs, trace.optimum, "--", color="0.4", linewidth=1, label="optimum")
        axes.plot(trace.epochs, trace.mean, color="tab:blue", linewidth=1.2, label="steered")
        axes.set_title(name, fontsize="small", loc="left")
        axes.grid(alpha=0.3)
    column[0].legend(fontsize="small", loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
    column[-1].set_xlabel("epoch")
    return figure


def detection_rate_figure(curves: Mapping[str, tuple[ArrayLike, ArrayLike]], title: str = "") -> Figure:
    """Mean detection rate over time, a curve for each state of control.

    Args:
        curves: Name -> (T,) epochs and (T,) rates.
    """
    figure, axes = new_axes(title, "epoch", "mean detection rate")
    for number, (name, (epochs, rates)) in enumerate(curves.items()):
        axes.plot(epochs, rates, color=f"C{number}", linewidth=1.2, label=name)
    _legend_beside(axes)
    return figure


def logical_error_rate_figure(curves: Mapping[str, Sequence[Point]], title: str = "") -> Figure:
    """Logical error rate over time, logarithmic, with bands of counting noise.

    A rate of 0 leaves a gap in its curve; a hollow triangle marks the upper end of its interval. Curves whose names
    begin with the same word share a colour; the first is drawn through, the others are dashed.

    Args:
        curves: Name, such as `steered, learned prior` -> its points: epoch, rate, ends of its interval.
    """
    figure, axes = new_axes(title, "epoch", "logical error rate per cycle")
    first_word = {name: re.split(r"\W", name, maxsplit=1)[0] for name in curves}
    colours = {word: f"C{number}" for number, word in enumerate(dict.fromkeys(first_word.values()))}
    drawn: set[str] = set()
    for name, points in curves.items():
        colour = colours[first_word[name]]
        x = [point.x for point in points]
        seen = [point.y > 0 for point in points]
        y = [point.y if shown else np.nan for point, shown in zip(points, seen, strict=True)]
        low, high = [point.low for point in points], [point.high for point in points]
        axes.fill_between(x, low, high, seen, color=colour, alpha=0.12, linewidth=0)
        style = "--" if colour in drawn else "-"
        axes.plot(x, y, style, marker="o", color=colour, markersize=2.5, linewidth=1.2, label=name)
        if unseen := [point for point in points if point.y == 0]:
            bounds = [point.x for point in unseen], [point.high for point in unseen]
            axes.scatter(*bounds, marker="v", s=14, facecolors="none", edgecolors=colour)
        drawn.add(colour)
    axes.set_yscale("log")
    _legend_beside(axes)
    return figure


def _legend_beside(axes: Axes) -> None:
    """On the right, where it hides no curve."""
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1), frameon=False)


def _by_place(rates: Mapping[str, float]) -> dict[_Place, float]:
    """Mean rate at each place, in the order of the names."""
    found: dict[_Place, list[float]] = {}
    for name, rate in rates.items():
        at = place(name)
        if at is not None:
            found.setdefault(at, []).append(rate)
    return {at: float(np.mean(values)) for at, values in found.items()}


def _square(places: Sequence[_Place]) -> bool:
    return all(value % 2 == 0 for at in places for value in at)


def _tiles(places: Sequence[_Place]) -> list[Patch]:
    from matplotlib.patches import Circle, Rectangle

    if _square(places):
        return [Rectangle((x - 1, y - 1), 2, 2) for x, y in places]
    apart = [np.hypot(x - u, y - v) for i, (x, y) in enumerate(places) for u, v in places[:i]]
    return [Circle(at, 0.45 * min(apart, default=2.0)) for at in places]


def _mark(axes: Axes, rates: Mapping[_Place, float], *, dark_from: float) -> None:
    """Data qubits, and the rates in figures where there is room; white on dark tiles."""
    if _square(list(rates)):
        corners = [(x + dx, y + dy) for x, y in rates for dx in (-1, 1) for dy in (-1, 1)]
        qubits = sorted({corner for corner in corners if corners.count(corner) > 1})
        axes.scatter([x for x, _ in qubits], [y for _, y in qubits], s=14, c="black", zorder=3)
    if len(rates) <= MOST_LABELS:
        for (x, y), rate in rates.items():
            colour = "white" if rate > dark_from else "black"
            axes.text(x, y, f"{rate:.3f}", color=colour, ha="center", va="center", fontsize="x-small")
