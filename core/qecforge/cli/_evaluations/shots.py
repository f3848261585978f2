"""Whether a finished run has the shots that are asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from qecforge.evaluation.built_in import LOGICAL_ERROR_RATE
from qecforge.reporting.tables import number

if TYPE_CHECKING:
    from qecforge.manifest import RunPlan
    from qecforge.store import Run

__all__ = ["enough_shots"]


def enough_shots(plan: RunPlan, run: Run) -> str | None:
    """Words for a finished run whose logical error rates have more shots than the plan asks for; else None."""
    from qecforge.runs.evaluating import shots_suffice

    asked = json.loads(plan.canonical)["evaluation"].get(LOGICAL_ERROR_RATE.name)
    had = json.loads(run.manifest).get("evaluation", {}).get(LOGICAL_ERROR_RATE.name)
    if run.status != "finished" or asked is None or had is None or asked == had or not shots_suffice(asked, had):
        return None
    return f"has enough shots: {number(had['shots'])} were asked for before, {number(asked['shots'])} now"
