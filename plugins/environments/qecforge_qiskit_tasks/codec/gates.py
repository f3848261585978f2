"""Operations of circuits in flat form: standard gates by name, others by their definitions.

["s", name, parameters, label, open controls]     a standard gate of Qiskit, measure or reset
["b", qubits, label]                              a barrier
["d", duration, unit]                             a delay
["u", matrix, label]                              a unitary
["i", name, vector, label]                        initialize, state_preparation
["k", tableau]                                    a Clifford
["a", operation, modifiers]                       inverse, control and power of an operation
["g", name, qubits, clbits, parameters, label, definition, control]   anything else
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from qiskit.circuit import (
    AnnotatedOperation,
    Barrier,
    ControlFlowOp,
    ControlledGate,
    Delay,
    Gate,
    Instruction,
    QuantumCircuit,
)
from qiskit.circuit.annotated_operation import ControlModifier, InverseModifier, PowerModifier
from qiskit.circuit.library import Initialize, StatePreparation, UnitaryGate
from qiskit.circuit.library.standard_gates import get_standard_gate_name_mapping
from qiskit.quantum_info import Clifford

from qecforge_qiskit_tasks.codec.parameters import ParameterReader, ParameterWriter, finite, need, text
from qecforge_qiskit_tasks.codec.states import rebuild_clifford

__all__ = ["flatten_operation", "rebuild_operation"]

STANDARD = {name: gate for name, gate in get_standard_gate_name_mapping().items() if name != "delay"}
CLASSES = {gate.base_class: name for name, gate in STANDARD.items()}
MOST_BITS = 10_000
LARGEST_UNITARY = 1 << 11
LONGEST_VECTOR = 1 << 22
MOST_POWER = 1_000
UNITS = ("s", "ms", "us", "ns", "ps", "dt")

Circuit = Callable[[Any], Any]


def flatten_operation(operation: Any, parameters: ParameterWriter, circuit: Circuit) -> list[Any]:
    """Raises `TypeError` for what has no form here; `circuit` flattens definitions."""
    name = CLASSES.get(getattr(operation, "base_class", type(operation)))
    if name is not None and name == getattr(operation, "_name", operation.name):
        values = [parameters.flatten(each) for each in operation.params]
        return ["s", name, values, operation.label, _open_controls(operation)]
    if isinstance(operation, Barrier):
        return ["b", operation.num_qubits, operation.label]
    if isinstance(operation, Delay):
        return ["d", parameters.flatten(operation.duration), operation.unit]
    if isinstance(operation, UnitaryGate) and operation.num_qubits <= LARGEST_UNITARY.bit_length():
        return ["u", np.asarray(operation.params[0], complex), operation.label]
    if isinstance(operation, (Initialize, StatePreparation)):
        amplitudes = np.asarray(operation.params)
        if amplitudes.dtype.kind in "fciu" and len(amplitudes) == 2**operation.num_qubits:
            return ["i", operation.name, amplitudes.astype(complex), operation.label]
    if isinstance(operation, Clifford):
        return ["k", operation.tableau]
    if isinstance(operation, AnnotatedOperation):
        return ["a", flatten_operation(operation.base_op, parameters, circuit), _modifiers(operation)]
    if isinstance(operation, ControlFlowOp) or not isinstance(operation, Instruction):
        raise TypeError(f"a circuit with {operation.name} has no form here: conditionals and loops are refused")
    return _custom(operation, parameters, circuit)


def _open_controls(operation: Any) -> int | None:
    """The controls' state where some of them are open."""
    if isinstance(operation, ControlledGate) and operation.ctrl_state != 2**operation.num_ctrl_qubits - 1:
        return int(operation.ctrl_state)
    return None


def _modifiers(operation: AnnotatedOperation) -> list[list[Any]]:
    found: list[list[Any]] = []
    for each in operation.modifiers:
        if isinstance(each, ControlModifier):
            found.append(["control", each.num_ctrl_qubits, each.ctrl_state])
        elif isinstance(each, PowerModifier):
            found.append(["power", each.power])
        else:
            found.append(["inverse"])
    return found


def _custom(operation: Instruction, parameters: ParameterWriter, circuit: Circuit) -> list[Any]:
    control = None
    closed = operation
    if isinstance(operation, ControlledGate):
        base = flatten_operation(operation.base_gate, parameters, circuit)
        control = [operation.num_ctrl_qubits, operation.ctrl_state, base]
        if _open_controls(operation) is not None:
            closed = operation.to_mutable()
            closed.ctrl_state = None
    definition = None if closed.definition is None else circuit(closed.definition)
    try:
        values = [parameters.flatten(each) for each in operation.params]
    except TypeError:
        values = []
    kind = "g" if isinstance(operation, Gate) else "n"
    return [
        kind,
        getattr(operation, "_name", operation.name),
        operation.num_qubits,
        operation.num_clbits,
        values,
        operation.label,
        definition,
        control,
    ]


def rebuild_operation(flat: Any, parameters: ParameterReader, circuit: Circuit) -> Any:
    """An operation, from what may be anything. Raises `ValueError`, or what Qiskit raises."""
    need(type(flat) is list and len(flat) > 1, "no operation")
    kind, *rest = flat
    need(type(kind) is str and kind in READERS and READERS[kind][0] == len(rest), "an unknown kind of operation")
    return READERS[kind][1](rest, parameters, circuit)


def _label(label: Any) -> str | None:
    return None if label is None else text(label, "a label")


def _count(value: Any, most: int = MOST_BITS, least: int = 0) -> int:
    need(type(value) is int and least <= value <= most, f"a number of bits that is not within {least} and {most}")
    return int(value)


def _standard(rest: list[Any], parameters: ParameterReader, circuit: Circuit) -> Any:
    name, values, label, control = rest
    need(type(name) is str and name in STANDARD, "a gate that is none of Qiskit's")
    known = STANDARD[name]
    need(type(values) is list and len(values) == len(known.params), f"{name} with another number of parameters")
    named: dict[str, Any] = {} if label is None else {"label": _label(label)}
    if control is not None:
        need(isinstance(known, ControlledGate) and type(control) is int, f"{name} has no controls")
        need(0 <= control < 2**known.num_ctrl_qubits, f"no state of the controls of {name}")
        named["ctrl_state"] = control
    return known.base_class(*(parameters.real(each) for each in values), **named)


def _barrier(rest: list[Any], parameters: ParameterReader, circuit: Circuit) -> Any:
    return Barrier(_count(rest[0]), label=_label(rest[1]))


def _delay(rest: list[Any], parameters: ParameterReader, circuit: Circuit) -> Any:
    need(rest[1] in UNITS, "a delay in another unit")
    duration = parameters.real(rest[0])
    need(not isinstance(duration, (int, float)) or duration >= 0, "a negative delay")
    return Delay(duration, rest[1])


def _unitary(rest: list[Any], parameters: ParameterReader, circuit: Circuit) -> Any:
    matrix = rest[0]
    need(type(matrix) is np.ndarray and matrix.ndim == 2 and len(matrix) <= LARGEST_UNITARY, "no matrix")
    need(matrix.dtype == complex and bool(np.isfinite(matrix).all()), "no matrix of finite numbers")
    return UnitaryGate(matrix, label=_label(rest[1]))


def _initialize(rest: list[Any], parameters: ParameterReader, circuit: Circuit) -> Any:
    name, vector, label = rest
    need(type(vector) is np.ndarray and vector.ndim == 1 and 2 <= len(vector) <= LONGEST_VECTOR, "no vector")
    need(vector.dtype == complex and bool(np.isfinite(vector).all()), "no vector of finite numbers")
    made = {"initialize": Initialize, "state_preparation": StatePreparation}.get(name if type(name) is str else "")
    need(made is not None, "a preparation of another kind")
    operation = made(vector)  # type: ignore[misc]
    if label is not None:
        operation.label = _label(label)
    return operation


def _clifford(rest: list[Any], parameters: ParameterReader, circuit: Circuit) -> Any:
    return rebuild_clifford(rest[0])


def _annotated(rest: list[Any], parameters: ParameterReader, circuit: Circuit) -> Any:
    base, modifiers = rest
    need(type(base) is list and base[:1] != ["a"] and type(modifiers) is list, "no modified operation")
    need(0 < len(modifiers) <= 20, "too many modifiers")
    made: list[Any] = []
    for each in modifiers:
        need(type(each) is list and bool(each), "no modifier")
        if each == ["inverse"]:
            made.append(InverseModifier())
        elif each[0] == "power" and len(each) == 2:
            need(abs(finite(each[1], "a power")) <= MOST_POWER, "a power that is too large")
            made.append(PowerModifier(each[1]))
        else:
            need(each[0] == "control" and len(each) == 3 and type(each[2]) is int, "no modifier")
            made.append(ControlModifier(_count(each[1], 30, 1), each[2]))
    return AnnotatedOperation(rebuild_operation(base, parameters, circuit), made)


def _gate(rest: list[Any], parameters: ParameterReader, circuit: Circuit) -> Any:
    name, qubits, clbits, values, label, definition, control = rest
    need(clbits == 0 and type(clbits) is int, "a gate with clbits")
    common = _Common(name, qubits, 0, values, definition, parameters, circuit)
    if control is not None:
        need(type(control) is list and len(control) == 3 and type(control[1]) is int, "no control")
        number = _count(control[0], common.qubits, 1)
        need(0 <= control[1] < 2**number, "no state of controls")
        base = rebuild_operation(control[2], parameters, circuit)
        need(isinstance(base, Gate) and base.num_qubits + number == common.qubits, "no gate that is controlled")
        return ControlledGate(
            common.name, common.qubits, base.params, _label(label), number, common.definition, control[1], base
        )
    made = Gate(common.name, common.qubits, common.params, label=_label(label))
    made.definition = common.definition
    return made


def _instruction(rest: list[Any], parameters: ParameterReader, circuit: Circuit) -> Any:
    name, qubits, clbits, values, label, definition, control = rest
    need(control is None, "an instruction with controls")
    common = _Common(name, qubits, clbits, values, definition, parameters, circuit)
    made = Instruction(common.name, common.qubits, common.clbits, common.params, label=_label(label))
    made.definition = common.definition
    return made


class _Common:
    """What gates and instructions with a definition share, checked."""

    def __init__(
        self,
        name: Any,
        qubits: Any,
        clbits: Any,
        values: Any,
        definition: Any,
        parameters: ParameterReader,
        circuit: Circuit,
    ) -> None:
        self.name = text(name, "a gate's name")
        need(self.name not in STANDARD and self.name not in ("barrier", "delay"), f"another gate by the name {name}")
        self.qubits, self.clbits = _count(qubits), _count(clbits)
        need(type(values) is list and len(values) <= MOST_BITS, "no parameters")
        self.params = [parameters.rebuild(each) for each in values]
        self.definition: QuantumCircuit | None = None if definition is None else circuit(definition)
        if self.definition is not None:
            fits = (self.definition.num_qubits, self.definition.num_clbits) == (self.qubits, self.clbits)
            need(fits, f"the definition of {self.name} has another number of bits")


READERS: dict[str, tuple[int, Callable[[list[Any], ParameterReader, Circuit], Any]]] = {
    "s": (4, _standard),
    "b": (2, _barrier),
    "d": (2, _delay),
    "u": (2, _unitary),
    "i": (3, _initialize),
    "k": (1, _clifford),
    "a": (2, _annotated),
    "g": (7, _gate),
    "n": (7, _instruction),
}
