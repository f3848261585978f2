"""Control flow in flat form: operations that hold circuits, and the classical conditions that they ask.

["if", condition, label, [body, otherwise?]]
["while", condition, label, [body]]
["for", indices, parameter, label, [body]]       indices: ["range", start, stop, step] or a list of numbers
["switch", target, values, label, [body, ...]]   values: a list for each body, with None for the default
["box", duration, unit, label, [body]]
["break" | "continue", qubits, clbits, label]

A body is [circuit, qubits, clbits]: where each of its bits is in the circuit around it, None for a bit of its own.
A condition is ["is", target, value] or an expression; a target is a bit, a register or an expression:

["bit", i], ["register", i]      of the circuit that the operation is in
["value", type, value]           a type is "bool", "float", or an int: the bits of an unsigned number
["cast", x, type, implicit]
["unary", name, x], ["binary", name, x, y], ["index", x, y]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qiskit.circuit import (
    CASE_DEFAULT,
    BoxOp,
    BreakLoopOp,
    CircuitInstruction,
    ClassicalRegister,
    Clbit,
    ContinueLoopOp,
    ControlFlowOp,
    ForLoopOp,
    IfElseOp,
    Parameter,
    QuantumCircuit,
    SwitchCaseOp,
    WhileLoopOp,
)
from qiskit.circuit.classical import expr, types

from qecforge_qiskit_tasks.codec.parameters import ParameterReader, ParameterWriter, finite, need, text

__all__ = ["KINDS", "flatten_control_flow", "inlined", "is_control_flow", "rebuild_control_flow"]

JUMPS = {"break": BreakLoopOp, "continue": ContinueLoopOp}
KINDS = {"if": 4, "while": 4, "for": 5, "switch": 5, "box": 5, "break": 4, "continue": 4}
"""Kinds of rows, and how long they are."""
UNITS = ("s", "ms", "us", "ns", "ps", "dt")
MOST_TURNS = 10_000
"""Of a loop over numbers."""
MOST_BITS = 10_000
MOST_CASES = 1_000
DEEPEST = 20
"""Expressions within expressions."""
UNARY = {"BIT_NOT": expr.bit_not, "LOGIC_NOT": expr.logic_not}
BINARY = {each.name: getattr(expr, each.name.lower()) for each in expr.Binary.Op if hasattr(expr, each.name.lower())}

Body = Callable[[Any], Any]


def is_control_flow(operation: Any) -> bool:
    """Whether it holds circuits, or leaves a loop."""
    return isinstance(operation, (ControlFlowOp, *JUMPS.values()))


def flatten_control_flow(operation: Any, circuit: QuantumCircuit, parameters: ParameterWriter, body: Body) -> list[Any]:
    """Raises `TypeError` for what has no form here.

    Args:
        circuit: The one that the operation is in.
        body: Flattens a circuit that the operation holds.
    """
    label = operation.label
    for kind, made in JUMPS.items():
        if isinstance(operation, made):
            return [kind, operation.num_qubits, operation.num_clbits, label]
    bodies = [body(each) for each in operation.blocks]
    if isinstance(operation, (IfElseOp, WhileLoopOp)):
        kind = "if" if isinstance(operation, IfElseOp) else "while"
        return [kind, _flatten_condition(operation.condition, circuit), label, bodies]
    if isinstance(operation, ForLoopOp):
        indices, parameter, _ = operation.params
        flat = ["range", indices.start, indices.stop, indices.step] if isinstance(indices, range) else [*indices]
        return ["for", flat, None if parameter is None else parameters.flatten(parameter), label, bodies]
    if isinstance(operation, SwitchCaseOp):
        values = [[None if each is CASE_DEFAULT else each for each in row] for row, _ in operation.cases_specifier()]
        return ["switch", _flatten_target(operation.target, circuit), values, label, bodies]
    if isinstance(operation, BoxOp) and isinstance(operation.duration, (int, float, type(None))):
        return ["box", operation.duration, operation.unit, label, bodies]
    raise TypeError(f"a circuit with such a {operation.name} has no form here")


def _flatten_condition(condition: Any, circuit: QuantumCircuit) -> list[Any]:
    if isinstance(condition, expr.Expr):
        return _flatten_target(condition, circuit)
    target, value = condition
    return ["is", _flatten_target(target, circuit), int(value)]


def _flatten_target(target: Any, circuit: QuantumCircuit, depth: int = 0) -> list[Any]:
    def inner(each: Any) -> list[Any]:
        return _flatten_target(each, circuit, depth + 1)

    if depth > DEEPEST:
        raise TypeError(f"a condition is deeper than {DEEPEST}")
    if isinstance(target, expr.Var):
        target = target.var
    if isinstance(target, Clbit):
        return ["bit", circuit.find_bit(target).index]
    if isinstance(target, ClassicalRegister):
        return ["register", circuit.cregs.index(target)]
    if isinstance(target, expr.Value) and isinstance(target.value, (bool, int, float)):
        return ["value", _flatten_type(target.type), target.value]
    if isinstance(target, expr.Cast):
        return ["cast", inner(target.operand), _flatten_type(target.type), target.implicit]
    if isinstance(target, expr.Unary):
        return ["unary", target.op.name, inner(target.operand)]
    if isinstance(target, expr.Binary):
        return ["binary", target.op.name, inner(target.left), inner(target.right)]
    if isinstance(target, expr.Index):
        return ["index", inner(target.target), inner(target.index)]
    raise TypeError(f"a condition with a {type(target).__name__} has no form here")


def _flatten_type(kind: Any) -> Any:
    if isinstance(kind, types.Uint):
        return kind.width
    if isinstance(kind, (types.Bool, types.Float)):
        return type(kind).__name__.lower()
    raise TypeError(f"a value of type {kind} has no form here")


def rebuild_control_flow(
    flat: list[Any], circuit: QuantumCircuit, parameters: ParameterReader, body: Body
) -> tuple[Any, int]:
    """An operation, and how often what it holds may be carried out, once for a `while`. Raises `ValueError`, or what
    Qiskit raises.

    Args:
        flat: A row whose first entry is one of `KINDS`.
        circuit: The one that the operation is in; with bits and registers.
        body: Rebuilds a circuit that the operation holds.
    """
    kind, *rest = flat
    need(len(flat) == KINDS[kind], "no operation")
    label = rest[-1] if kind in JUMPS else rest[-2]
    label = None if label is None else text(label, "a label")
    if kind in JUMPS:
        need(all(type(each) is int and 0 <= each <= MOST_BITS for each in rest[:2]), "no number of bits")
        return JUMPS[kind](rest[0], rest[1], label=label), 1
    need(type(rest[-1]) is list and 0 < len(rest[-1]) <= MOST_CASES, "no bodies")
    bodies = [body(each) for each in rest[-1]]
    need(kind == "switch" or len(bodies) <= 1 + (kind == "if"), "too many bodies")
    if kind == "if":
        otherwise = bodies[1] if len(bodies) > 1 else None
        return IfElseOp(_condition(rest[0], circuit), bodies[0], otherwise, label=label), 1
    if kind == "while":
        return WhileLoopOp(_condition(rest[0], circuit), bodies[0], label=label), 1
    if kind == "for":
        indices = _indices(rest[0])
        parameter = None if rest[1] is None else parameters.rebuild(rest[1])
        need(parameter is None or isinstance(parameter, Parameter), "no parameter of a loop")
        return ForLoopOp(indices, parameter, bodies[0], label=label), len(indices)
    if kind == "switch":
        return _switch(rest[0], rest[1], bodies, label, circuit), 1
    duration, unit = rest[:2]
    need(duration is None or (type(duration) in (int, float) and finite(duration, "a duration") >= 0), "no duration")
    need(unit is None or unit in UNITS, "a duration in another unit")
    return BoxOp(bodies[0], duration, unit, label=label), 1


def _indices(flat: Any) -> range | tuple[int, ...]:
    need(type(flat) is list and len(flat) <= MOST_TURNS, "no numbers of a loop")
    if flat[:1] == ["range"]:
        need(len(flat) == 4 and all(type(each) is int and abs(each) < 2**60 for each in flat[1:]), "no range")
        need(flat[3] != 0, "no range")
        found = range(*flat[1:])
        need(len(found) <= MOST_TURNS, f"a loop of more than {MOST_TURNS:,} turns")
        return found
    need(all(type(each) is int and abs(each) < 2**60 for each in flat), "no numbers of a loop")
    return tuple(flat)


def _switch(target: Any, values: Any, bodies: list[Any], label: str | None, circuit: QuantumCircuit) -> SwitchCaseOp:
    need(type(values) is list and len(values) == len(bodies), "no cases")
    cases = []
    for row, body in zip(values, bodies, strict=True):
        need(type(row) is list and 0 < len(row) <= MOST_CASES, "no case")
        need(all(each is None or (type(each) in (int, bool) and 0 <= each < 2**64) for each in row), "no case")
        cases.append((tuple(CASE_DEFAULT if each is None else each for each in row), body))
    return SwitchCaseOp(_target(target, circuit), cases, label=label)


def _condition(flat: Any, circuit: QuantumCircuit) -> Any:
    if type(flat) is list and flat[:1] == ["is"]:
        need(len(flat) == 3 and type(flat[1]) is list and flat[1][:1] in (["bit"], ["register"]), "no condition")
        target = _target(flat[1], circuit)
        size = 1 if isinstance(target, Clbit) else len(target)
        need(type(flat[2]) is int and 0 <= flat[2] < 2**size, "a value that the bits cannot have")
        return target, flat[2]
    found = _expression(flat, circuit)
    need(found.type == types.Bool(), "a condition that is neither true nor false")
    return found


def _target(flat: Any, circuit: QuantumCircuit) -> Any:
    if type(flat) is list and len(flat) == 2 and flat[0] in ("bit", "register"):
        known = circuit.clbits if flat[0] == "bit" else circuit.cregs
        need(type(flat[1]) is int and 0 <= flat[1] < len(known), f"a {flat[0]} that the circuit has not")
        return known[flat[1]]
    return _expression(flat, circuit)


def _expression(flat: Any, circuit: QuantumCircuit, depth: int = 0) -> Any:
    def inner(each: Any) -> Any:
        return _expression(each, circuit, depth + 1)

    need(depth <= DEEPEST, f"a condition is deeper than {DEEPEST}")
    need(type(flat) is list and 1 < len(flat) <= 4 and type(flat[0]) is str, "no condition")
    kind, *rest = flat
    if kind in ("bit", "register") and len(rest) == 1:
        return expr.lift(_target(flat, circuit))
    if kind == "value" and len(rest) == 2:
        return _value(*rest)
    if kind == "cast" and len(rest) == 3:
        need(type(rest[2]) is bool, "no cast")
        made = expr.cast(inner(rest[0]), _type(rest[1]))
        return expr.Cast(made.operand, made.type, implicit=rest[2]) if isinstance(made, expr.Cast) else made
    if kind == "index" and len(rest) == 2:
        return expr.index(inner(rest[0]), inner(rest[1]))
    named = {("unary", 2): UNARY, ("binary", 3): BINARY}.get((kind, len(rest)))
    need(named is not None and type(rest[0]) is str and rest[0] in named, "no operation of a condition")
    return named[rest[0]](*(inner(each) for each in rest[1:]))  # type: ignore[index]


def _value(kind: Any, value: Any) -> Any:
    made = _type(kind)
    if isinstance(made, types.Bool):
        need(type(value) in (bool, int) and value in (0, 1), "no truth value")
    elif isinstance(made, types.Uint):
        need(type(value) is int and 0 <= value < 2**made.width, "no number of so many bits")
    else:
        need(type(value) is float, "no number")
        finite(value, "a number")
    return expr.Value(value, made)


def _type(flat: Any) -> Any:
    if type(flat) is int:
        need(0 < flat <= MOST_BITS, "no width of a number")
        return types.Uint(flat)
    need(flat in ("bool", "float"), "no type of a value")
    return types.Bool() if flat == "bool" else types.Float()


def inlined(circuit: QuantumCircuit, *, endless: bool = True) -> QuantumCircuit:
    """The circuit without control flow, to be counted: every branch, one after another, and what is in a loop as often
    as it turns; in a `while`, once.

    Args:
        endless: False to raise `ValueError` for a `while`, which has no bound.
    """
    if not any(each.is_control_flow() for each in circuit.data):
        return circuit
    made = circuit.copy_empty_like()

    def add(inner: QuantumCircuit, qubits: list[Any], clbits: list[Any]) -> None:
        for each in inner.data:
            operation = each.operation
            wires = [qubits[inner.find_bit(bit).index] for bit in each.qubits]
            bits = [clbits[inner.find_bit(bit).index] for bit in each.clbits]
            if not is_control_flow(operation):
                made._append(CircuitInstruction(operation, wires, bits))
            elif isinstance(operation, ControlFlowOp):
                if isinstance(operation, WhileLoopOp) and not endless:
                    raise ValueError("a while loop has no bound")
                turns = len(operation.params[0]) if isinstance(operation, ForLoopOp) else 1
                for block in turns * operation.blocks:
                    add(block, wires, bits)

    add(circuit, circuit.qubits, circuit.clbits)
    return made
