"""The report of the steering paper's reproduction: its claims, tables and figures."""

from __future__ import annotations

from collections.abc import Sequence

from qecforge.contracts import Report
from qecforge_surface_steering.reproduction import sweeps as sweeps
from qecforge_surface_steering.reproduction import tables as tables
from qecforge_surface_steering.reproduction.claims import claims
from qecforge_surface_steering.reproduction.figures import report_figures
from qecforge_surface_steering.reproduction.runs import Result

__all__ = ["report_of"]


def report_of(results: Sequence[Result]) -> Report:
    """What is said of these results."""
    return Report(
        claims=claims(results),
        tables={
            "gradient_relation": tables.gradient_table(results),
            "fine_tuning": tables.fine_tuning_table(results),
            "drift": tables.drift_table(results),
            "amplitudes": tables.amplitudes_table(results),
            "decoder": tables.decoder_table(results),
            "response": tables.response_table(results),
            "recovery": tables.recovery_table(results),
            "map": sweeps.map_table(results),
            "scaling": sweeps.scaling_table(results),
            "scaling_trend": sweeps.trend_table(results),
            "natural_drift": sweeps.natural_drift_table(results),
            "baselines": sweeps.baselines_table(results),
            "factor_graph": sweeps.graph_table(results),
            "runs": sweeps.speed_table(results),
        },
        figures=lambda: report_figures(results),
    )
