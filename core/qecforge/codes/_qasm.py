"""Clifford circuits to OpenQASM 2 and 3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import stim

__all__ = ["circuit_to_qasm"]

_QASM_NAMES = {"I": "id", "X": "x", "Y": "y", "Z": "z", "H": "h", "S": "s", "S_DAG": "sdg", "SQRT_X": "sx",
               "R": "reset", "CX": "cx", "CY": "cy", "CZ": "cz", "SWAP": "swap"}  # fmt: skip
_ANNOTATIONS = {"TICK", "QUBIT_COORDS", "SHIFT_COORDS"}


def circuit_to_qasm(circuit: stim.Circuit, n: int, version: Literal[2, 3] = 3) -> str:
    """OpenQASM of a Clifford circuit on a register q; gates outside `stdgates.inc` become H, S and CX, resets stay."""
    lines = ["OPENQASM 3.0;", 'include "stdgates.inc";', f"qubit[{n}] q;"]
    if version == 2:
        lines = ["OPENQASM 2.0;", 'include "qelib1.inc";', f"qreg q[{n}];"]
    for instruction in circuit.flattened():
        if instruction.name in _ANNOTATIONS:
            continue
        native = instruction.name in _QASM_NAMES
        for part in [instruction] if native else _decomposed(instruction):
            for group in part.target_groups():
                operands = ", ".join(f"q[{target.value}]" for target in group)
                lines.append(f"{_QASM_NAMES[part.name]} {operands};")
    return "\n".join(lines) + "\n"


def _decomposed(instruction: stim.CircuitInstruction) -> stim.Circuit:
    import stim

    single = stim.Circuit()
    single.append(instruction)
    return single.decomposed()
