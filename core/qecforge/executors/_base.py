from __future__ import annotations

import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qecforge.manifest import RunPlan
    from qecforge.runs.listener import RunListener, RunOptions, RunOutcome

__all__ = ["Executor", "stop_signals"]


class Executor(ABC):
    """Carries out runs and reports each to a listener, in the calling process."""

    @abstractmethod
    def run(self, plans: Sequence[RunPlan], options: RunOptions, listener: RunListener) -> list[RunOutcome]:
        """Outcomes in the order of the plans. After SIGINT or SIGTERM, runs that did not end are `interrupted`."""


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that SIGINT or SIGTERM sets. A second signal raises `KeyboardInterrupt` at once.

    Outside the main thread, where Python takes no signals, the event is only there to be set by others.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
