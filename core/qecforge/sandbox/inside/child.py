"""One program in a child of the fork server: its layers, then its source, then what it is called for."""

from __future__ import annotations

import contextlib
import linecache
import os
import random
import resource
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qecforge.sandbox.inside import landlock, seccomp, system

__all__ = ["FILE_NAME", "MODULE", "Layers", "load", "problem"]

MODULE = "__main__"
FILE_NAME = "program.py"
DETAIL = 2000
OPEN_FILES, PENDING_SIGNALS, CORE_BYTES = 256, 256, 1
"""A limit of one byte also keeps core dumps from going through a pipe to a program of the host (core(5))."""

Report = dict[str, Any]


@dataclass(frozen=True)
class Layers:
    """What is prepared once in the fork server and imposed on each child.

    Attributes:
        rulesets: Landlock's descriptors, without and with processes; empty where the kernel has no Landlock.
        filters: Those of seccomp, without and with processes.
        address_space: Bytes that the fork server itself maps: a child's limit comes on top.
    """

    rulesets: tuple[int, ...]
    filters: tuple[bytes, bytes]
    address_space: int

    def impose(self, limits: dict[str, Any]) -> None:
        """All layers on the calling process, which is a fresh child with one thread; before any byte of a program."""
        processes = limits["processes"]
        seconds = int(limits["cpu_seconds"]) + 2
        for kind, value in (
            (resource.RLIMIT_AS, self.address_space + limits["memory"]),
            (resource.RLIMIT_FSIZE, limits["disk"]),
            (resource.RLIMIT_NOFILE, OPEN_FILES),
            (resource.RLIMIT_NPROC, limits["threads"] + processes + 1),
            (resource.RLIMIT_CORE, CORE_BYTES),
            (resource.RLIMIT_MEMLOCK, 0),
            (resource.RLIMIT_MSGQUEUE, 0),
            (resource.RLIMIT_SIGPENDING, PENDING_SIGNALS),
        ):
            resource.setrlimit(kind, (value, value))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        system.prctl(system.PR_SET_NO_NEW_PRIVS, 1)
        kind_of = 1 if processes else 0
        if self.rulesets:
            landlock.restrict(self.rulesets[kind_of])
        seccomp.restrict(self.filters[kind_of])


def seed(number: int) -> None:
    """Python's and numpy's generators; numpy only where the cell has it."""
    random.seed(number)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(number % 2**32)


def load(source: str) -> tuple[types.ModuleType, Report]:
    """Run a source as `__main__`. The report has `verdict` and `detail`; `verdict` is "passed" where it came to its
    end. What it says is the program's claim."""
    module = types.ModuleType(MODULE)
    module.__dict__["__file__"] = FILE_NAME
    sys.modules[MODULE] = module
    sys.argv = [FILE_NAME]
    linecache.cache[FILE_NAME] = (len(source), None, source.splitlines(keepends=True), FILE_NAME)
    try:
        exec(compile(source, FILE_NAME, "exec", dont_inherit=True), module.__dict__)  # noqa: S102
    except BaseException as error:
        return module, problem(error)
    return module, {"verdict": "passed", "detail": ""}


def problem(error: BaseException, file: str = FILE_NAME) -> Report:
    """What an exception of a program means, with the line of `file` where it came from."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.filename == file:
        line = error.lineno or 0
    kinds = ((MemoryError, "memory"), (PermissionError, "forbidden"))
    verdict = next((name for kind, name in kinds if isinstance(error, kind)), "error")
    return {"verdict": verdict, "detail": f"line {line}: {described(error)}" if line else described(error)}


def described(error: BaseException) -> str:
    """Type and message of an exception, as UTF-8 can hold them; of one whose message cannot be made, the type."""
    try:
        message = str(error)[:DETAIL]
    except BaseException:
        message = ""
    name = type(error).__name__
    return (f"{name}: {message}" if message else name).encode("utf-8", "replace").decode()


def leave(write: Callable[[], None]) -> None:
    """End the process: what it printed, then its report, without any handler that a program has left."""
    try:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(BaseException):
                stream.flush()
        write()
    finally:
        os._exit(0)
