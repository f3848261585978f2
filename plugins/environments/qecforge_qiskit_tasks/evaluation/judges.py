"""The judge of tasks, as an evaluation asks it."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib import metadata

from qecforge_qiskit_tasks.evaluation.report import Judged
from qecforge_qiskit_tasks.judging import JudgedCompletion, TaskJudge

__all__ = ["JudgesOfTasks", "installed_versions"]

PACKAGES = ("qecforge", "qiskit", "qiskit-aer", "numpy", "scipy")


class JudgesOfTasks:
    """A `TaskJudge` with the versions and the profile that stand in the report."""

    def __init__(self, judge: TaskJudge) -> None:
        self._judge = judge
        self.versions: Mapping[str, str] = installed_versions()
        self.profile = str(judge.config.profile)

    def judge(self, task_ids: Sequence[str], completions: Sequence[str]) -> list[Judged]:
        """See `TaskJudge.judge`."""
        return [Judged(each.verdict, each.program, _said(each)) for each in self._judge.judge(task_ids, completions)]


def installed_versions() -> dict[str, str]:
    """Of Python, and of what programs of tasks import."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _said(judged: JudgedCompletion) -> str:
    """What went wrong, then test by test."""
    lines = [judged.detail] if judged.detail else []
    for test in judged.tests:
        if test.status != "passed" and test.detail not in judged.detail:
            lines.append(f"{test.name}: {test.detail}")
    return "\n".join(lines)
