from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from qecforge.runs.listener import RunOutcome

if TYPE_CHECKING:
    from qecforge.manifest import RunPlan
    from qecforge.runs.listener import RunListener, RunOptions

__all__ = ["Executor", "begun_elsewhere", "outcome_of_each"]


class Executor(ABC):
    """Carries out runs and reports each to a listener, in the calling process.

    `qecforge.testing.executors.ExecutorContract` has the cases that each executor keeps.
    """

    @abstractmethod
    def run(self, plans: Sequence[RunPlan], options: RunOptions, listener: RunListener) -> list[RunOutcome]:
        """Carry out the runs.

        A run that fails does not stop the others; nor does the death of a process, where each run has its own: the run
        is `failed`. A run that another process carries out at that time is put off, and waited for once all others are
        done. After SIGINT or SIGTERM, which `listener.on_stop` acknowledges, no run begins, and those that work save
        their state and are `interrupted`.

        Args:
            listener: Called from one thread at a time; `on_stop` may come from another.

        Returns:
            An outcome for each plan, in their order; `interrupted` for runs that were not begun.

        Raises:
            UserError: input that cannot be used was met in a run; raised once the other runs are done.
        """


def begun_elsewhere(options: RunOptions) -> RunOptions:
    """The options for a run that was put off: another process has had it since, so that it is not begun anew."""
    return replace(options, force=False)


def outcome_of_each(plans: Sequence[RunPlan], ended: Mapping[int, RunOutcome]) -> list[RunOutcome]:
    """An outcome for each plan: those of `ended`, by place; a run that is not among them was not begun."""
    return [
        ended.get(place) or RunOutcome(plan.identity[:12], plan.identity, "interrupted", 0.0, "was not begun")
        for place, plan in enumerate(plans)
    ]
