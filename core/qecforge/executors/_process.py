from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qecforge.errors import UserError
from qecforge.executors._base import Executor, stop_signals

if TYPE_CHECKING:
    from qecforge.manifest import RunPlan
    from qecforge.runs.listener import RunListener, RunOptions, RunOutcome

__all__ = ["ProcessExecutor"]


class ProcessExecutor(Executor):
    """One run after the other, in this process."""

    def run(self, plans: Sequence[RunPlan], options: RunOptions, listener: RunListener) -> list[RunOutcome]:
        """See `Executor.run`; plans not begun when the signal came have no outcome. An error of the user's in one run
        is raised once the others are through."""
        from qecforge.runs.execute import execute

        outcomes: list[RunOutcome] = []
        refused: UserError | None = None
        with stop_signals() as stop:
            for plan in plans:
                try:
                    outcomes.append(execute(plan, options, listener, stop.is_set))
                except UserError as error:
                    refused = refused or error
                if stop.is_set():
                    break
        if refused is not None:
            raise refused
        return outcomes
