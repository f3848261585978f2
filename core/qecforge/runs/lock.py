"""One process at a time for a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from qecforge.errors import Interrupted, RunBusy, StoreError

__all__ = ["LOCK_SECONDS", "alone"]

LOCK_SECONDS = 0.2


@contextmanager
def alone(
    checkpoint: Path, cancelled: Callable[[], bool] | None = None, waiting: Callable[[], None] = lambda: None
) -> Iterator[Path]:
    """Hold the run's lock, so that two processes never train the same run.

    Args:
        cancelled: Wait for the lock until this is so; None: do not wait.
        waiting: Called once, where the lock has to be waited for.

    Raises:
        RunBusy: another process holds the lock, and it is not waited for.
        Interrupted: cancelled while it waited.
    """
    from filelock import FileLock, Timeout

    try:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        lock, told = FileLock(checkpoint.parent.with_suffix(".lock"), timeout=0), False
        while True:
            try:
                lock.acquire()
                break
            except Timeout:
                if cancelled is None:
                    raise
            if not told:
                waiting()
                told = True
            if cancelled():
                raise Interrupted(f"stopped while another process carries out run {checkpoint.parent.name}")
            time.sleep(LOCK_SECONDS)
    except Timeout:
        raise RunBusy(
            f"run {checkpoint.parent.name} is being carried out by another process: wait for it, or stop it"
        ) from None
    except OSError as error:
        raise StoreError(
            f"{checkpoint.parent}: cannot be written ({error.strerror}): choose another store (`store_url`)",
            parameter="store_url",
        ) from error
    try:
        yield checkpoint
    finally:
        lock.release()
