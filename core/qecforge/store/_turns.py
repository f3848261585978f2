"""Turns of the writers of an SQLite file: first come, first served.

SQLite lets one writer in at a time, but has no queue: who finds the file locked sleeps and tries again, and of many
writers some are passed for half a minute. Here each writing transaction first draws a ticket, which is the time, and
locks the byte of that number in an empty file beside the database; its turn has come once no earlier byte is locked.
The system gives the locks of a process that dies back, so that nothing is left to clean up.

The queue only orders those who would have to wait: that one writes at a time is SQLite's own lock. So who makes no
headway (a process that was suspended in the queue) is passed, and where there are no such locks (other systems than
Linux, a folder that cannot be written) writers go to SQLite as they come.
"""

from __future__ import annotations

import os
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # not a POSIX system
    _GET, _SET = None, None
else:
    _GET, _SET = getattr(fcntl, "F_OFD_GETLK", None), getattr(fcntl, "F_OFD_SETLK", None)

__all__ = ["PATIENCE", "Turns"]

PATIENCE = 1.0
"""Seconds without headway of the writer ahead after which it is passed. It may be at work still: then SQLite's own
lock is waited for."""

_STRUCTURE = "hhqqi0q"  # struct flock of 64-bit Linux: type, whence, start, length, process
_POLL = 0.001
"""Seconds between two looks at the queue, times the number of writers ahead, `_COUNTED` at most."""
_COUNTED = 20

_open: set[int] = set()
"""Descriptors in use in this process. A fork must not keep their locks."""
_opening = threading.Lock()


class Turns:
    """The queue of one database file. Shared by threads; each transaction stands in it by itself.

    Args:
        path: The empty file, made where it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._passed = 0  # tickets up to this one are not waited for

    @contextmanager
    def turn(self, seconds: float) -> Iterator[None]:
        """Wait until it is the caller's turn, `seconds` at most, and keep it until the block ends."""
        descriptor = self._opened()
        try:
            if descriptor is not None:
                self._wait(descriptor, time.monotonic() + seconds)
            yield
        finally:
            if descriptor is not None:
                _closed(descriptor)

    def remove(self) -> None:
        """Delete the file, unless somebody stands in the queue. Who opens it meanwhile stands in one of its own."""
        descriptor = self._opened(create=False)
        if descriptor is None:
            return
        with suppress(OSError):
            if _locked(descriptor, 0, 1 << 62) is None:
                self._path.unlink(missing_ok=True)
        _closed(descriptor)

    def _opened(self, *, create: bool = True) -> int | None:
        """A descriptor, which has locks of its own; None where there is no queue."""
        if _SET is None or sys.maxsize < 1 << 32:
            return None
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
        with _opening:
            try:
                descriptor = os.open(self._path, flags, 0o666)
            except OSError:
                return None
            _open.add(descriptor)
        return descriptor

    def _wait(self, descriptor: int, deadline: float) -> None:
        ticket = time.monotonic_ns()
        try:
            while not _lock(descriptor, ticket):  # drawn by another one in the same nanosecond
                ticket += 1
            first, since = None, 0.0
            while (ahead := _ahead(descriptor, self._passed + 1, ticket)) is not None:
                now = time.monotonic()
                if ahead[0] != first:
                    first, since = ahead[0], now
                elif now > since + PATIENCE:
                    self._passed = max(self._passed, first)
                if now > deadline:
                    return
                time.sleep(_POLL * ahead[1])
        except OSError:  # a file system without locks
            return


def _lock(descriptor: int, ticket: int) -> bool:
    """Lock a byte; False where another one has it."""
    assert _SET is not None
    try:
        fcntl.fcntl(descriptor, _SET, struct.pack(_STRUCTURE, fcntl.F_WRLCK, os.SEEK_SET, ticket, 1, 0))
    except BlockingIOError:
        return False
    return True


def _ahead(descriptor: int, start: int, end: int) -> tuple[int, int] | None:
    """The first byte from `start` on and before `end` that another one has locked, and how many such bytes there are,
    `_COUNTED` at most; None where all are free."""
    first, found = None, _locked(descriptor, start, end)
    while found is not None:  # any of them: the first is the one with none before it
        first, found = found, _locked(descriptor, start, found)
    if first is None:
        return None
    count, later = 1, _locked(descriptor, first + 1, end)
    while later is not None and count < _COUNTED:
        count, later = count + 1, _locked(descriptor, later + 1, end)
    return first, count


def _locked(descriptor: int, start: int, end: int) -> int | None:
    """A byte in this range that another one has locked; the system tells the first that was."""
    if start >= end:
        return None
    assert _GET is not None
    asked = struct.pack(_STRUCTURE, fcntl.F_RDLCK, os.SEEK_SET, start, end - start, 0)
    kind, _, byte, *_ = struct.unpack(_STRUCTURE, fcntl.fcntl(descriptor, _GET, asked))
    return None if kind == fcntl.F_UNLCK else int(byte)


def _closed(descriptor: int) -> None:
    """Give the lock back, that of a copy which a fork has made included."""
    with _opening:
        if descriptor not in _open:  # a fork's: it was closed there
            return
        _open.discard(descriptor)
        with suppress(OSError):
            if _SET is not None:
                fcntl.fcntl(descriptor, _SET, struct.pack(_STRUCTURE, fcntl.F_UNLCK, os.SEEK_SET, 0, 0, 0))
        os.close(descriptor)


def _forked() -> None:
    global _opening
    _opening = threading.Lock()
    for descriptor in _open:
        with suppress(OSError):
            os.close(descriptor)
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
