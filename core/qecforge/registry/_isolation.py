"""What a plugin may do while it is imported, and what is undone or said where it does more."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from types import FrameType, FunctionType
from typing import Any, TypeVar

from qecforge.errors import PluginError
from qecforge.machine.exits import exits_refused

__all__ = ["LONGEST_SECONDS", "PATIENCE_SECONDS", "called_as", "isolated"]

T = TypeVar("T")

PATIENCE_SECONDS = 10.0
"""After which a plugin that is still being imported is named."""
LONGEST_SECONDS = 120.0
"""After which it is imported no longer: a busy machine, or a slow file system, takes its time."""
_TAKES_TOO_LONG = signal.SIGALRM
"""Sent to the main thread, which it gets out of whatever that waits for."""


class TakesTooLong(BaseException):
    """Raised in a plugin that is being imported for too long. No `Exception`: plugins catch those."""


@contextmanager
def isolated(who: str) -> Iterator[None]:
    """In the block a plugin is imported.

    What it prints goes to stderr: stdout is for results. After `PATIENCE_SECONDS` a line on stderr names it, since
    every command waits for it; after `LONGEST_SECONDS` it is imported no longer. The current folder and the standard
    streams are as before afterwards. It cannot end the process, and `KeyboardInterrupt` is raised where the user has
    pressed Ctrl-C alone.

    Args:
        who: How it is named.

    Raises:
        PluginError: It changed the folder, closed a stream, would have ended the process, raised `KeyboardInterrupt`,
            or took too long.
        KeyboardInterrupt: SIGINT came.
    """
    streams, folder = _copies(), Path.cwd()
    try:
        with exits_refused() as refused, _ended_in_time(who), _interrupted_by_the_user(), redirect_stdout(sys.stderr):
            yield
    finally:
        wrong = [*_restored(streams), *_back(folder)]
    if refused:
        raise refused[0]
    if wrong:
        raise PluginError(f"{' and '.join(wrong)} while it was imported: report it to the plugin's authors")


def called_as(who: str, work: Callable[[], T]) -> T:
    """What `work` returns. Where the process crashes meanwhile, the list of its frames (`faulthandler`) has one whose
    file is `<who>`."""
    call: Callable[[Callable[[], T]], T] = FunctionType(_call.__code__.replace(co_filename=f"<{who}>"), {})
    return call(work)


def _call(work: Callable[[], T]) -> T:
    return work()


@contextmanager
def _interrupted_by_the_user() -> Iterator[None]:
    """`KeyboardInterrupt` leaves the block where SIGINT came, however the plugin took it, and there alone."""
    came: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    watched = threading.current_thread() is threading.main_thread() and callable(before)

    def handle(number: int, frame: FrameType | None) -> Any:
        came.append(number)
        assert callable(before)
        return before(number, frame)

    if watched:
        signal.signal(signal.SIGINT, handle)
    try:
        yield
    except KeyboardInterrupt as error:
        if came:
            raise
        raise PluginError("raised KeyboardInterrupt: report it to the plugin's authors") from error
    finally:
        if watched:
            signal.signal(signal.SIGINT, before)
    if came and before is signal.default_int_handler:
        raise KeyboardInterrupt


@contextmanager
def _ended_in_time(who: str) -> Iterator[None]:
    """Name the plugin once it takes long, and end its import once it takes too long. C code that does not come back to
    the interpreter, or threads other than the main one, cannot be ended."""
    main = threading.current_thread() is threading.main_thread()
    over = threading.Event()
    importing = [True]

    def name() -> None:
        then = f"; after {LONGEST_SECONDS:.0f} s it goes unused" if main else ""
        _say(f"{who} is still being imported after {PATIENCE_SECONDS:.0f} s: wait, or uninstall it{then}")

    def end() -> None:
        over.set()
        signal.pthread_kill(threading.main_thread().ident or 0, _TAKES_TOO_LONG)

    def handle(number: int, frame: FrameType | None) -> Any:
        if over.is_set() and importing[0]:
            importing[0] = False
            raise TakesTooLong
        return before(number, frame) if callable(before) else None

    timers = [threading.Timer(PATIENCE_SECONDS, name)]
    if main:
        before = signal.signal(_TAKES_TOO_LONG, handle)
        timers.append(threading.Timer(LONGEST_SECONDS, end))
    for timer in timers:
        timer.daemon = True
        timer.start()
    try:
        yield
    except TakesTooLong as error:
        raise _too_long() from error
    finally:
        in_time, importing[0] = importing[0], False
        for timer in timers:
            timer.cancel()
            timer.join()
        if main:
            signal.signal(_TAKES_TOO_LONG, before)
    if not in_time:  # it caught what was raised
        raise _too_long()


def _too_long() -> PluginError:
    return PluginError(
        f"was still being imported after {LONGEST_SECONDS:.0f} s, and goes unused: try again, or uninstall it"
    )


def _say(line: str) -> None:
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def _back(folder: Path) -> Iterator[str]:
    with suppress(OSError):
        if Path.cwd() == folder:
            return
    os.chdir(folder)
    yield "changed the current folder"


def _copies() -> list[tuple[str, Any, int, int]]:
    """Name, stream, descriptor and a copy of that, of each standard stream that has one. The descriptor that a stream
    has by its place, 0 to 2, may be another: stdout of a command is (see `qecforge.machine.streams`)."""
    found = []
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        descriptor = -1
        with suppress(OSError, ValueError, AttributeError):
            descriptor = stream.fileno()
            found.append((name, stream, descriptor, os.dup(descriptor)))
        if descriptor != number:
            with suppress(OSError):
                found.append((name, None, number, os.dup(number)))
    return found


def _restored(streams: list[tuple[str, Any, int, int]]) -> Iterator[str]:
    for name, stream, descriptor, copy in streams:
        closed = stream is not None and stream.closed
        try:
            os.fstat(descriptor)
        except OSError:
            closed = True
        if closed:
            os.dup2(copy, descriptor)
            if stream is not None:
                mode = "r" if name == "stdin" else "w"
                whole = open(descriptor, mode, closefd=False) if stream.closed else stream  # noqa: SIM115
                setattr(sys, name, whole)
                setattr(sys, f"__{name}__", whole)
            yield f"closed {name}"
        os.close(copy)
