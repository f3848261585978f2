"""One process at a time for a run: a lock in the store, so that no file system need be shared.

Each lock names the process that holds it. On the same machine the system says whether that process is still there: the
lock of one that was killed is free at once. On another machine the holder's beats tell, a number in the lock that grows
every `BEAT_SECONDS` as long as the holder is there; a lock whose beats have not grown for `GONE_SECONDS`, by the clock
of whoever looks, is taken over. Clocks of two machines are never compared.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from qecforge.errors import Interrupted, RunBusy, StoreError
from qecforge.machine.processes import ProcessName, is_running, this_process

if TYPE_CHECKING:
    from types import TracebackType

    from qecforge.store import RunLock, Store

__all__ = ["BEAT_SECONDS", "GONE_SECONDS", "LockTaker", "RunLocks", "Taken", "alone", "is_held"]

BEAT_SECONDS = 5.0
GONE_SECONDS = 60.0

_ASK_SECONDS = 0.2
"""Between two looks at a lock that another process holds."""

_held_here: set[str] = set()
"""Tokens of the locks that this process holds: a lock that names this process and is none of them was left behind."""


@dataclass(frozen=True)
class Taken:
    """Whose a lock is that could not be taken.

    Attributes:
        certain: Whether the holder is known to be there; else it is on another machine, and to be asked again.
    """

    by: ProcessName
    certain: bool


class LockTaker(Protocol):
    """Takes locks of runs for this process: `RunLocks`, or one that asks another process for them."""

    def take(self, run_id: str) -> Taken | None:
        """Take the lock; None where that was done."""

    def release(self, run_id: str) -> None:
        """Give the lock back."""

    def keep_time(self, run_id: str, before: float) -> None:
        """As long as the lock is held, file with each beat how long the run took so far, `before` seconds included."""

    def has_lost(self, run_id: str) -> bool:
        """Whether another process took the lock for abandoned and has it now."""


class RunLocks:
    """Locks of the runs of one store. A context manager: at its end all are given back.

    A thread beats as long as any is held. Safe to share between threads.
    """

    def __init__(self, store: Store) -> None:
        self._store, self._token, self._process = store, uuid.uuid4().hex, this_process()
        self._held: set[str] = set()
        self._lost: set[str] = set()
        self._begun: dict[str, float] = {}
        self._seen: dict[str, tuple[RunLock, float]] = {}
        self._turn, self._ended = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> RunLocks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        for run_id in list(self._held):
            self.release(run_id)

    def take(self, run_id: str) -> Taken | None:
        """Take a run's lock, also from a process that is gone.

        Returns:
            None where the lock is taken; else whose it is.

        Raises:
            StoreError: no such run, or the store cannot be written.
        """
        with self._turn:
            if run_id in self._held:
                return Taken(self._process, certain=True)
            _held_here.add(self._token)
            lock = self._store.take_run_lock(run_id, self._token, self._process)
            if lock.token != self._token and (gone := self._is_gone(lock)) is not False:
                if gone is None:
                    return Taken(lock.process, certain=False)
                lock = self._store.take_run_lock(run_id, self._token, self._process, instead_of=lock)
            if lock.token != self._token:
                return Taken(lock.process, certain=True)
            self._held.add(run_id)
            self._lost.discard(run_id)
            self._seen.pop(run_id, None)
        if self._thread is None:
            self._thread = threading.Thread(target=self._beat, name="run locks", daemon=True)
            self._thread.start()
        return None

    def release(self, run_id: str) -> None:
        """Give a run's lock back. Where the store is gone it stays, and ends with this process."""
        with self._turn:
            self._held.discard(run_id)
            self._lost.discard(run_id)
            self._begun.pop(run_id, None)
            if not self._held:
                _held_here.discard(self._token)
            try:
                self._store.release_run_lock(run_id, self._token)
            except StoreError:
                return

    def keep_time(self, run_id: str, before: float) -> None:
        """See `LockTaker.keep_time`."""
        with self._turn:
            self._begun[run_id] = time.monotonic() - before

    def has_lost(self, run_id: str) -> bool:
        """Whether another process took the lock for abandoned: this one was suspended, or cut off from the store, for
        more than `GONE_SECONDS`."""
        return run_id in self._lost

    def _is_gone(self, lock: RunLock) -> bool | None:
        """Whether the lock's holder is; None where it beats on another machine, or not, and was not watched for long
        enough."""
        running = is_running(lock.process)
        if running is not None:
            left_behind = lock.process == self._process and lock.token not in _held_here
            return not running or left_behind
        known, since = self._seen.get(lock.run_id, (None, 0.0))
        if known is not None and (known.token, known.beats) == (lock.token, lock.beats):
            return True if time.monotonic() - since >= GONE_SECONDS else None
        self._seen[lock.run_id] = lock, time.monotonic()
        return False if known is not None and known.token == lock.token else None

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            with self._turn:
                if not self._held:
                    continue
                try:
                    now = time.monotonic()
                    spent = {run_id: now - begun for run_id, begun in self._begun.items()}
                    kept = self._store.beat_run_locks(self._token, spent)
                except StoreError:  # the store may come back, and nobody else can look at the lock meanwhile
                    continue
                self._lost.update(self._held - kept)


@contextmanager
def alone(
    locks: LockTaker,
    run_id: str,
    cancelled: Callable[[], bool],
    *,
    wait: bool = False,
    waiting: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Hold the run's lock, so that two processes never carry out the same run.

    Args:
        cancelled: Asked while the lock is waited for.
        wait: Wait for a process that holds it; else one is refused. One on another machine is watched, for at most
            `GONE_SECONDS`, before it counts as gone.
        waiting: Called once, where the lock has to be waited for.

    Raises:
        RunBusy: another process holds it, and it is not waited for.
        Interrupted: cancelled while it was waited for.
    """
    told = False
    while (taken := locks.take(run_id)) is not None:
        if taken.certain and not wait:
            raise RunBusy(f"run {run_id} is being carried out by another process ({taken.by}): wait for it, or stop it")
        if wait and not told:
            waiting()
            told = True
        if cancelled():
            raise Interrupted(f"stopped while {taken.by} carries out run {run_id}")
        time.sleep(_ASK_SECONDS)
    try:
        yield
    finally:
        locks.release(run_id)


def is_held(lock: RunLock) -> bool:
    """Whether the holder of a lock is still there, as far as can be told at once: one on another machine counts as
    there."""
    if lock.process == this_process():
        return lock.token in _held_here
    return is_running(lock.process) is not False
