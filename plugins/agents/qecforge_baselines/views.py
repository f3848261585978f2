"""What runs of `cma_es` and of `spsa` look like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qecforge.contracts import Reading, RunView
from qecforge.reporting.tables import speed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from qecforge.store import Run, Store

__all__ = ["SEARCH"]


def _figures(store: Store, run: Run) -> Mapping[str, Figure]:
    """`search`: how far the mean has gone, how widely it explores, and the step size where there is one."""
    from qecforge.reporting.curves import Curves, curves_figure

    figure = curves_figure(
        store,
        run,
        [
            Curves(y="exploration scales", metrics={"sigma": "sigma", "displacement": "way of the mean"}),
            Curves(y="step size, scales² / cost", metrics={"step_size": ""}, log=True),
        ],
        x="epochs",
    )
    return {} if figure is None else {"search": figure}


SEARCH = RunView(
    readings=(
        Reading(metric="sigma", label="sigma"),
        Reading(metric="time/epochs_per_second", label="epochs/s", show=speed, words="{} epochs/s"),
    ),
    unit="epochs",
    figures=_figures,
)
"""How widely a search explores, and its speed."""
