"""Which process this is, and whether another one is still there."""

from __future__ import annotations

import multiprocessing
import os
import platform
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from qecforge.machine.exits import leave

__all__ = ["ProcessName", "end_with_parent", "is_running", "this_process"]


@dataclass(frozen=True)
class ProcessName:
    """What tells one process from all others, those of other machines and those that had its number before included.

    Attributes:
        host: The machine's name, for people.
        space: Within which process numbers count: one start of one machine, or one container on it.
        pid: The number.
        started: When it began, in the kernel's ticks since the machine started; None where that is not known.
    """

    host: str
    space: str
    pid: int
    started: int | None

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def this_process() -> ProcessName:
    """The calling process."""
    pid = os.getpid()
    return ProcessName(_host(), _space(), pid, _started(pid))


def is_running(process: ProcessName) -> bool | None:
    """Whether the process is still there; None where that cannot be seen from here: on another machine, in another
    container, or on a system that does not tell."""
    if process.space != _space():
        return None
    if Path("/proc/self/stat").exists():
        started = _started(process.pid)
        return started is not None and process.started in (None, started)
    if os.name != "posix":
        return None
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def end_with_parent() -> None:
    """In a process that `multiprocessing` has started: end it once its parent is gone, whatever it is doing then. One
    that waits for work would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        leave(1)

    threading.Thread(target=watch, name="ends with its parent", daemon=True).start()


@cache
def _host() -> str:
    return platform.node() or "this machine"


@cache
def _space() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return _host()


def _started(pid: int) -> int | None:
    """None for a process that is not there, or has ended and waits for its parent to notice."""
    try:
        # The second field, the program's name in parentheses, may hold blanks.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
