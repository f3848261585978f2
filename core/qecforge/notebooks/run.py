"""A run: what it was, how it ended."""

from __future__ import annotations

from collections.abc import Mapping

from qecforge.notebooks._elements import escape, facts, heading

__all__ = ["run_html"]


def run_html(title: str, rows: Mapping[str, str | None], manifest: str = "") -> str:
    """A run as HTML.

    Args:
        title: Its id and name.
        rows: Plain text by name; what is None or empty is left out.
        manifest: Its text, which unfolds below.
    """
    table = facts({name: escape(text or "") for name, text in rows.items()})
    folded = f"<details><summary>manifest</summary><pre>{escape(manifest)}</pre></details>" if manifest else ""
    return heading(title) + table + folded
