"""Who draws chunks of shots beside the process that counts them."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Protocol

from qecforge.evaluation.error_rates.records import ErrorCounts
from qecforge.evaluation.error_rates.sampling import Chunk, draw_chunk
from qecforge.machine.processes import end_with_parent
from qecforge.machine.signals import children_ignore_sigint

__all__ = ["ChunkPool", "Drawing", "process_pool"]


class Drawing(Protocol):
    """A chunk that is drawn elsewhere."""

    def result(self) -> ErrorCounts:
        """Its counts, once they are there."""

    def cancel(self) -> object:
        """Say that they are not wanted any more."""


class ChunkPool(ABC):
    """Draws chunks elsewhere, in any order: the counts of a chunk are the same whoever draws it."""

    @property
    @abstractmethod
    def width(self) -> int:
        """How many chunks it draws at a time; about twice as many are handed to it ahead."""

    @abstractmethod
    def submit(self, chunk: Chunk) -> Drawing:
        """Have a chunk drawn."""


class _Processes(ChunkPool):
    def __init__(self, pool: ProcessPoolExecutor, workers: int) -> None:
        self._pool, self._workers = pool, workers

    @property
    def width(self) -> int:
        return self._workers

    def submit(self, chunk: Chunk) -> Future[ErrorCounts]:
        with children_ignore_sigint():
            return self._pool.submit(draw_chunk, chunk)


@contextmanager
def process_pool(workers: int) -> Iterator[ChunkPool]:
    """So many processes on this machine, at most one for each core."""
    from multiprocessing import get_context

    processes = min(workers, os.cpu_count() or 1)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=end_with_parent) as pool:
        try:
            yield _Processes(pool, workers)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
