"""What a check of tasks found."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["LEAST_SCORE", "SetCheck", "TaskCheck"]

LEAST_SCORE = 0.95
MISSING = re.compile(r"No module named '([\w.]+)'|[Tt]he '?(\w+)'? library is required")
"""As Python and Qiskit say it."""


@dataclass(kw_only=True)
class TaskCheck:
    """One task.

    Attributes:
        repeats: How often the reference was run, each time with another seed, and `passes` how often it passed.
        wrong: Declared wrong solutions, and `refused` how many of them failed.
        mutants: How many were made, `killed` how many failed, `equivalent` how many survivors are declared to mean
            the same.
        survivors: Changes that no test noticed, and nothing declares.
        judged: Whether its tests run outside the program's process.
        outside: Of a task `in_process`: whether its tests pass outside too, so that it need not be; None of others.
        inside: Of a judged task: whether its tests pass in the program's process as well; None of others.
        problems: A line each; none in a proven task.
    """

    id: str
    repeats: int = 0
    passes: int = 0
    wrong: int = 0
    refused: int = 0
    mutants: int = 0
    killed: int = 0
    equivalent: int = 0
    survivors: list[str] = field(default_factory=list)
    judged: bool = True
    outside: bool | None = None
    inside: bool | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def score(self) -> float | None:
        """Which part of the mutants that mean something else was killed; None where there are none."""
        different = self.mutants - self.equivalent
        return self.killed / different if different else None

    def as_row(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "score": self.score}


@dataclass(frozen=True, kw_only=True)
class SetCheck:
    """All tasks of a set.

    Attributes:
        least: Mutation score that the set needs.
        sandbox: What its layers do on this machine, where anything was run anew.
    """

    tasks: Sequence[TaskCheck]
    least: float = LEAST_SCORE
    sandbox: Mapping[str, Any] | None = None

    @property
    def problems(self) -> Sequence[str]:
        """Of all tasks, each with its id."""
        return [f"{task.id}: {each}" for task in self.tasks for each in task.problems]

    @property
    def missing(self) -> Mapping[str, int]:
        """What references asked for and is not installed, and of how many tasks; the most wanted first."""
        asked = [
            {found[1] or found[2] for each in task.problems for found in MISSING.finditer(each)} for task in self.tasks
        ]
        return dict(Counter(name for names in asked for name in sorted(names)).most_common())

    @property
    def totals(self) -> Mapping[str, int]:
        """Sums over the tasks."""
        names = ("repeats", "passes", "wrong", "refused", "mutants", "killed", "equivalent")
        return {name: sum(getattr(task, name) for task in self.tasks) for name in names}

    @property
    def score(self) -> float:
        """Of all mutants together that are not declared equivalent; 1 where there are none."""
        totals = self.totals
        different = totals["mutants"] - totals["equivalent"]
        return totals["killed"] / different if different else 1.0

    @property
    def holds(self) -> bool:
        """Whether there is no problem, and the score is reached."""
        return not self.problems and self.score >= self.least
