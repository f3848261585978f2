from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from qecforge.executors._base import Executor, Supervision
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
        workers: Processes at a time; None for one for each core. Numerical libraries in each get an equal share of the
            cores.
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
            supervision = _Processes(plans, options, listener, at_once=at_once, threads=share)
            try:
                supervision.carry_out(stop)
            except GaveUp:
                supervision.give_up()
            finally:
                supervision.close()
        return supervision.outcomes()


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


class _Processes(Supervision):
    """The runs of one call, from their start to the end of their processes."""

    working: list[_Working]

    def __init__(
        self, plans: Sequence[RunPlan], options: RunOptions, listener: RunListener, *, at_once: int, threads: int
    ) -> None:
        super().__init__(plans, options, listener, at_once=at_once)
        self._threads = threads

    def carry_out(self, stop: threading.Event) -> None:
        """Until every run has ended; after a stop, until those that work have."""
        told = False
        while self.goes_on(stop):
            while not stop.is_set() and self.may_begin():
                self._begin()
            if stop.is_set() and not told:
                self._tell_to_stop()
                told = True
            self._look()

    def give_up(self) -> None:
        """Kill the processes: the user does not wait for them."""
        for each in self.working:
            each.process.kill()
        for each in self.working:
            each.process.wait()
            self.file_lost(each.place, "its process was ended without saving its state", status="interrupted")
        self.working = []

    def close(self) -> None:
        """Where an error ended the supervision, have the runs save their state, and see the processes gone."""
        for each in self.working:
            each.connection.close()
        for each in self.working:
            try:
                each.process.wait(_LEAVE_SECONDS)
            except subprocess.TimeoutExpired:
                each.process.kill()
                each.process.wait()
        self.working = []

    def _begin(self) -> None:
        place, options, waits = self.next_run()
        plan = PortablePlan.of(self.plans[place])
        request = Request(plan, options, waits, self._threads, sys.argv, log_level())
        self.working.append(_Working(place, *start(request)))

    def _tell_to_stop(self) -> None:
        for each in self.working:
            with suppress(OSError):
                each.connection.send("stop")

    def _look(self) -> None:
        """Hand on what the processes say, and file the end of those that are gone."""
        speaking = {each.connection: each for each in self.working if each.until is None}
        if not speaking:
            time.sleep(_LOOK_SECONDS / 10)
        for connection in wait(list(speaking), _LOOK_SECONDS):
            each = speaking[connection]  # type: ignore[index]
            said = each.read()
            if said is not None and said.kind == "event":
                tell(self.listener, self.plans[each.place], said.content)
            elif said is not None and said.kind == "log":
                log_as_elsewhere(said.content)
        for each in [each for each in self.working if each.gone]:
            self.working.remove(each)
            each.connection.close()
            self._file_end(each)

    def _file_end(self, each: _Working) -> None:
        if each.last is None:
            self.file_lost(each.place, f"its process {_how_it_ended(each.process.returncode)}")
        else:
            self.file_end(each.place, each.last.kind, each.last.content)


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"ended by itself (exit code {code})"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = " (out of memory?)" if -code == signal.SIGKILL else ""
    return f"was ended by {name}{hint}"
