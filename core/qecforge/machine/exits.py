"""`os._exit` in a plugin: it would end the process with nothing filed, and with the exit code that the plugin chose."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NoReturn

from qecforge.errors import PluginError

__all__ = ["exits_refused", "leave"]

_exit = os._exit
_turn = threading.Lock()


@dataclass(eq=False)
class _Guard:
    process: int = field(default_factory=os.getpid)
    thread: int = field(default_factory=threading.get_ident)
    refused: list[PluginError] = field(default_factory=list)


_guards: list[_Guard] = []


def leave(status: int) -> NoReturn:
    """End this process at once, whatever it is doing."""
    _exit(status)


@contextmanager
def exits_refused() -> Iterator[list[PluginError]]:
    """In the block `os._exit` raises `PluginError`; what it raised is in the list that the block is given, since
    whoever called it may have caught that. A call from a thread that has no such block is in the list of each.

    Processes that are forked in the block end as ever. C code that ends the process is not seen.
    """
    guard = _Guard()
    with _turn:
        _guards.append(guard)
        os._exit = _refuse
    try:
        yield guard.refused
    finally:
        with _turn:
            _guards.remove(guard)
            if not _guards:
                os._exit = _exit


def _refuse(status: int) -> NoReturn:
    """In the place of `os._exit`. Who keeps it beyond all blocks has `os._exit` itself."""
    here = [guard for guard in _guards if guard.process == os.getpid()]
    if not here:
        _exit(status)
    error = PluginError(f"would have ended the process (os._exit({status})): report it to the plugin's authors")
    own = [guard for guard in here if guard.thread == threading.get_ident()]
    for guard in own[-1:] or here:
        guard.refused.append(error)
    raise error
