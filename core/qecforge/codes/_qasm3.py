"""Clifford circuits from and to OpenQASM 3."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from qecforge.errors import CodeError

if TYPE_CHECKING:
    import stim

__all__ = ["circuit_from_qasm3", "circuit_to_qasm3"]

_STIM_NAMES = {
    "id": "I", "x": "X", "y": "Y", "z": "Z", "h": "H", "s": "S", "sdg": "S_DAG", "sx": "SQRT_X", "sxdg": "SQRT_X_DAG",
    "cx": "CX", "CX": "CX", "cy": "CY", "cz": "CZ", "swap": "SWAP",
}  # fmt: skip
_QASM_NAMES = {"I": "id", "X": "x", "Y": "y", "Z": "z", "H": "h", "S": "s", "S_DAG": "sdg", "SQRT_X": "sx",
               "CX": "cx", "CY": "cy", "CZ": "cz", "SWAP": "swap"}  # fmt: skip
_PAIRS = {"CX", "CY", "CZ", "SWAP"}
_ANNOTATIONS = {"TICK", "QUBIT_COORDS", "SHIFT_COORDS"}
_MAX_QUBITS = 2000


def circuit_to_qasm3(circuit: stim.Circuit, n: int) -> str:
    """OpenQASM 3 of a Clifford circuit on `qubit[n] q`; gates outside `stdgates.inc` become H, S and CX."""
    lines = ["OPENQASM 3.0;", 'include "stdgates.inc";', f"qubit[{n}] q;"]
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


def circuit_from_qasm3(text: str) -> tuple[stim.Circuit, int]:
    """The circuit and its number of qubits, from OpenQASM 3 whose only statements are an include, qubit declarations,
    barriers and Clifford gates of `stdgates.inc` (broadcast over a register too).

    Raises:
        CodeError: any other statement, with its line.
    """
    import stim

    circuit = stim.Circuit()
    registers: dict[str, tuple[int, int]] = {}
    total = 0
    text = re.sub(r"/\*.*?\*/", lambda match: "\n" * match[0].count("\n"), text, flags=re.DOTALL)
    text = re.sub(r"//[^\n]*", "", text)
    line = 1
    *statements, rest = text.split(";")
    for raw in statements:
        leading = raw[: len(raw) - len(raw.lstrip())]
        place, statement = f"OpenQASM line {line + leading.count(chr(10))}", " ".join(raw.split())
        line += raw.count("\n")
        if re.fullmatch(r"OPENQASM 3(\.\d+)?", statement) or re.fullmatch(r'include "[^"]*"', statement):
            continue
        declared = re.fullmatch(r"qubit(?: ?\[ ?(\d{1,6}) ?\])? ([A-Za-z_]\w*)", statement)
        if declared:
            size = int(declared[1] or 1)
            if declared[2] in registers or not 1 <= total + size <= _MAX_QUBITS:
                raise CodeError(
                    f"{place}: cannot declare {statement!r}; expected new names and 1..{_MAX_QUBITS} qubits"
                )
            registers[declared[2]] = (total, size)
            total += size
            continue
        if re.fullmatch(r"barrier( .*)?", statement):
            continue
        _append_gate(circuit, statement, registers, place)
    if rest.strip():
        raise CodeError(f"OpenQASM line {line}: {rest.strip()[:40]!r} does not end in a semicolon")
    if not total:
        raise CodeError("OpenQASM: no qubits declared; expected a line such as `qubit[7] q;`")
    return circuit, total


def _append_gate(circuit: stim.Circuit, statement: str, registers: dict[str, tuple[int, int]], place: str) -> None:
    name, _, operands = statement.partition(" ")
    if name not in _STIM_NAMES:
        raise CodeError(
            f"{place}: {statement[:60]!r} is not a Clifford gate of stdgates.inc; an encoder has only those "
            f"({', '.join(sorted(set(_STIM_NAMES) - {'CX'}))}), no measurement and no parameter"
        )
    gate = _STIM_NAMES[name]
    qubits = [_qubits(operand.strip(), registers, place) for operand in operands.split(",")]
    if len(qubits) != 1 + (gate in _PAIRS):
        raise CodeError(f"{place}: {name} on {len(qubits)} operand(s); expected {1 + (gate in _PAIRS)}")
    length = max(len(entry) for entry in qubits)
    if any(len(entry) not in (1, length) for entry in qubits):
        raise CodeError(f"{place}: registers of unequal size in {statement[:60]!r}")
    for index in range(length):
        targets = [entry[index % len(entry)] for entry in qubits]
        if len(set(targets)) != len(targets):
            raise CodeError(f"{place}: {statement[:60]!r} acts twice on one qubit")
        circuit.append(gate, targets)


def _qubits(operand: str, registers: dict[str, tuple[int, int]], place: str) -> list[int]:
    match = re.fullmatch(r"([A-Za-z_]\w*)(?: ?\[ ?(\d{1,6}) ?\])?", operand)
    if match is None or match[1] not in registers:
        raise CodeError(f"{place}: {operand[:40]!r} is not a declared qubit")
    start, size = registers[match[1]]
    if match[2] is None:
        return list(range(start, start + size))
    if int(match[2]) >= size:
        raise CodeError(f"{place}: {operand[:40]!r} is out of range; the register has {size} qubits")
    return [start + int(match[2])]
