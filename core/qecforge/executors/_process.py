from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qecforge.errors import RunBusy, UserError
from qecforge.executors._base import Executor, begun_elsewhere, outcome_of_each
from qecforge.machine.signals import stop_signals

if TYPE_CHECKING:
    from qecforge.manifest import RunPlan
    from qecforge.runs.listener import RunListener, RunOptions, RunOutcome

__all__ = ["ProcessExecutor"]


class ProcessExecutor(Executor):
    """One run after the other, in this process: if it dies, so does the command."""

    def run(self, plans: Sequence[RunPlan], options: RunOptions, listener: RunListener) -> list[RunOutcome]:
        """See `Executor.run`."""
        from qecforge.runs.execute import execute

        ended: dict[int, RunOutcome] = {}
        put_off: list[int] = []
        refused: UserError | None = None
        with stop_signals(listener.on_stop) as stop:
            for waits, places in ((False, range(len(plans))), (True, put_off)):
                for place in places:
                    if stop.is_set():
                        break
                    asked = begun_elsewhere(options) if waits else options
                    try:
                        ended[place] = execute(plans[place], asked, listener, stop.is_set, waits=waits)
                    except RunBusy:
                        put_off.append(place)
                    except UserError as error:
                        refused = refused or error
        if refused is not None:
            raise refused
        return outcome_of_each(plans, ended)
