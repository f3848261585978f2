"""All tables and figures of the steering paper's reproduction, by file name."""

from __future__ import annotations

from collections.abc import Sequence

from qecforge.reporting.tables import Table
from qecforge_surface_steering.reproduction import sweeps as sweeps
from qecforge_surface_steering.reproduction import tables as tables
from qecforge_surface_steering.reproduction.claims import claims_table
from qecforge_surface_steering.reproduction.figures import report_figures
from qecforge_surface_steering.reproduction.runs import Result

__all__ = ["report_figures", "report_tables"]


def report_tables(results: Sequence[Result]) -> dict[str, Table]:
    """The tables that have rows, by file name."""
    found = {
        "claims": claims_table(results),
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
    }
    return {name: table for name, table in found.items() if table.rows}
