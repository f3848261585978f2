"""What a steered run looks like, and one that tunes a decoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from qecforge.contracts import COST, Reading, RunView

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from qecforge.reporting import Table
    from qecforge.store import Run, Store

__all__ = ["DECODER_STEERING", "SURFACE_STEERING"]


def _steering_tables(store: Store, run_ids: Sequence[str]) -> Mapping[str, Table]:
    from qecforge_surface_steering.views.summary import steering_summary

    return {"steering": steering_summary(store, run_ids)}


def _steering_figures(store: Store, run: Run) -> Mapping[str, Figure]:
    from qecforge_surface_steering.views.run_figures import former_learning_curve, run_figures

    return {**former_learning_curve(store, run, "detection rate"), **run_figures(store, run)}


def _decoder_tables(store: Store, run_ids: Sequence[str]) -> Mapping[str, Table]:
    from qecforge_surface_steering.views.summary import steering_summary

    return {"decoder_priors": steering_summary(store, run_ids)}


def _decoder_figures(store: Store, run: Run) -> Mapping[str, Figure]:
    from qecforge_surface_steering.views.run_figures import former_learning_curve

    return former_learning_curve(store, run, "logical error rate")


SURFACE_STEERING = RunView(
    unit="epochs",
    readings=(
        Reading(metric=COST, label="detection rate"),
        Reading(metric="logical_error_rate", label="logical error rate"),
    ),
    tables=_steering_tables,
    figures=_steering_figures,
)
"""The detection rate that candidates lead to, and what the mean is assessed at."""

DECODER_STEERING = RunView(
    unit="epochs",
    readings=(
        Reading(metric=COST, label="logical error rate"),
        Reading(metric="logical_error_rate", label="of the mean"),
        Reading(metric="logical_error_rate_nominal", label="of the nominal prior"),
    ),
    tables=_decoder_tables,
    figures=_decoder_figures,
)
"""The logical error rate of candidates, and, where the mean is assessed, its own beside that of the nominal prior."""
