"""YAML that was read before, kept as JSON under the hash of its text: to read the shipped tasks' YAML takes longer than
all else that a command does with them.

Files lie in `$XDG_CACHE_HOME/qecforge/tasks`, by default `~/.cache/qecforge/tasks`, and may be removed at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qecforge.machine.files import write_whole

__all__ = ["parsed"]


def parsed(text: str, parse: Callable[[str], Any]) -> Any:
    """What `parse` makes of a text, or made of it before. Kept is only what JSON gives back as it was."""
    kept = _place(text)
    if kept is not None:
        with contextlib.suppress(OSError, ValueError, RecursionError):
            return json.loads(kept.read_text(encoding="utf-8"))
    content = parse(text)
    if kept is not None:
        with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):
            told = json.dumps(content, allow_nan=False)
            if json.loads(told) == content:
                kept.parent.mkdir(parents=True, exist_ok=True)
                write_whole(kept, told.encode())
    return content


def _place(text: str) -> Path | None:
    """Where the text's content is kept; None where the user has no folder for that."""
    try:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return root / "qecforge" / "tasks" / f"{hashlib.sha256(text.encode()).hexdigest()}.json"
    except (RuntimeError, UnicodeEncodeError):
        return None
