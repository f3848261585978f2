"""Kernels that are compiled: the first run on a machine waits for them, later ones take them from a cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["COMPILING", "told_of_compilation"]

COMPILING = "compiling kernels (first run only)"
"""What people are told."""


@contextmanager
def told_of_compilation(tell: Callable[[], None]) -> Iterator[None]:
    """Call `tell` once, when the first kernel in the block begins to be compiled; not for one that is in the cache."""
    from numba.core import event

    class Told(event.Listener):
        told = False

        def on_start(self, _event: event.Event) -> None:
            if not self.told:
                self.told = True
                tell()

        def on_end(self, _event: event.Event) -> None:
            """Nothing to do."""

    with event.install_listener("numba:compile", Told()):
        yield
