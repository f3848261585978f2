"""Circuits in flat form: registers, a table of operations, and one array of which of them acts where.

What is not carried: metadata, annotations, variables, stretches, and control flow, which is refused.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from qiskit.circuit import AncillaRegister, ClassicalRegister, Clbit, QuantumCircuit, QuantumRegister, Qubit
from qiskit.transpiler.layout import Layout, TranspileLayout

from qecforge_qiskit_tasks.codec.gates import MOST_BITS, flatten_operation, rebuild_operation
from qecforge_qiskit_tasks.codec.parameters import ParameterReader, ParameterWriter, need, text

__all__ = ["COUNTED", "flatten_circuit", "rebuild_circuit"]

KEYS = {"name", "bits", "registers", "phase", "operations", "steps", "layout"}
KINDS = {"q": QuantumRegister, "a": AncillaRegister, "c": ClassicalRegister}
MOST_STEPS = 1 << 18
"""Of a circuit with the definitions of its gates, each where it is used."""
DEEPEST = 10
"""Definitions within definitions."""
COUNTED = {"circuits": 0.0, "gates": 0.0, "two_qubit_gates": 0.0, "depth": 0.0}
"""Of all circuits that this process has rebuilt: what the program gave, where the process is the judge's."""


def flatten_circuit(circuit: QuantumCircuit) -> dict[str, Any]:
    """Raises `TypeError` where something in it has no form here."""
    parameters = ParameterWriter()
    flat = _flatten(circuit, parameters, 0)
    return {**flat, "parameters": parameters.table}


def _flatten(circuit: QuantumCircuit, parameters: ParameterWriter, depth: int) -> dict[str, Any]:
    if depth > DEEPEST:
        raise TypeError(f"definitions are deeper than {DEEPEST}")
    qubits = {bit: i for i, bit in enumerate(circuit.qubits)}
    clbits = {bit: i for i, bit in enumerate(circuit.clbits)}
    known: dict[Any, int] = {}
    operations: list[list[Any]] = []
    kept: list[Any] = []
    steps: list[int] = []
    for instruction in circuit.data:
        operation = instruction.operation
        key = _key(operation)
        if key not in known:
            known[key] = len(operations)
            kept.append(operation)
            operations.append(
                flatten_operation(operation, parameters, lambda inner: _flatten(inner, parameters, depth + 1))
            )
        steps.append(known[key])
        steps += [qubits[bit] for bit in instruction.qubits]
        steps += [clbits[bit] for bit in instruction.clbits]
    registers = [
        ["a" if isinstance(each, AncillaRegister) else "q", each.name, [qubits[bit] for bit in each]]
        for each in circuit.qregs
    ]
    registers += [["c", each.name, [clbits[bit] for bit in each]] for each in circuit.cregs]
    return {
        "name": str(circuit.name)[:100],
        "bits": [len(qubits), len(clbits)],
        "registers": registers,
        "phase": parameters.flatten(circuit.global_phase),
        "operations": operations,
        "steps": np.array(steps, np.int32),
        "layout": None if depth or circuit.layout is None else _flatten_layout(circuit),
    }


def _key(operation: Any) -> Any:
    """Equal for operations that may share a row: plain standard gates with numbers, else the object itself."""
    values = tuple(operation.params) if hasattr(operation, "params") else ()
    if getattr(operation, "_standard_gate", None) is not None and all(type(each) in (int, float) for each in values):
        return operation.name, values, operation.label, getattr(operation, "ctrl_state", None)
    return id(operation)


def _flatten_layout(circuit: QuantumCircuit) -> list[Any]:
    layout = circuit.layout
    initial = [0] * len(layout.input_qubit_mapping)
    for bit, number in layout.input_qubit_mapping.items():
        initial[number] = layout.initial_layout[bit]
    final = None
    if layout.final_layout is not None:
        final = [layout.final_layout[bit] for bit in circuit.qubits]
    entered = layout._input_qubit_count
    return [initial, final, len(initial) if entered is None else entered]


def rebuild_circuit(flat: Any) -> QuantumCircuit:
    """A circuit, from what may be anything. Raises `ValueError`, or what Qiskit raises."""
    need(type(flat) is dict and set(flat) == {*KEYS, "parameters"}, "no circuit")
    circuit = _Rebuilding(ParameterReader(flat["parameters"])).circuit(
        {name: value for name, value in flat.items() if name != "parameters"}
    )
    COUNTED["circuits"] += 1
    gates = [each for each in circuit.data if each.operation.name != "barrier"]
    COUNTED["gates"] += len(gates)
    COUNTED["two_qubit_gates"] += sum(len(each.qubits) == 2 for each in gates)
    COUNTED["depth"] += circuit.depth()
    return circuit


class _Rebuilding:
    def __init__(self, parameters: ParameterReader) -> None:
        self.parameters = parameters
        self.depth = 0
        self.sizes: dict[int, int] = {}
        """Steps of an operation with its definition, by the operation's identity."""
        self.kept: list[Any] = []

    def circuit(self, flat: Any) -> QuantumCircuit:
        return self._circuit(flat)[0]

    def _definition(self, flat: Any) -> QuantumCircuit:
        self.depth += 1
        need(self.depth <= DEEPEST, f"definitions are deeper than {DEEPEST}")
        try:
            circuit, self.size = self._circuit(flat)
        finally:
            self.depth -= 1
        return circuit

    def _circuit(self, flat: Any) -> tuple[QuantumCircuit, int]:
        need(type(flat) is dict and set(flat) == KEYS, "no circuit")
        circuit = _bare(flat)
        circuit.global_phase = self.parameters.real(flat["phase"])
        rows = flat["operations"]
        need(type(rows) is list, "no operations")
        operations: list[tuple[Any, int]] = []
        for row in rows:
            self.size = 1
            made = rebuild_operation(row, self.parameters, self._definition)
            operations.append((made, max(1, self.size)))
        size = _append(circuit, operations, flat["steps"])
        if flat["layout"] is not None:
            need(self.depth == 0, "a layout of a definition")
            circuit._layout = _layout(circuit, flat["layout"])
        return circuit, size


def _bare(flat: dict[str, Any]) -> QuantumCircuit:
    """Bits and registers without operations."""
    bits, registers = flat["bits"], flat["registers"]
    need(type(bits) is list and len(bits) == 2, "no numbers of bits")
    need(all(type(each) is int and 0 <= each <= MOST_BITS for each in bits), f"more than {MOST_BITS:,} bits")
    need(type(registers) is list and len(registers) <= MOST_BITS, "no registers")
    circuit = QuantumCircuit(name=text(flat["name"], "a circuit's name"))
    for row in registers:
        need(type(row) is list and len(row) == 3 and type(row[0]) is str and row[0] in KINDS, "no register")
        text(row[1], "a register's name")
        need(type(row[2]) is list and len(row[2]) <= MOST_BITS, "no bits of a register")
        need(all(type(each) is int for each in row[2]), "no bits of a register")
    for quantum, number in ((True, bits[0]), (False, bits[1])):
        mine = [row for row in registers if (row[0] != "c") == quantum]
        _add_bits(circuit, mine, number, quantum)
    return circuit


def _add_bits(circuit: QuantumCircuit, rows: list[Any], number: int, quantum: bool) -> None:
    """As the registers' own bits where they are disjoint and in order, else as loose ones."""
    if [each for row in rows for each in row[2]] == list(range(number)):
        for kind, name, indices in rows:
            circuit.add_register(KINDS[kind](len(indices), name))
        return
    made: list[Any] = [Qubit() if quantum else Clbit() for _ in range(number)]
    circuit.add_bits(made)
    for kind, name, indices in rows:
        need(all(0 <= each < number for each in indices), "a bit that the circuit has not")
        need(len(set(indices)) == len(indices), "a bit twice in a register")
        if kind == "a":
            kind = "q"
        circuit.add_register(KINDS[kind](name=name, bits=[made[each] for each in indices]))


def _append(circuit: QuantumCircuit, operations: list[tuple[Any, int]], steps: Any) -> int:
    """Put the operations where the steps say; how many steps they are with their definitions."""
    need(type(steps) is np.ndarray and steps.dtype == np.int32 and steps.ndim == 1, "no steps")
    numbers = steps.tolist()
    qubits, clbits = circuit.qubits, circuit.clbits
    at = size = 0
    while at < len(numbers):
        need(0 <= numbers[at] < len(operations), "no operation of the table")
        operation, cost = operations[numbers[at]]
        middle = at + 1 + operation.num_qubits
        end = middle + operation.num_clbits
        need(end <= len(numbers), "the steps end within one")
        wires, bits = numbers[at + 1 : middle], numbers[middle:end]
        need(all(0 <= each < len(qubits) for each in wires), "a qubit that the circuit has not")
        need(all(0 <= each < len(clbits) for each in bits), "a clbit that the circuit has not")
        need(len(set(wires)) == len(wires) and len(set(bits)) == len(bits), "a bit twice in an operation")
        circuit._append(operation, [qubits[each] for each in wires], [clbits[each] for each in bits])
        at, size = end, size + cost
        need(size <= MOST_STEPS, f"more than {MOST_STEPS:,} operations")
    return size


def _layout(circuit: QuantumCircuit, flat: Any) -> TranspileLayout:
    need(type(flat) is list and len(flat) == 3, "no layout")
    initial, final, entered = flat
    number = circuit.num_qubits
    for each in (initial, final):
        if each is not None:
            need(type(each) is list and all(type(i) is int and 0 <= i < number for i in each), "no layout")
            need(len(set(each)) == len(each), "a qubit twice in a layout")
    need(type(initial) is list and type(entered) is int and 0 <= entered <= len(initial), "no layout")
    need(final is None or len(final) == number, "no layout")
    virtual: list[Any] = list(QuantumRegister(entered, "q"))
    virtual += list(AncillaRegister(len(initial) - entered, "ancilla")) if len(initial) > entered else []
    return TranspileLayout(
        initial_layout=Layout(dict(zip(virtual, initial, strict=True))),
        input_qubit_mapping={bit: i for i, bit in enumerate(virtual)},
        final_layout=None if final is None else Layout(dict(zip(circuit.qubits, final, strict=True))),
        _input_qubit_count=entered,
        _output_qubit_list=circuit.qubits,
    )
