"""A stabilizer code: its checks, its logical operators, its encoder as a drawing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from qecforge.notebooks._elements import escape, facts, heading, paulis

if TYPE_CHECKING:
    import stim

__all__ = ["MOST_QUBITS_DRAWN", "circuit_svg", "code_html"]

MOST_QUBITS_DRAWN, _MOST_OPERATIONS = 40, 400
"""Wider and longer circuits are not drawn: nobody could read them."""


def code_html(
    title: str,
    *,
    stabilizers: Sequence[str],
    logical_x: Sequence[str],
    logical_z: Sequence[str],
    about: Mapping[str, str] | None = None,
    encoder: stim.Circuit | None = None,
) -> str:
    """A code as HTML.

    Args:
        title: Such as `[[7,1,3]] stabilizer code`.
        stabilizers, logical_x, logical_z: Pauli strings.
        about: More to say, in plain text, by name.
        encoder: Drawn where it is small enough; None for no drawing.
    """
    rows = {name: escape(text) for name, text in (about or {}).items()}
    rows |= {"stabilizers": paulis(stabilizers)} if stabilizers else {}
    rows |= {"logical X": paulis(logical_x), "logical Z": paulis(logical_z)} if logical_x else {}
    rows["encoder"] = "" if encoder is None else circuit_svg(encoder)
    return heading(title) + facts(rows)


def circuit_svg(circuit: stim.Circuit) -> str:
    """A circuit as an SVG element; a line that counts its operations where it is too large to be read."""
    operations = sum(len(instruction.target_groups()) for instruction in circuit.flattened())
    if circuit.num_qubits > MOST_QUBITS_DRAWN or operations > _MOST_OPERATIONS:
        return f"{operations:,} operations on {circuit.num_qubits} qubits"
    return f'<div style="background:white">{circuit.diagram("timeline-svg")}</div>'
