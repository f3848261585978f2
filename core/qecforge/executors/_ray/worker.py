"""The task that carries out a run on a node of the cluster."""

from __future__ import annotations

import os
import platform
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qecforge.errors import Interrupted, RunBusy, UserError, one_line
from qecforge.executors._portable import PortablePlan, event_sender
from qecforge.executors._ray.channel import Channel
from qecforge.executors._ray.shots import cluster_pool
from qecforge.executors._ray.workspace import RemoteWorkspace

if TYPE_CHECKING:
    from qecforge.runs.listener import RunOptions

__all__ = ["Ended", "Errand", "carry_out"]

_OWN_PATH = tuple(sys.path)
"""Where this worker finds modules; a task before this one may have had further places."""


@dataclass(frozen=True)
class Errand:
    """What a task is to do.

    Attributes:
        token: Of this attempt.
        options: Without the store's address: the store is the driver's.
        waits: Wait where another process carries the run out.
        threads: Threads of numerical libraries.
        arguments: The command line that the run's record names.
        path: The driver's `sys.path`.
        log_level: From which on the driver's loggers say something.
    """

    token: str
    plan: PortablePlan
    options: RunOptions
    waits: bool
    threads: int
    arguments: list[str]
    path: list[str]
    log_level: int


@dataclass(frozen=True)
class Ended:
    """How it went: `kind` as in `qecforge.executors._child.Said`."""

    kind: str
    content: Any = None


def carry_out(mailbox: Any, errand: Errand) -> None:
    """Carry out a run, and tell the driver how it ended."""
    stop = threading.Event()
    with _signals_stop(stop), Channel(mailbox, errand.token, stop) as channel:
        try:
            channel.ask("begin", f"process {os.getpid()} on {platform.node()}")
            channel.ask("end", _ended(errand, channel, stop))
        except Interrupted:  # the driver is gone, or listens to another attempt: nobody waits for an answer
            return


@contextmanager
def _signals_stop(stop: threading.Event) -> Iterator[None]:
    """Cancelling a task comes as SIGINT: the run is to save its state."""
    before = signal.signal(signal.SIGINT, lambda _number, _frame: stop.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _ended(errand: Errand, channel: Channel, stop: threading.Event) -> Ended:
    sys.argv = errand.arguments
    sys.path[:] = [*_OWN_PATH, *(each for each in errand.path if each not in _OWN_PATH)]
    try:
        from qecforge.machine.logs import hand_on_logs
        from qecforge.machine.threads import compute_on
        from qecforge.registry import Registry
        from qecforge.runs.execute import execute

        compute_on(errand.threads)
        hand_on_logs(errand.log_level, channel.log)
        plan = errand.plan.plan(Registry.load())
        listener = event_sender(plan.identity, channel.tell)
        with tempfile.TemporaryDirectory(prefix="qecforge-run-") as folder:
            workspace = RemoteWorkspace(channel, Path(folder), chunk_pool=cluster_pool)
            outcome = execute(
                plan,
                errand.options,
                listener,
                stop.is_set,
                waits=errand.waits,
                opened=lambda _options: nullcontext(workspace),
            )
        return Ended("ended", outcome)
    except RunBusy:
        return Ended("busy")
    except UserError as error:
        return Ended("refused", error)
    except Exception as error:
        if channel.given_up:
            raise Interrupted("this worker was given up") from error
        return Ended("broke", (f"{type(error).__name__}: {one_line(error)}", traceback.format_exc()))
