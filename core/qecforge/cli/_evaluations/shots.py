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
    """Words for a run whose logical error rates have as many shots as the plan asks for, or more; else None.

    Rates that differ in anything but `shots`, or are sampled until errors are seen, are none of these.
    """
    asked = json.loads(plan.canonical)["evaluation"].get(LOGICAL_ERROR_RATE.name)
    had = json.loads(run.manifest).get("evaluation", {}).get(LOGICAL_ERROR_RATE.name)
    if run.status != "finished" or asked is None or had is None or asked == had or asked["max_errors"] is not None:
        return None
    if asked | {"shots": 0} != had | {"shots": 0} or asked["shots"] > had["shots"]:
        return None
    return f"has enough shots: {number(had['shots'])} were asked for before, {number(asked['shots'])} now"
