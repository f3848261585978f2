"""Ctrl-C reaches every process of a terminal at once; only the one in charge may act on it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["children_deaf_to_sigint"]


@contextmanager
def children_deaf_to_sigint() -> Iterator[None]:
    """Processes started in the block never see SIGINT, from their first instruction on, nor do their children.

    In this thread a SIGINT that comes meanwhile waits for the end of the block.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
