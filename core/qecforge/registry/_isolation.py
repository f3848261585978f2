"""What a plugin may do while it is imported, and what is undone or said where it does more."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any, NoReturn

from qecforge.errors import PluginError

__all__ = ["PATIENCE_SECONDS", "isolated"]

PATIENCE_SECONDS = 10.0
"""After which a plugin that is still being imported is named."""


@contextmanager
def isolated(who: str) -> Iterator[None]:
    """In the block a plugin is imported.

    What it prints goes to stderr: stdout is for results. After `PATIENCE_SECONDS` a line on stderr names it, since
    every command waits for it. The current folder and the standard streams are as before afterwards. It cannot end the
    process.

    Args:
        who: How it is named.

    Raises:
        PluginError: It changed the folder, closed a stream, or would have ended the process.
    """
    streams, folder = _copies(), Path.cwd()
    timer = threading.Timer(PATIENCE_SECONDS, _name, [who])
    timer.daemon = True
    timer.start()
    leave = os._exit
    os._exit = _refuse_exit
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os._exit = leave
        timer.cancel()
        wrong = [*_restored(streams), *_back(folder)]
    if wrong:
        raise PluginError(f"{' and '.join(wrong)} while it was imported: report it to the plugin's authors")


def _refuse_exit(status: int) -> NoReturn:
    raise PluginError(f"would have ended the process (os._exit({status})): report it to the plugin's authors")


def _name(who: str) -> None:
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{who} is still being imported after {PATIENCE_SECONDS:.0f} s: wait, or uninstall it\n")
        sys.stderr.flush()


def _back(folder: Path) -> Iterator[str]:
    with suppress(OSError):
        if Path.cwd() == folder:
            return
    os.chdir(folder)
    yield "changed the current folder"


def _copies() -> list[tuple[str, Any, int, int]]:
    """Name, stream, descriptor and a copy of that, of each standard stream that has one."""
    found = []
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        with suppress(OSError, ValueError, AttributeError):
            found.append((name, stream, stream.fileno(), os.dup(stream.fileno())))
    return found


def _restored(streams: list[tuple[str, Any, int, int]]) -> Iterator[str]:
    for name, stream, descriptor, copy in streams:
        closed = stream.closed
        try:
            os.fstat(descriptor)
        except OSError:
            closed = True
        if closed:
            os.dup2(copy, descriptor)
            mode = "r" if name == "stdin" else "w"
            whole = open(descriptor, mode, closefd=False) if stream.closed else stream  # noqa: SIM115
            setattr(sys, name, whole)
            setattr(sys, f"__{name}__", whole)
            yield f"closed {name}"
        os.close(copy)
