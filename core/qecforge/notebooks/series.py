"""A metric over the steps of its run, as a small drawing."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from qecforge.notebooks._elements import escape, heading

__all__ = ["series_html"]

_WIDTH, _HEIGHT, _POINTS = 360, 90, 360


def series_html(title: str, step: ArrayLike, value: ArrayLike) -> str:
    """A series as HTML: its course, its range, its last value. Values that are not finite leave gaps.

    Args:
        title: The metric and its run.
        step, value: (T,) each, steps rising.
    """
    steps, values = np.asarray(step, float), np.asarray(value, float)
    known = np.isfinite(values)
    if not known.any():
        return heading(title) + f"<div>{len(values):,} values, none of them finite</div>"
    low, high = float(values[known].min()), float(values[known].max())
    last = f"last {values[-1]:.6g} at step {steps[-1]:,.0f}"
    words = f"{len(values):,} values from {low:.6g} to {high:.6g}, {last}"
    return heading(title) + _svg(steps, values, low, high) + f"<div>{escape(words)}</div>"


def _svg(steps: np.ndarray, values: np.ndarray, low: float, high: float) -> str:
    """A line through at most `_POINTS` of the values, its ends and extremes among them."""
    chosen = np.unique(np.linspace(0, len(values) - 1, min(_POINTS, len(values))).round().astype(int))
    chosen = np.union1d(chosen, [np.nanargmin(_finite(values)), np.nanargmax(_finite(values))])
    span, length = (high - low) or 1.0, (steps[-1] - steps[0]) or 1.0
    parts: list[list[str]] = [[]]
    for index in chosen:
        if not np.isfinite(values[index]):
            parts.append([])
            continue
        x = 4 + (_WIDTH - 8) * (steps[index] - steps[0]) / length
        y = 4 + (_HEIGHT - 8) * (high - values[index]) / span
        parts[-1].append(f"{x:.1f},{y:.1f}")
    lines = "".join(
        f'<polyline fill="none" stroke="#2471a3" stroke-width="1.5" points="{" ".join(points)}"/>'
        if len(points) > 1
        else f'<circle fill="#2471a3" r="2" cx="{points[0].split(",")[0]}" cy="{points[0].split(",")[1]}"/>'
        for points in parts
        if points
    )
    return f'<svg width="{_WIDTH}" height="{_HEIGHT}" xmlns="http://www.w3.org/2000/svg">{lines}</svg>'


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.nan)
