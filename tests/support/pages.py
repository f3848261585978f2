"""Fenced blocks of README and docs."""

import re

BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(path, language):
    """(title, text) of each fenced block of a language."""
    return [(title, text) for of, title, text in BLOCK.findall(path.read_text(encoding="utf-8")) if of == language]


def titled(path):
    """What the page calls files: text by title."""
    return {title: text for _, title, text in BLOCK.findall(path.read_text(encoding="utf-8")) if title}
