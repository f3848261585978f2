"""Where the loggers of qecforge write. As a library it stays silent: that is for the application to say."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from logging.handlers import QueueHandler
from pathlib import Path

from qecforge.errors import ConfigurationError
from qecforge.machine.files import why_not

__all__ = ["hand_on_logs", "log_as_elsewhere", "log_level", "write_logs"]

_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
_ROOT = logging.getLogger("qecforge")
_ROOT.addHandler(logging.NullHandler())


def write_logs(verbosity: int = 0, file: Path | None = None) -> None:
    """Write what the loggers of qecforge and of its plugins say. What an earlier call set up ends.

    Args:
        verbosity: To stderr: 0 nothing, 1 what happens (runs, phases, checkpoints, plugins), 2 and more each step too.
        file: All of it is appended there as well, whatever the verbosity.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    for handler in [each for each in _ROOT.handlers if not isinstance(each, logging.NullHandler)]:
        _ROOT.removeHandler(handler)
        handler.close()
    handlers: list[logging.Handler] = []
    if verbosity:
        handlers.append(logging.StreamHandler(sys.stderr))
        handlers[-1].setLevel(logging.INFO if verbosity == 1 else logging.DEBUG)
    if file is not None:
        try:
            handlers.append(logging.FileHandler(file, encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"`log_file`: {file} cannot be written ({why_not(error)}): choose another place", parameter="log_file"
            ) from error
        handlers[-1].setLevel(logging.DEBUG)
    for handler in handlers:
        handler.setFormatter(logging.Formatter(_FORMAT))
        _ROOT.addHandler(handler)
    _ROOT.setLevel(min((handler.level for handler in handlers), default=logging.WARNING))


def log_level() -> int:
    """The level from which on the loggers of qecforge say something here."""
    return _ROOT.getEffectiveLevel()


def hand_on_logs(level: int, send: Callable[[logging.LogRecord], object]) -> None:
    """In a process that works for another: hand on what the loggers of qecforge say, for `log_as_elsewhere` there.

    Args:
        level: What `log_level` gave there.
        send: Given each record, which can be pickled; may be called from any thread.
    """
    for handler in [each for each in _ROOT.handlers if isinstance(each, _Sending)]:
        _ROOT.removeHandler(handler)
    _ROOT.addHandler(_Sending(send))
    _ROOT.setLevel(level)


def log_as_elsewhere(record: logging.LogRecord) -> None:
    """Say here what a logger of qecforge has said in another process."""
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)


class _Sending(QueueHandler):
    """Makes records into text as they come, so that they can be pickled, and sends them."""

    def __init__(self, send: Callable[[logging.LogRecord], object]) -> None:
        super().__init__(None)  # type: ignore[arg-type]
        self._send = send

    def enqueue(self, record: logging.LogRecord) -> None:
        self._send(record)
