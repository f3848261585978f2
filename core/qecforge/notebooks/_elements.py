"""Elements of HTML. All texts are escaped here."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from qecforge.errors import printable

__all__ = ["escape", "facts", "heading", "paulis"]

_COLOURS = {"X": "#c0392b", "Y": "#8e44ad", "Z": "#2471a3"}
"""Of Paulis, readable on a light and on a dark page."""

_MOST_ROWS, _MOST_QUBITS = 60, 150


def escape(text: str) -> str:
    """A text, which may come from a store, in HTML. What cannot be printed is shown as its number."""
    return html.escape(printable(text))


def heading(text: str) -> str:
    """A line above what follows."""
    return f"<div><b>{escape(text)}</b></div>"


def facts(rows: Mapping[str, str]) -> str:
    """A table of names and values; those without a value are left out. Values are HTML."""
    cells = (
        f'<tr><td style="text-align:left"><b>{escape(name)}</b></td><td style="text-align:left">{value}</td></tr>'
        for name, value in rows.items()
        if value
    )
    return f"<table>{''.join(cells)}</table>"


def paulis(rows: Sequence[str]) -> str:
    """Pauli strings under each other, in colours; long lists say how many more there are."""
    lines = [_pauli(row) for row in rows[:_MOST_ROWS]]
    if len(rows) > _MOST_ROWS:
        lines.append(f"and {len(rows) - _MOST_ROWS} more")
    return f'<pre style="margin:0">{"<br>".join(lines)}</pre>'


def _pauli(row: str) -> str:
    shown = "".join(
        f'<span style="color:{_COLOURS[letter]}">{letter}</span>' if letter in _COLOURS else escape(letter)
        for letter in row[:_MOST_QUBITS]
    )
    return f"{shown}..." if len(row) > _MOST_QUBITS else shown
