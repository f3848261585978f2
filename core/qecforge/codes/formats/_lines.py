"""Comments and line numbers, which the text formats share."""

from __future__ import annotations

import re

from qecforge.errors import CodeError, one_line

__all__ = ["content_lines", "shown", "unnumbered"]

_COMMENT = re.compile(r"(?:#|//|%).*")
_NUMBER = re.compile(r"\s*\[?(\d{1,7})(?:\]|[:)]|\.(?=\s))\s*(?=\S)")
_BARE_NUMBER = re.compile(r"\s*(\d{1,7})\s+(?=[+-]?[IXYZ_ixyz])")


def content_lines(text: str) -> list[tuple[int, str]]:
    """(1-based number, text) of each line that has any beside a comment, which `#`, `//` or `%` begins."""
    stripped = ((number, _COMMENT.sub("", line).strip()) for number, line in enumerate(text.splitlines(), 1))
    return [(number, line) for number, line in stripped if line]


def unnumbered(lines: list[tuple[int, str]], *, letters: bool) -> list[tuple[int, str]]:
    """The lines without their numbering (`1:`, `1)`, `[1]`, `1.`), where every line has one that rises by one.

    Args:
        lines: As `content_lines` gives them.
        letters: Whether Pauli letters follow, so that a number before a blank is a numbering as well.

    Raises:
        CodeError: numbers that jump.
    """
    matches = [_numbering(line, letters) for _, line in lines]
    if not lines or any(match is None for match in matches):
        return lines
    numbers = [int(match[1]) for match in matches if match is not None]
    for index, number in enumerate(numbers):
        if number != numbers[0] + index or numbers[0] > 1:
            raise CodeError(
                f"line {lines[index][0]} is numbered {number}; expected lines numbered from 0 or 1, each one more "
                "than the "
                "one before"
            )
    return [(number, line[match.end() :]) for (number, line), match in zip(lines, matches, strict=True) if match]


def _numbering(line: str, letters: bool) -> re.Match[str] | None:
    match = _NUMBER.match(line)
    if match is None:
        return _BARE_NUMBER.match(line) if letters else None
    # `1. 0. 1.` is a row of decimals and `[1] ...` alone a row of one entry.
    rest = line[match.end() :]
    return None if not letters and "." in match[0] and "." in rest else match


def shown(text: str, limit: int = 40) -> str:
    """The text for a message: on one line, in quotation marks, cut."""
    return repr(one_line(text, limit))
