"""Clifford circuits from OpenQASM 2 and 3.

Read are: version and includes, declarations of qubits and (unused) bits, barriers, resets, global phases, definitions
of gates, and gates: those of `stdgates.inc` and `qelib1.inc` that are Clifford, and those that the file defines, which
come before a known one of the same name. Registers are broadcast over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qecforge.codes.formats._qasm_gates import KNOWN_GATES, angle, gates_of
from qecforge.errors import CodeError, did_you_mean, one_line

if TYPE_CHECKING:
    import stim

__all__ = ["circuit_from_qasm"]

_MAX_QUBITS = 2000
_MAX_GATES = 2_000_000
_DEFINITION = re.compile(r"\bgate\s+([A-Za-z_]\w*)\s*(?:\(([^(){}]*)\))?\s*([^{};()]*)\{([^{}]*)\}")
_DECLARED = re.compile(r"qubit(?: ?\[ ?(\d{1,6}) ?\])? ([A-Za-z_]\w*)|qreg ([A-Za-z_]\w*) ?\[ ?(\d{1,6}) ?\]")
_PASSED_OVER = (
    re.compile(r'include "[^"]*"'),
    re.compile(r"barrier( .*)?"),
    re.compile(r"bit(?: ?\[ ?\d{1,6} ?\])? [A-Za-z_]\w*|creg [A-Za-z_]\w* ?\[ ?\d{1,6} ?\]"),
    re.compile(r"gphase ?\(.*\)"),
)
_CALL = re.compile(r"([A-Za-z_]\w*) ?(?:\((.*)\))? ?([^()]*)")


@dataclass(frozen=True)
class _Gate:
    """A gate that the file defines."""

    parameters: tuple[str, ...]
    operands: tuple[str, ...]
    body: tuple[str, ...]
    earlier: int  # how many definitions come before it, which are those that it may call
    calls: int  # of gates within it and within those, at least


def circuit_from_qasm(text: str, format: str = "qasm3") -> tuple[stim.Circuit, int]:  # noqa: A002
    """The circuit and its number of qubits.

    Args:
        text: The program.
        format: `qasm2` or `qasm3`; the version that the program declares must agree.

    Raises:
        CodeError: any statement but those above, with its line.
    """
    text = re.sub(r"/\*.*?\*/", lambda match: "\n" * match[0].count("\n"), text, flags=re.DOTALL)
    text = re.sub(r"//[^\n]*", "", text)
    reader = _Reader(format)
    text = _DEFINITION.sub(reader.define, text)
    line = 1
    *statements, rest = text.split(";")
    for raw in statements:
        leading = raw[: len(raw) - len(raw.lstrip())]
        place, statement = f"OpenQASM line {line + leading.count(chr(10))}", " ".join(raw.split())
        line += raw.count("\n")
        try:
            reader.statement(statement)
        except CodeError as error:
            raise CodeError(f"{place}: {error}") from error
    if rest.strip():
        raise CodeError(f"OpenQASM line {line}: {one_line(rest, 40)!r} does not end in a semicolon")
    if not reader.total:
        raise CodeError("OpenQASM: no qubits declared; expected a line such as `qubit[7] q;` (version 2: `qreg q[7];`)")
    return reader.circuit, reader.total


class _Reader:
    """The circuit as it grows."""

    def __init__(self, format: str) -> None:  # noqa: A002
        import stim

        self.circuit = stim.Circuit()
        self.total = 0
        self._version = format.removeprefix("qasm")
        self._registers: dict[str, tuple[int, int]] = {}
        self._gates: dict[str, _Gate] = {}
        self._appended = 0

    def define(self, match: re.Match[str]) -> str:
        """Take a definition; as many line ends are left in its place."""
        name, parameters, operands, text = match.groups()
        body = tuple(statement for raw in text.split(";") if (statement := " ".join(raw.split())))
        called = [self._gates.get(found[1]) for inner in body if (found := _CALL.fullmatch(inner))]
        calls = sum(1 if gate is None else 1 + gate.calls for gate in called)
        self._gates[name] = _Gate(_names(parameters or ""), _names(operands), body, len(self._gates), calls)
        return "\n" * match[0].count("\n")

    def statement(self, statement: str) -> None:
        """One statement outside definitions, its blanks single."""
        if version := re.fullmatch(r"OPENQASM (\d+)(?:\.\d+)?", statement):
            if version[1] != self._version:
                raise CodeError(f"{statement!r}; expected version {self._version} (formats qasm2 and qasm3)")
        elif declared := _DECLARED.fullmatch(statement):
            self._declare(declared[2] or declared[3], int(declared[1] or declared[4] or 1), statement)
        elif statement and not any(pattern.fullmatch(statement) for pattern in _PASSED_OVER):
            self._call(statement)

    def _declare(self, name: str, size: int, statement: str) -> None:
        if name in self._registers or not 1 <= self.total + size <= _MAX_QUBITS or not size:
            raise CodeError(f"cannot declare {statement[:60]!r}; expected new names and 1..{_MAX_QUBITS} qubits")
        self._registers[name] = (self.total, size)
        self.total += size

    def _call(self, statement: str) -> None:
        name, angles, operands = _parsed_call(statement)
        if name not in self._gates and name not in ("reset", "CX", "U", *KNOWN_GATES):
            raise _unknown(name, statement)
        qubits = [self._qubits(operand.strip()) for operand in operands.split(",")] if operands.strip() else []
        length = max((len(entry) for entry in qubits), default=0)
        if any(len(entry) not in (1, length) for entry in qubits):
            raise CodeError(f"registers of unequal size in {statement[:60]!r}")
        values = [angle(text, {}) for text in angles]
        for index in range(length):
            targets = [entry[index % len(entry)] for entry in qubits]
            if len(set(targets)) != len(targets):
                raise CodeError(f"{statement[:60]!r} acts twice on one qubit")
            for gate, acted in self._expanded(name, values, targets, len(self._gates), statement):
                self.circuit.append(gate, acted)

    def _expanded(
        self, name: str, angles: list[float], targets: list[int], earlier: int, statement: str
    ) -> Iterator[tuple[str, list[int]]]:
        """(gate of stim, its qubits) for each step of a call, where only the first `earlier` definitions are known."""
        gate = self._gates.get(name)
        if gate is not None and gate.earlier < earlier:
            if len(gate.parameters) != len(angles):
                raise CodeError(f"{name} with {len(angles)} angle(s); its definition has {len(gate.parameters)}")
            _require_operands(name, targets, len(gate.operands))
            values = dict(zip(gate.parameters, angles, strict=True))
            places = dict(zip(gate.operands, targets, strict=True))
            self._count(name, ahead=gate.calls)
            for inner in gate.body:
                if any(pattern.fullmatch(inner) for pattern in _PASSED_OVER):
                    continue
                called, inner_angles, operands = _parsed_call(inner)
                self._count(name)
                yield from self._expanded(
                    called,
                    [angle(text, values) for text in inner_angles],
                    _local(operands, places, name),
                    gate.earlier,
                    inner,
                )
            return
        steps = (("R", (0,)),) if name == "reset" and not angles else gates_of(name, angles)
        if steps is None:
            raise _unknown(name, statement)
        _require_operands(name, targets, 1 + max(operand for _, acted in steps for operand in acted))
        for stim_name, acted in steps:
            self._count(name)
            yield stim_name, [targets[operand] for operand in acted]

    def _count(self, name: str, ahead: int | None = None) -> None:
        """One gate more; or only a look whether as many as are `ahead` still fit."""
        self._appended += ahead is None
        if self._appended + (ahead or 0) > _MAX_GATES:
            raise CodeError(f"{name}: more gates than {_MAX_GATES} in all; expected an encoder")

    def _qubits(self, operand: str) -> list[int]:
        match = re.fullmatch(r"([A-Za-z_]\w*)(?: ?\[ ?(\d{1,6}) ?\])?", operand)
        if match is None or match[1] not in self._registers:
            raise CodeError(f"{operand[:40]!r} is not a declared qubit")
        start, size = self._registers[match[1]]
        if match[2] is None:
            return list(range(start, start + size))
        if int(match[2]) >= size:
            raise CodeError(f"{operand[:40]!r} is out of range; the register has {size} qubits")
        return [start + int(match[2])]


def _unknown(name: str, statement: str) -> CodeError:
    return CodeError(
        f"{statement[:60]!r} is not a known Clifford gate{did_you_mean(name, KNOWN_GATES)}; an encoder has only "
        f"{', '.join(KNOWN_GATES)}, gates that it defines of those, resets of fresh qubits and no measurement"
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for part in text.split(",") if (name := part.strip()))


def _parsed_call(statement: str) -> tuple[str, list[str], str]:
    match = _CALL.fullmatch(statement)
    if match is None:
        raise CodeError(f"{statement[:60]!r} is not a Clifford gate; expected one such as `cx q[0], q[1]`")
    angles = [] if match[2] is None or not match[2].strip() else match[2].split(",")
    return match[1], angles, match[3]


def _local(operands: str, places: Mapping[str, int], name: str) -> list[int]:
    targets = []
    for operand in _names(operands):
        if operand not in places:
            raise CodeError(f"gate {name}: {operand[:40]!r} is none of its qubits")
        targets.append(places[operand])
    if len(set(targets)) != len(targets):
        raise CodeError(f"gate {name}: acts twice on one qubit")
    return targets


def _require_operands(name: str, targets: list[int], count: int) -> None:
    if len(targets) != count:
        raise CodeError(f"{name} on {len(targets)} operand(s); expected {count}")
