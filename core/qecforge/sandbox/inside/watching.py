"""What a program uses while it runs, and when that is too much: CPU time, memory, files, output, and waiting."""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
import time
from dataclasses import dataclass, field
from typing import Any

from qecforge.sandbox.inside import STARVED_AFTER
from qecforge.sandbox.inside.wiping import Workplace

__all__ = ["Watched", "overdue", "watch"]

FIRST_LOOK, LOOK = 0.02, 0.025
PAGE = resource.getpagesize()
TICKS = os.sysconf("SC_CLK_TCK")
KEPT_OUTPUT = 1 << 16
STOP_SIZE = 5
"""Bytes of the frame by which its owner ends a program."""
_buffer = bytearray(1 << 16)
"""Read into and emptied again: the memory of the fork server is that of later programs."""


@dataclass
class Watched:
    """What is known of a program once it is over.

    Attributes:
        reason: Empty where it ended by itself; else why it was killed: timeout, memory, disk, files, output, starved,
            stopped (its owner wanted no more of it).
        output: What it printed, its first bytes, in pieces; `printed` counts all.
        report: What it wrote to the descriptor for that, in pieces; its claim.
        kept, reported: How many bytes these are.
    """

    reason: str = ""
    output: list[bytearray] = field(default_factory=list)
    printed: int = 0
    kept: int = 0
    report: list[bytearray] = field(default_factory=list)
    reported: int = 0


class OwnerGone(Exception):
    """Nobody waits for the result."""


def overdue(wall: float, waited: float, limit: float) -> str:
    """What becomes of a program after so many seconds, of which it `waited` ready to run for a core: "timeout" where it
    had its share of the time, "starved" where it got nearly none, and empty where it goes on."""
    if wall - waited >= limit:
        return "timeout"
    return "starved" if wall >= STARVED_AFTER * limit else ""


def watch(
    pid: int,
    output: int,
    report: int,
    control: socket.socket,
    limits: dict[str, Any],
    place: Workplace,
) -> Watched:
    """Wait until the child has ended or must be; then it is not killed yet, nor reaped. Raises `OwnerGone`."""
    seen = Watched()
    ended = os.pidfd_open(pid)
    try:
        _watch(seen, pid, ended, output, report, control, limits, place)
    finally:
        os.close(ended)
    return seen


def _watch(
    seen: Watched,
    pid: int,
    ended: int,
    output: int,
    report: int,
    control: socket.socket,
    limits: dict[str, Any],
    place: Workplace,
) -> None:
    started = time.monotonic()
    poll = select.poll()
    for each in (ended, output, report, control.fileno()):
        poll.register(each, select.POLLIN)
    next_look = started + FIRST_LOOK
    while not seen.reason:
        ready = {number for number, _ in poll.poll(max(0.0, next_look - time.monotonic()) * 1000)}
        for descriptor in (output, report):
            if descriptor in ready and not read_into(seen, descriptor, output, limits):
                poll.unregister(descriptor)
        if control.fileno() in ready:
            if not control.recv(STOP_SIZE, socket.MSG_WAITALL):
                raise OwnerGone
            seen.reason = "stopped"
        if ended in ready:
            return
        now = time.monotonic()
        if now >= next_look:
            next_look = now + LOOK
            seen.reason = seen.reason or _too_much(pid, now - started, limits, place)


def read_into(seen: Watched, descriptor: int, output: int, limits: dict[str, Any]) -> bool:
    """Read what is there. Returns False at the end, or where nothing is there now."""
    try:
        size = os.readv(descriptor, [_buffer])
    except BlockingIOError:
        return False
    kept = size if descriptor != output else min(size, KEPT_OUTPUT - seen.kept)
    with memoryview(_buffer)[:kept] as view:
        part = bytearray(view)
    with memoryview(_buffer)[:size] as view:
        view[:] = bytes(size)
    if descriptor != output:
        seen.report.append(part)
        seen.reported += size
    else:
        seen.output += [part] if kept else []
        seen.kept += kept
        seen.printed += size
    if seen.reported > limits["report"] or seen.printed > limits["output"]:
        seen.reason = seen.reason or "output"
    return bool(size)


def _too_much(pid: int, wall: float, limits: dict[str, Any], place: Workplace) -> str:
    try:
        processes = _processes() if limits["processes"] else [pid]
        if _cpu_seconds(processes, pid) >= limits["cpu_seconds"]:
            return "timeout"
        files, size = place.used()
        if limits["processes"] and size + sum(map(_private_memory, processes)) > limits["memory"]:
            return "memory"
        if files > limits["files"]:
            return "files"
        if size > limits["disk"]:
            return "disk"
        return overdue(wall, _waited(pid), limits["wall_seconds"]) if wall >= limits["wall_seconds"] else ""
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _processes() -> list[int]:
    return [int(each) for each in os.listdir("/proc") if each.isdigit() and each != "1"]


def _cpu_seconds(processes: list[int], first: int) -> float:
    if processes == [first]:
        return time.clock_gettime(~first << 3 | 2)  # the CPU clock of a process, as clock_getcpuclockid makes it
    ticks = 0
    for pid in processes:
        try:
            ticks += sum(map(int, _read(f"/proc/{pid}/stat").rpartition(")")[2].split()[11:15]))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return ticks / TICKS


def _private_memory(pid: int) -> int:
    """Bytes in memory that no file lies behind; what is shared with the fork server is counted in each."""
    try:
        _, resident, shared = _read(f"/proc/{pid}/statm").split()[:3]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return (int(resident) - int(shared)) * PAGE


def _waited(pid: int) -> float:
    """Seconds that the longest waiting thread was ready to run and got no core; 0 where the kernel does not say."""
    longest = 0
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            longest = max(longest, int(_read(f"/proc/{pid}/task/{thread}/schedstat").split()[1]))
    except (OSError, IndexError):
        pass
    return longest / 1e9


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def is_deadly(status: int) -> bool:
    """Whether a process was killed for a system call that no program may make."""
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSYS
