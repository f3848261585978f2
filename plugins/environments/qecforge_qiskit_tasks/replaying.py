"""A transcript, run anew and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qecforge.sandbox import Limits, Outcome, Program, Sandbox
from qecforge_qiskit_tasks.cells import sandbox_config
from qecforge_qiskit_tasks.transcripts import Transcripts, versions

__all__ = ["replayed"]


def replayed(key: str, transcripts: str | Path) -> list[dict[str, Any]]:
    """Rows of what was found before and now; nothing is filed.

    Raises:
        StoreError: there is no such transcript.
        SandboxUnavailable, InfrastructureError: it cannot be run now.
    """
    found = Transcripts(transcripts).find(key)
    asked = found.asked
    program = Program(
        asked["program"],
        tests=asked["tests"],
        limits=Limits(**asked["limits"]),
        judge_limits=Limits(**asked["judge_limits"]),
        seed=asked["seed"],
        in_process=asked["in_process"],
    )
    with Sandbox(sandbox_config(1, asked["profile"])) as sandbox:
        (outcome,) = sandbox.run([program])
    rows = [_row("verdict", found.outcome.verdict.value, outcome.verdict.value)]
    before, now = _tests(found.outcome), _tests(outcome)
    rows += [_row(name, before.get(name, "-"), now.get(name, "-")) for name in {**before, **now}]
    current = versions()
    rows += [_row(name, said, current.get(name, "-")) for name, said in asked["versions"].items()]
    return rows


def _tests(outcome: Outcome) -> dict[str, str]:
    return {each.name: each.status for each in outcome.tests}


def _row(what: str, before: str, now: str) -> dict[str, Any]:
    return {"what": what, "before": before, "now": now, "same": before == now}
