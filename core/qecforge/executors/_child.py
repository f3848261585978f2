"""What runs inside the process of one run, between it and the executor that supervises it.

The parent sends a `Request`, then at most a word to stop. The child sends `Said`, and ends. Where the parent is gone,
the connection between them ends: the run saves its state at its next step, and the process is gone soon after.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, Literal

from qecforge.errors import RunBusy, UserError, one_line
from qecforge.executors._portable import PortablePlan, event_sender
from qecforge.machine.exits import leave
from qecforge.machine.logs import hand_on_logs
from qecforge.machine.signals import STOP_SIGNALS, stop_signals_held

if TYPE_CHECKING:
    from qecforge.runs.listener import RunOptions

__all__ = ["ORPHAN_SECONDS", "Request", "Said", "main", "start"]

ORPHAN_SECONDS = 7.0
"""How long a process whose parent is gone may take to save its run; then it ends from its last checkpoint."""

_BOOTSTRAP = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from qecforge.executors._child import main; main(int(sys.argv[2]))"
)


@dataclass(frozen=True)
class Request:
    """What the child is to do.

    Attributes:
        waits: Wait where another process carries the run out.
        threads: Threads of numerical libraries.
        arguments: The command line that the run's record names.
        log_level: From which on the parent's loggers say something.
    """

    plan: PortablePlan
    options: RunOptions
    waits: bool
    threads: int
    arguments: list[str]
    log_level: int


@dataclass(frozen=True)
class Said:
    """What the child says; after any but `event` and `log` it says nothing more.

    Attributes:
        content: For `event` what `qecforge.executors._portable.tell` takes; for `log` a record; for `ended` the
            outcome; for `refused` the `UserError`; for `busy` nothing; for `broke` one line and a traceback.
    """

    kind: Literal["event", "log", "ended", "refused", "busy", "broke"]
    content: Any = None


def start(request: Request) -> tuple[subprocess.Popen[bytes], Connection]:
    """In the parent: start the process, and give it with the parent's end of the connection."""
    ours, theirs = Pipe()
    command = [sys.executable, "-c", _BOOTSTRAP, json.dumps(sys.path), str(theirs.fileno())]
    with theirs, stop_signals_held():
        process = subprocess.Popen(  # noqa: S603 (our own code)
            command,
            env=_environment(request.threads),
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
    with suppress(OSError):  # where it has ended already, its end of the connection says so
        ours.send(request)
    return process, ours


def _environment(threads: int) -> Mapping[str, str]:
    """Numerical libraries read their number of threads when they are loaded, before anything of ours runs."""
    return {**os.environ, "OMP_NUM_THREADS": str(threads), "NUMBA_NUM_THREADS": str(threads)}


def main(descriptor: int) -> None:
    """Carry out the run that the parent asks for.

    Args:
        descriptor: The child's end of the connection.
    """
    stop = threading.Event()
    for number in STOP_SIGNALS:
        signal.signal(number, lambda _number, _frame: stop.set())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    with suppress(OSError):  # what a plugin prints must not mix with what the command writes for programs
        os.dup2(2, 1)
    connection = Connection(descriptor)
    try:
        request = connection.recv()
    except EOFError:
        return
    threading.Thread(target=_watch_parent, args=(connection, stop), daemon=True).start()
    send = _Sender(connection, stop)
    hand_on_logs(request.log_level, lambda record: send(Said("log", record)))
    if not send(_carry_out(request, send, stop)):
        leave(1)  # an orphan does not take its time to leave
    with suppress(OSError):
        connection.close()


def _watch_parent(connection: Connection, stop: threading.Event) -> None:
    """Set `stop` at the parent's word. Where the parent is gone, end the process in time whatever it is doing."""
    with suppress(EOFError, OSError):
        while True:
            connection.recv()
            stop.set()
    stop.set()
    threading.Event().wait(ORPHAN_SECONDS)
    leave(1)


def _carry_out(request: Request, send: _Sender, stop: threading.Event) -> Said:
    sys.argv = request.arguments
    try:
        import torch

        from qecforge.registry import Registry
        from qecforge.runs.execute import execute

        torch.set_num_threads(request.threads)
        plan = request.plan.plan(Registry.load())
        listener = event_sender(plan.identity, lambda event: send(Said("event", event)))
        return Said("ended", execute(plan, request.options, listener, stop.is_set, waits=request.waits))
    except RunBusy:
        return Said("busy")
    except UserError as error:
        return Said("refused", error)
    except BaseException as error:
        return Said("broke", (f"{type(error).__name__}: {one_line(error)}", traceback.format_exc()))


class _Sender:
    """Says something, from whatever thread. Gives whether somebody listens; if not, the run is to end."""

    def __init__(self, connection: Connection, stop: threading.Event) -> None:
        self._connection, self._stop, self._turn = connection, stop, threading.RLock()

    def __call__(self, said: Said) -> bool:
        try:
            with self._turn:
                self._connection.send(said)
        except OSError:
            self._stop.set()
            return False
        return True
