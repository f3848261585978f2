"""One process at a time for a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from qecforge.errors import Interrupted, StoreError, UserError

__all__ = ["LOCK_SECONDS", "alone"]

LOCK_SECONDS = 0.2


@contextmanager
def alone(checkpoint: Path, cancelled: Callable[[], bool] | None = None) -> Iterator[Path]:
    """Hold the run's lock, so that two processes never train the same run.

    Args:
        cancelled: Wait for the lock until this is so; None: do not wait.
    """
    from filelock import FileLock, Timeout

    try:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(checkpoint.parent.with_suffix(".lock"), timeout=0)
        while True:
            try:
                lock.acquire()
                break
            except Timeout:
                if cancelled is None:
                    raise
            if cancelled():
                raise Interrupted(f"stopped while another process carries out run {checkpoint.parent.name}")
            time.sleep(LOCK_SECONDS)
    except Timeout:
        raise UserError(
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
