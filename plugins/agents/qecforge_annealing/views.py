"""What runs of `annealing` look like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qecforge.contracts import Reading, RunView
from qecforge.reporting.tables import speed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from qecforge.store import Run, Store

__all__ = ["ANNEALING"]


def _figures(store: Store, run: Run) -> Mapping[str, Figure]:
    """`annealing`: length of the best sequence, values of the chains, and how many changes were accepted."""
    from qecforge.reporting.curves import Curves, curves_figure

    figure = curves_figure(
        store,
        run,
        [
            Curves(y="actions", metrics={"best_length": "best sequence"}),
            Curves(y="value", metrics={"value": "mean of the chains"}),
            Curves(y="share of changes accepted", metrics={"accepted": ""}),
        ],
    )
    return {} if figure is None else {"annealing": figure}


ANNEALING = RunView(
    readings=(
        Reading(metric="best_length", label="shortest"),
        Reading(metric="time/tries_per_second", label="tries/s", show=speed, words="{} tries/s"),
    ),
    figures=_figures,
)
"""How short the best sequence is, and the speed."""
