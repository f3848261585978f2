"""Standard streams that take whatever is written: in encodings that lack a character, and where one is closed."""

from __future__ import annotations

import codecs
import io
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

__all__ = ["mute", "prepare_streams", "write_error"]

_ASCII = str.maketrans(
    {
        "─": "-", "━": "-", "│": "|", "┃": "|", "╭": "+", "╮": "+", "╰": "+", "╯": "+", "┌": "+", "┐": "+", "└": "+",
        "┘": "+", "├": "+", "┤": "+", "┬": "+", "┴": "+", "┼": "+", "╴": "-", "╶": "-", "╸": "-", "╺": "-", "…": "...",
        "±": "+-", "×": "x", "·": "-", "−": "-", "–": "-", "—": "-", "’": "'", "‘": "'", "“": '"', "”": '"',
        "≤": "<=", "≥": ">=", "→": "->", "█": "#", "⊗": "(x)",
        **dict(zip("▁▂▃▄▅▆▇", ".:-=+*#", strict=True)),
    }
)  # fmt: skip


def prepare_streams() -> None:
    """Make stdout and stderr take every character, and hold the places of streams that are closed.

    What an encoding lacks is written in ASCII: lines of boxes as `-`, `|` and `+`, other characters as Python's
    escapes. Where a stream is closed, writing to it raises `OSError` (EBADF), and no file that is opened later gets
    its number.

    `sys.stdout` is for results alone: it writes to a descriptor of its own, and what C code, other processes or
    `os.write` put into descriptor 1 goes to stderr.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        _hold(number, name)
    codecs.register_error("qecforge.ascii", _in_ascii)
    sys.stdout.flush()
    results = os.dup(1)
    os.dup2(2, 1)
    for name, raw in (("stdout", _Watched(results, "w", closefd=False)), ("stderr", io.FileIO(2, "w", closefd=False))):
        stream = getattr(sys, name)
        stream.flush()
        ascii_only = codecs.lookup(stream.encoding).name == "ascii"
        made = (_AsciiText if ascii_only else io.TextIOWrapper)(
            io.BufferedWriter(raw),
            encoding="latin-1" if ascii_only else stream.encoding,
            errors="qecforge.ascii",
            line_buffering=name == "stderr" or stream.isatty(),
        )
        setattr(sys, name, made)


def write_error(stream: TextIO) -> OSError | None:
    """The last error of writing to stdout, once `prepare_streams` was called; None where there was none."""
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw.error if isinstance(raw, _Watched) else None


class _Watched(io.FileIO):
    """A file that remembers why it could not be written."""

    error: OSError | None = None

    def write(self, content: Buffer, /) -> int:
        try:
            return super().write(content)
        except OSError as error:
            self.error = error
            raise


def mute(stream: TextIO) -> None:
    """From now on whatever is written to the stream is lost, what it could not write before too."""
    device = os.open(os.devnull, os.O_WRONLY)
    with suppress(OSError):  # a stream that is no file
        os.dup2(device, stream.fileno())
    os.close(device)


class _AsciiText(io.TextIOWrapper):
    """Writes ASCII under another name: streams that call themselves so are taken for a mistake, and written in UTF-8
    all the same."""

    def write(self, text: str, /) -> int:
        super().write(text.encode("ascii", "qecforge.ascii").decode("ascii"))
        return len(text)


def _hold(number: int, name: str) -> None:
    """Open the null device in the place of a closed stream, the wrong way round, so that using it is an error."""
    try:
        os.fstat(number)
        return
    except OSError:
        reads = number == 0
        os.open(os.devnull, os.O_WRONLY if reads else os.O_RDONLY)  # the lowest number that is free: this one
    setattr(sys, name, os.fdopen(number, "r" if reads else "w", encoding="utf-8", closefd=False))


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """A handler of errors for `codecs`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end].translate(_ASCII)
    return characters.encode("ascii", "backslashreplace").decode("ascii"), error.end
