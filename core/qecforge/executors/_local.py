from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Literal

from qecforge.errors import UserError
from qecforge.executors._base import Executor, begun_elsewhere, outcome_of_each
from qecforge.executors._child import Request, Said, start
from qecforge.executors._portable import PortablePlan, tell
from qecforge.machine.cores import available_cores
from qecforge.machine.logs import log_as_elsewhere, log_level
from qecforge.machine.signals import GaveUp, stop_signals

if TYPE_CHECKING:
    from qecforge.manifest import RunPlan
    from qecforge.runs.listener import RunListener, RunOptions, RunOutcome

__all__ = ["LocalExecutor"]

_LOOK_SECONDS = 0.2
"""Time between two looks at the processes."""
_LEAVE_SECONDS = 10.0
"""How long a process may take to be gone after it said how its run ended."""


class LocalExecutor(Executor):
    """A process of its own for each run; each opens the store itself and writes in short transactions.

    Args:
        workers: Processes at a time; None for one a core. Numerical libraries get an equal share of the cores in each.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or available_cores()

    def run(self, plans: Sequence[RunPlan], options: RunOptions, listener: RunListener) -> list[RunOutcome]:
        """See `Executor.run`."""
        if not plans:
            return []
        at_once = min(self.workers, len(plans))
        share = max(1, available_cores() // at_once)
        options = replace(options, workers=options.workers or share)
        with stop_signals(listener.on_stop) as stop:
            supervision = _Supervision(plans, options, listener, at_once=at_once, threads=share)
            try:
                supervision.carry_out(stop)
            except GaveUp:
                supervision.give_up()
            finally:
                supervision.close()
        if supervision.refused is not None:
            raise supervision.refused
        return outcome_of_each(plans, supervision.ended)


@dataclass(eq=False)
class _Working:
    """A run whose process is there, and what it said last; `until`: when the process must be gone."""

    place: int
    process: subprocess.Popen[bytes]
    connection: Connection
    last: Said | None = None
    until: float | None = None

    @property
    def gone(self) -> bool:
        """Whether the process is, and all that it said is read. One that does not go in time is killed."""
        if self.until is not None and time.monotonic() > self.until:
            self.process.kill()
        return self.process.poll() is not None and (self.until is not None or not self.connection.poll())

    def read(self) -> Said | None:
        """What it says next; None where there is no more. Then it has some time to be gone."""
        try:
            said: Said = self.connection.recv()
        except (EOFError, OSError):
            self._leave()
            return None
        if said.kind not in ("event", "log"):
            self.last = said
            self._leave()
        return said

    def _leave(self) -> None:
        if self.until is None:
            self.until = time.monotonic() + _LEAVE_SECONDS


class _Supervision:
    """The runs of one call, from their start to the end of their processes.

    Attributes:
        ended: Outcomes by place.
        refused: The first error of the user's.
    """

    def __init__(
        self, plans: Sequence[RunPlan], options: RunOptions, listener: RunListener, *, at_once: int, threads: int
    ) -> None:
        self.ended: dict[int, RunOutcome] = {}
        self.refused: UserError | None = None
        self._plans, self._options, self._listener = plans, options, listener
        self._at_once, self._threads = at_once, threads
        self._waiting: deque[int] = deque(range(len(plans)))
        self._put_off: deque[int] = deque()
        self._working: list[_Working] = []

    def carry_out(self, stop: threading.Event) -> None:
        """Until every run has ended; after a stop, until those that work have."""
        told = False
        while self._working or (not stop.is_set() and (self._waiting or self._put_off)):
            while not stop.is_set() and len(self._working) < self._at_once and (self._waiting or self._put_off):
                self._begin()
            if stop.is_set() and not told:
                self._tell_to_stop()
                told = True
            self._look()

    def give_up(self) -> None:
        """Kill the processes: the user does not wait for them."""
        for each in self._working:
            each.process.kill()
        for each in self._working:
            each.process.wait()
            self._lost(each, "ended without saving its state", status="interrupted")
        self._working = []

    def close(self) -> None:
        """Where an error ended the supervision, have the runs save their state, and see the processes gone."""
        for each in self._working:
            each.connection.close()
        for each in self._working:
            try:
                each.process.wait(_LEAVE_SECONDS)
            except subprocess.TimeoutExpired:
                each.process.kill()
                each.process.wait()
        self._working = []

    def _begin(self) -> None:
        was_put_off = not self._waiting
        place = self._put_off.popleft() if was_put_off else self._waiting.popleft()
        plan = PortablePlan.of(self._plans[place])
        options = begun_elsewhere(self._options) if was_put_off else self._options
        request = Request(plan, options, not self._waiting, self._threads, sys.argv, log_level())
        self._working.append(_Working(place, *start(request)))

    def _tell_to_stop(self) -> None:
        for each in self._working:
            with suppress(OSError):
                each.connection.send("stop")

    def _look(self) -> None:
        """Hand on what the processes say, and file the end of those that are gone."""
        speaking = {each.connection: each for each in self._working if each.until is None}
        if not speaking:
            time.sleep(_LOOK_SECONDS / 10)
        for connection in wait(list(speaking), _LOOK_SECONDS):
            each = speaking[connection]  # type: ignore[index]
            said = each.read()
            if said is not None and said.kind == "event":
                tell(self._listener, self._plans[each.place], said.content)
            elif said is not None and said.kind == "log":
                log_as_elsewhere(said.content)
        for each in [each for each in self._working if each.gone]:
            self._working.remove(each)
            each.connection.close()
            self._file_end(each)

    def _file_end(self, each: _Working) -> None:
        last = each.last
        if last is None:
            self._lost(each, f"its process {_how_it_ended(each.process.returncode)}")
        elif last.kind == "ended":
            self.ended[each.place] = last.content
        elif last.kind == "refused":
            self.refused = self.refused or last.content
        elif last.kind == "busy":
            self._put_off.append(each.place)
        else:
            self._lost(each, *last.content)

    def _lost(
        self,
        each: _Working,
        error: str,
        traceback: str | None = None,
        *,
        status: Literal["failed", "interrupted"] = "failed",
    ) -> None:
        from qecforge.runs.execute import file_lost

        plan = self._plans[each.place]
        try:
            outcome = file_lost(plan, self._options, error, traceback=traceback, status=status)
        except UserError as refused:
            self.refused = self.refused or refused
            return
        self.ended[each.place] = outcome
        self._listener.on_end(plan, outcome)


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"ended by itself (exit code {code})"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = " (out of memory?)" if -code == signal.SIGKILL else ""
    return f"was ended by {name}{hint}"
