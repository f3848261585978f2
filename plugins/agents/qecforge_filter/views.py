"""What runs of `parameter_filter` look like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qecforge.contracts import Reading, RunView
from qecforge.reporting.tables import speed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from qecforge.store import Run, Store

__all__ = ["FILTER"]


def _figures(store: Store, run: Run) -> Mapping[str, Figure]:
    """`search`: how far the mean has gone and how sure the filter is of it, and the curvatures that it learned."""
    from qecforge.reporting.curves import Curves, curves_figure

    figure = curves_figure(
        store,
        run,
        [
            Curves(y="exploration scales", metrics={"uncertainty": "uncertainty", "displacement": "way of the mean"}),
            Curves(y="curvature / believed", metrics={"curvature": ""}),
        ],
        x="epochs",
    )
    return {} if figure is None else {"search": figure}


FILTER = RunView(
    readings=(
        Reading(metric="uncertainty", label="uncertainty"),
        Reading(metric="time/epochs_per_second", label="epochs/s", show=speed, words="{} epochs/s"),
    ),
    unit="epochs",
    figures=_figures,
)
"""How sure the filter is, and its speed."""
