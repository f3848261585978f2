"""Text from a store on a terminal: what would steer the terminal is shown as its number instead."""

from __future__ import annotations

import unicodedata

__all__ = ["printable"]


def printable(text: str, *, keep: str = "\n\t") -> str:
    r"""The text with every character that cannot be printed as `\u001b`; JSON stays the same JSON.

    Args:
        keep: Characters that stay although they cannot be printed.
    """
    if text.isprintable():
        return text
    return "".join(each if _is_shown(each) or each in keep else _escaped(each) for each in text)


def _is_shown(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _escaped(character: str) -> str:
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
