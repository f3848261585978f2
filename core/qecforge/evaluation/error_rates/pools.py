"""Who draws chunks of shots beside the process that counts them."""

from __future__ import annotations

import os
import pickle
import traceback
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, CancelledError
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
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


@contextmanager
def process_pool(workers: int) -> Iterator[ChunkPool]:
    """So many processes on this machine, at most one for each core.

    A process that is ended by others is a `BrokenExecutor` of the chunk that is waited for. (`ProcessPoolExecutor`
    could wait for ever once its processes were killed: CPython issue 94777, before 3.11.5.)
    """
    pool = _Processes(workers, min(workers, os.cpu_count() or 1))
    try:
        yield pool
    finally:
        pool.close()


class _Processes(ChunkPool):
    """Each process has a pipe of its own and one chunk at a time, so a write never waits for one that is busy."""

    def __init__(self, width: int, processes: int) -> None:
        self._width, self._processes = width, processes
        self._started: list[tuple[BaseProcess, Connection]] = []
        self._idle: list[tuple[BaseProcess, Connection]] = []
        self._busy: dict[Connection, tuple[BaseProcess, _Waiting]] = {}
        self._waiting: deque[_Waiting] = deque()

    @property
    def width(self) -> int:
        return self._width

    def submit(self, chunk: Chunk) -> _Waiting:
        drawing = _Waiting(self, chunk)
        self._waiting.append(drawing)
        self._hand_out()
        return drawing

    def collect(self) -> None:
        """Wait until at least one process has drawn its chunk, and give it another one.

        Raises:
            BrokenExecutor: a process is gone.
        """
        for connection in wait(list(self._busy)):
            assert isinstance(connection, Connection)
            process, drawing = self._busy.pop(connection)
            try:
                drawing.drawn = connection.recv()
            except (EOFError, OSError) as error:
                raise BrokenExecutor(f"process {process.pid} is gone") from error
            self._idle.append((process, connection))
        self._hand_out()

    def close(self) -> None:
        """End the processes; what they draw is not wanted any more."""
        for process, _ in self._started:
            process.kill()
        for process, connection in self._started:
            process.join()
            process.close()
            connection.close()

    def _hand_out(self) -> None:
        while self._waiting and (self._idle or len(self._busy) < self._processes):
            drawing = self._waiting.popleft()
            if drawing.cancelled:
                continue
            process, connection = self._idle.pop() if self._idle else self._start()
            self._busy[connection] = (process, drawing)
            try:
                connection.send(drawing.chunk)
            except OSError as error:
                raise BrokenExecutor(f"process {process.pid} is gone") from error

    def _start(self) -> tuple[BaseProcess, Connection]:
        from multiprocessing import get_context

        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs,), daemon=True)
        with children_ignore_sigint():
            process.start()
        theirs.close()
        self._started.append((process, ours))
        return process, ours


class _Waiting:
    """A chunk that a process draws, or will."""

    def __init__(self, pool: _Processes, chunk: Chunk) -> None:
        self._pool, self.chunk = pool, chunk
        self.cancelled = False
        self.drawn: ErrorCounts | Exception | None = None

    def result(self) -> ErrorCounts:
        while self.drawn is None:
            if self.cancelled:
                raise CancelledError
            self._pool.collect()
        if isinstance(self.drawn, Exception):
            raise self.drawn
        return self.drawn

    def cancel(self) -> None:
        self.cancelled = True


def _serve(connection: Connection) -> None:
    """In a process of the pool: draw what is asked for, until nobody asks any more."""
    end_with_parent()
    while True:
        try:
            chunk = connection.recv()
        except (EOFError, OSError):
            return
        drawn: ErrorCounts | Exception
        try:
            drawn = draw_chunk(chunk)
        except Exception as error:
            drawn = _portable(error)
        with suppress(OSError):  # who asked is gone, which the next `recv` says too
            connection.send(drawn)


def _portable(error: Exception) -> Exception:
    """What can be sent in its place, with the traceback of this process as a note."""
    where = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 (our own)
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(f"in a process that draws shots:\n{where}")
    return error
