"""Families of gates: what they act on, and what their errors leave."""

from __future__ import annotations

__all__ = ["ATTENUATION", "FAMILIES", "READOUT", "RESET", "SATURATION"]

READOUT, RESET = 3, 4
FAMILIES = {1: "single_qubit", 2: "two_qubit", READOUT: "readout", RESET: "reset"}
"""Gates of one and of two qubits, which depolarize; readouts and resets, which flip."""
SATURATION = {1: 3 / 4, 2: 15 / 16, READOUT: 1 / 2, RESET: 1 / 2}
"""Error probability at which a gate of that family leaves nothing of what it acts on."""
ATTENUATION = {family: 1 / limit for family, limit in SATURATION.items()}
"""c in 1 - c p: what one slot of a gate with error p leaves of a correlation (4/3, 16/15 and 2)."""
