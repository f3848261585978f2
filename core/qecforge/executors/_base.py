from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from qecforge.errors import UserError
from qecforge.runs.listener import RunOutcome

if TYPE_CHECKING:
    from qecforge.manifest import RunPlan
    from qecforge.runs.listener import RunListener, RunOptions
    from qecforge.runs.workspace import Workspace

__all__ = ["Executor", "Supervision", "begun_elsewhere", "outcome_of_each"]


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


class Supervision:
    """The runs of one call of which each has a process of its own: which wait, which were put off, how each ended.

    Attributes:
        ended: Outcomes by place.
        refused: The first error of the user's.
        working: What works on a run, of each that is under way.
        waits_last: Whether runs that another process has are waited for once all others are done, lest they keep room
            from those.
    """

    waits_last = False

    def __init__(
        self,
        plans: Sequence[RunPlan],
        options: RunOptions,
        listener: RunListener,
        *,
        at_once: int,
        opened: Callable[[RunOptions], AbstractContextManager[Workspace]] | None = None,
    ) -> None:
        self.plans, self.options, self.listener = plans, options, listener
        self.ended: dict[int, RunOutcome] = {}
        self.refused: UserError | None = None
        self.working: list[Any] = []
        self._at_once, self._opened = at_once, opened
        self._waiting: deque[int] = deque(range(len(plans)))
        self._put_off: deque[int] = deque()

    def outcomes(self) -> list[RunOutcome]:
        """One for each plan, in their order. Raises `refused` where there is one."""
        if self.refused is not None:
            raise self.refused
        return outcome_of_each(self.plans, self.ended)

    def goes_on(self, stop: threading.Event) -> bool:
        """Whether runs work, or are to begin."""
        return bool(self.working) or (not stop.is_set() and bool(self._waiting or self._put_off))

    def may_begin(self) -> bool:
        """Whether there is a next run, and room for it."""
        puts_off = self.waits_last and bool(self.working)
        return len(self.working) < self._at_once and bool(self._waiting or (self._put_off and not puts_off))

    def next_run(self) -> tuple[int, RunOptions, bool]:
        """Place and options of the run to begin, and whether it waits where another process carries it out."""
        if self._waiting:
            return self._waiting.popleft(), self.options, False
        return self._put_off.popleft(), begun_elsewhere(self.options), True

    def file_end(self, place: int, kind: str, content: Any) -> None:
        """File what a run's process said last, as `qecforge.executors._child.Said` has it."""
        if kind == "ended":
            self.ended[place] = content
        elif kind == "refused":
            self.refused = self.refused or content
        elif kind == "busy":
            self._put_off.append(place)
        else:
            self.file_lost(place, *content)

    def file_lost(
        self,
        place: int,
        error: str,
        traceback: str | None = None,
        *,
        status: Literal["failed", "interrupted"] = "failed",
    ) -> None:
        """File that a run's process is gone and did not say how the run ended (`qecforge.runs.execute.file_lost`)."""
        from qecforge.runs.execute import file_lost
        from qecforge.runs.workspace import local_workspace

        plan, opened = self.plans[place], self._opened or local_workspace
        try:
            outcome = file_lost(plan, self.options, error, traceback=traceback, status=status, opened=opened)
        except UserError as refused:
            self.refused = self.refused or refused
            return
        self.ended[place] = outcome
        self.listener.on_end(plan, outcome)
