"""A control group around a cell: all its processes together take no more memory and no more processes than they may."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ControlGroup", "make_group"]

ROOT = Path("/sys/fs/cgroup")
PROCESSES = 256
"""Of a cell, bubblewrap, the fork server and threads included."""
_numbers = itertools.count()


@dataclass(frozen=True)
class ControlGroup:
    """Folders of the control file system that belong to one cell.

    Attributes:
        memory: The folder that limits memory.
        others: That of the number of processes, where it is another one.
    """

    memory: Path
    others: tuple[Path, ...] = ()

    @property
    def folders(self) -> tuple[Path, ...]:
        """All of them."""
        return (self.memory, *self.others)

    def kills(self) -> int:
        """How often the kernel ended a process here because memory was used up."""
        for name in ("memory.events", "memory.oom_control"):
            with contextlib.suppress(OSError):
                for line in (self.memory / name).read_text(encoding="ascii").splitlines():
                    key, _, value = line.partition(" ")
                    if key == "oom_kill":
                        return int(value)
        return 0

    def remove(self) -> None:
        """Take the group away once its processes are gone; gives up after a second."""
        for folder in self.folders:
            for _ in range(100):
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.01)
                else:
                    break


def make_group(memory: int) -> ControlGroup | None:
    """A group with this limit in bytes; None where none can be had, as the control files may not be written."""
    name = f"qecforge-{os.getpid()}-{next(_numbers)}"
    own = _own_groups()
    candidates = [ROOT / own[""].lstrip("/"), ROOT] if (ROOT / "cgroup.controllers").exists() else []
    for parent in candidates:
        group = _make(parent / name, {"memory.max": str(memory), "pids.max": str(PROCESSES)}, {"memory.swap.max": "0"})
        if group is not None:
            return ControlGroup(group)
    for parent in (ROOT / "memory" / own.get("memory", "").lstrip("/"), ROOT / "memory"):
        limit = {"memory.limit_in_bytes": str(memory)}
        group = _make(parent / name, limit, {"memory.memsw.limit_in_bytes": str(memory), "memory.use_hierarchy": "1"})
        if group is not None:
            pids = _make(ROOT / "pids" / own.get("pids", "").lstrip("/") / name, {"pids.max": str(PROCESSES)}, {})
            return ControlGroup(group, () if pids is None else (pids,))
    return None


def _own_groups() -> dict[str, str]:
    """The paths of this process by controller; that of version 2 has the empty name."""
    found = {"": "/"}
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            found |= dict.fromkeys(controllers.split(","), path)
    return found


def _make(folder: Path, needed: dict[str, str], wished: dict[str, str]) -> Path | None:
    try:
        folder.mkdir()
    except OSError:
        return None
    try:
        for name, value in needed.items():
            (folder / name).write_text(value, encoding="ascii")
    except OSError:
        with contextlib.suppress(OSError):
            folder.rmdir()
        return None
    for name, value in wished.items():
        with contextlib.suppress(OSError):
            (folder / name).write_text(value, encoding="ascii")
    return folder
