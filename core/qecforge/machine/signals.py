"""SIGINT and SIGTERM: a terminal sends them to every process of a group at once, a scheduler to any of them."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType

__all__ = [
    "PATIENCE_SECONDS",
    "STOP_SIGNALS",
    "GaveUp",
    "children_ignore_sigint",
    "interrupt_on_sigterm",
    "stop_signals",
    "stop_signals_held",
]

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
PATIENCE_SECONDS = 5.0
"""How long after the first stop signal later ones change nothing: a key pressed twice is one wish."""


class GaveUp(KeyboardInterrupt):
    """The user asked three times to stop, over more than `PATIENCE_SECONDS`: nothing is waited for any longer."""


@contextmanager
def stop_signals(acknowledge: Callable[[], None] = lambda: None) -> Iterator[threading.Event]:
    """An event that SIGINT or SIGTERM sets, so that work can end where its state can be saved.

    Later signals change nothing, but the third or a later one, more than `PATIENCE_SECONDS` after the first, raises
    `GaveUp` in the main thread. Outside the main thread, where Python takes no signals, the event is only there to be
    set by others.

    Args:
        acknowledge: Called once, at the first signal, in a thread of its own.
    """
    stop, ended = threading.Event(), threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    came: list[float] = []

    def handle(_number: int, _frame: FrameType | None) -> None:
        came.append(time.monotonic())
        stop.set()
        if len(came) >= 3 and came[-1] - came[0] > PATIENCE_SECONDS:
            raise GaveUp

    def answer() -> None:
        stop.wait()
        if not ended.is_set():
            acknowledge()

    # A handler may not print: the thread that it interrupts may be writing to the same stream.
    answering = threading.Thread(target=answer, name="acknowledges stop signals", daemon=True)
    before = {number: signal.signal(number, handle) for number in STOP_SIGNALS}
    answering.start()
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if not stop.is_set():
            ended.set()
        stop.set()
        answering.join()


def interrupt_on_sigterm() -> None:
    """From now on SIGTERM, which schedulers and systemd send, raises KeyboardInterrupt, as Ctrl-C does.

    A second SIGTERM within `PATIENCE_SECONDS` changes nothing, so that the command can clean up; a later one ends the
    process at once. To be called in the main thread; elsewhere it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    came: list[float] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        came.append(time.monotonic())
        if len(came) == 1:
            raise KeyboardInterrupt
        if came[-1] - came[0] > PATIENCE_SECONDS:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    signal.signal(signal.SIGTERM, handle)


@contextmanager
def children_ignore_sigint() -> Iterator[None]:
    """Processes started in the block never see SIGINT, from their first instruction on, nor do their children.

    In this thread a SIGINT that comes meanwhile waits for the end of the block.
    """
    # `multiprocessing` starts this helper with its first process, and unblocks the signal as it does.
    resource_tracker.ensure_running()
    with _held((signal.SIGINT,)):
        yield


@contextmanager
def stop_signals_held() -> Iterator[None]:
    """Processes started in the block receive stop signals only once they unblock them, with `signal.pthread_sigmask`.

    In this thread a stop signal that comes meanwhile waits for the end of the block.
    """
    with _held(STOP_SIGNALS):
        yield


@contextmanager
def _held(numbers: tuple[signal.Signals, ...]) -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
