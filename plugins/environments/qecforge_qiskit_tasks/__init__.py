"""Tasks for models that write Qiskit: what is asked, and tests that judge an answer from outside its process.

    from qecforge_qiskit_tasks import TaskJudge, load_tasks

    tasks = load_tasks("shipped")
    with TaskJudge(tasks) as judge:
        judged = judge.judge([task.id for task in tasks], [task.reference for task in tasks])

The environment `qiskit_tasks` and the commands `qecforge tasks` are this plugin's.

Source of the task: Dupuis et al. 2025, arXiv 2508.20907.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pluggy import HookimplMarker

if TYPE_CHECKING:
    from qecforge.hookspecs import EnvironmentSpec
    from qecforge_qiskit_tasks.completions import program_of
    from qecforge_qiskit_tasks.judging import COMPONENTS, JudgeConfig, JudgedCompletion, TaskJudge
    from qecforge_qiskit_tasks.tasks import Task, load_tasks

__all__ = [
    "COMPONENTS",
    "JudgeConfig",
    "JudgedCompletion",
    "Task",
    "TaskJudge",
    "load_tasks",
    "program_of",
    "qecforge_cli",
    "qecforge_environments",
]

_HOME = {
    **dict.fromkeys(["COMPONENTS", "JudgeConfig", "JudgedCompletion", "TaskJudge"], "judging"),
    **dict.fromkeys(["Task", "load_tasks"], "tasks"),
    "program_of": "completions",
}
hookimpl = HookimplMarker("qecforge")
"""As in `qecforge.hookspecs`, which a fork server that imports this package need not have."""


@hookimpl
def qecforge_environments() -> Sequence[EnvironmentSpec]:
    """The environment of this plugin."""
    return []


@hookimpl
def qecforge_cli(app: Any) -> None:
    """Add `qecforge tasks`."""
    from qecforge_qiskit_tasks.cli import make_app

    app.add_typer(make_app(), name="tasks")


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"qecforge_qiskit_tasks.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
