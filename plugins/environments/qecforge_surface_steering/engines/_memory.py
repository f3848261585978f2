"""How much memory this process may still take, and how sizes are said."""

from __future__ import annotations

import math
from pathlib import Path

__all__ = ["free_bytes", "shown"]


def free_bytes() -> int | None:
    """What the machine has available, or less where a control group limits it; None where the system does not tell."""
    found = [value for value in (_available(), _left_in_group()) if value is not None]
    return min(found) if found else None


def shown(size: float) -> str:
    """A size for people: `3.2 GiB`."""
    units = ("bytes", "KiB", "MiB", "GiB", "TiB")
    power = min(int(math.log(max(size, 1), 1024)), len(units) - 1)
    return f"{size / 1024**power:,.1f} {units[power]}"


def _available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _left_in_group() -> int | None:
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        used = (group / "memory.current").read_text(encoding="ascii").strip()
    except OSError:
        return None
    return max(0, int(limit) - int(used)) if limit.isdigit() and used.isdigit() else None
