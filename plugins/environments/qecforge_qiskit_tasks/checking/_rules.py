"""What is changed in one place: the mistakes that people, and models, make in circuits.

What changes no behaviour by rule is not made: seeds, the order of qubits of a symmetric gate, the sign of an angle of
pi, tolerances.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass

from qecforge_qiskit_tasks.checking._gates import CALLED, EXCHANGED, SYMMETRIC
from qecforge_qiskit_tasks.checking._places import Place

__all__ = ["Change", "changes_of_expression", "changes_of_statement"]

OPERATORS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitOr,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
PAULIS, BITS = str.maketrans("XYZ", "YZX"), str.maketrans("01+-rl", "10-+lr")
UNCHANGED = {"seed", "seed_simulator", "seed_transpiler", "default_rng", "optimization_level", "name", "label"}
"""Arguments of which another value is as right, by keyword or by the function that takes them."""
SMALLEST, LARGE, TABLE = 1e-6, 100, 4
"""Smaller floats are tolerances, larger whole numbers are counts; of a row of so many numbers the first and the last
are changed."""
LISTS = {"append", "compose", "measure"}
"""Methods that take a list of qubits whose order matters."""


@dataclass(frozen=True)
class Change:
    """A node to put, or None to take what stands there away."""

    kind: str
    node: ast.AST | None


def changes_of_statement(place: Place) -> Iterator[Change]:
    """Dropped: what is done for its effect. An assignment only where the name has a value without it."""
    node = place.node
    printed = isinstance(node, ast.Expr) and _called(node.value) == "print"
    constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    effect = isinstance(node, ast.Expr | ast.AugAssign | ast.If | ast.For | ast.While | ast.Delete) and not printed
    if (effect and not constant) or _assigned_again(place):
        yield Change("dropped statement", None)


def changes_of_expression(place: Place) -> Iterator[Change]:
    """What may stand in the place of an expression, or of `a += b`."""
    node = place.node
    if isinstance(node, ast.Call):
        yield from _gate(node)
        yield from _qubits(node)
        yield from _angles(node)
        yield from _range(node)
    elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
        yield from _gate_class(node)
    elif isinstance(node, ast.Constant):
        yield from _constants(place, node)
    else:
        yield from _operators(node)


def _gate(call: ast.Call) -> Iterator[Change]:
    name = _method(call)
    if name in EXCHANGED and name in CALLED and len(call.args) + len(call.keywords) >= sum(CALLED[name]):
        changed, function = copy(call), copy(call.func)
        assert isinstance(function, ast.Attribute)
        function.attr, changed.func = EXCHANGED[name], function
        yield Change("gate", changed)


def _gate_class(node: ast.Name | ast.Attribute) -> Iterator[Change]:
    """`XGate` where it was imported from a module by name is not known under another one: `library.YGate` is."""
    name = node.id if isinstance(node, ast.Name) else node.attr
    if name in EXCHANGED and name not in CALLED:
        owner: ast.expr
        if isinstance(node, ast.Attribute):
            owner = node.value
        else:
            owner = ast.Call(ast.Name("__import__", ast.Load()), [ast.Constant("qiskit.circuit.library")], [])
            owner = ast.Attribute(ast.Attribute(owner, "circuit", ast.Load()), "library", ast.Load())
        yield Change("gate", ast.Attribute(owner, EXCHANGED[name], ast.Load()))


def _qubits(call: ast.Call) -> Iterator[Change]:
    name = _method(call)
    if name in LISTS:
        for index, each in enumerate(call.args):
            if isinstance(each, ast.List | ast.Tuple) and len(each.elts) > 1:
                yield Change("qubit", _with(call, index, _elements(each, each.elts[::-1])))
                break
    if name in ("mcx", "mcp", *CALLED) and call.args:
        index = 1 if name == "mcp" else CALLED.get(name, (0, 1))[0]
        listed = call.args[index] if index < len(call.args) else None
        if isinstance(listed, ast.List | ast.Tuple) and len(listed.elts) > 1 and name != "measure":
            yield Change("qubit", _with(call, index, _elements(listed, listed.elts[:-1])))
    if name not in CALLED or len(call.args) != sum(CALLED[name]):
        return
    angles, qubits = CALLED[name]
    if qubits == 1 or (name == "measure" and not _differ(call.args)):
        each = call.args[angles]
        if isinstance(each, ast.Constant) and type(each.value) is int:
            yield Change("qubit", _with(call, angles, ast.Constant(each.value - 1 if each.value else 1)))
    elif name not in SYMMETRIC:
        first = angles if name != "ccx" else angles + qubits - 2
        if name != "cswap" or qubits == 3:
            changed = _with(call, first, call.args[first + 1])
            changed.args[first + 1] = call.args[first]
            yield Change("qubit", changed)


def _angles(call: ast.Call) -> Iterator[Change]:
    name = _method(call)
    if name not in CALLED or len(call.args) != sum(CALLED[name]):
        return
    for index in range(CALLED[name][0]):
        angle = call.args[index]
        if isinstance(angle, ast.Constant) and not angle.value:
            yield Change("angle", _with(call, index, ast.Constant(0.5)))
            continue
        if not _is_pi(angle):
            yield Change("angle", _with(call, index, _negated(angle)))
        yield Change("angle", _with(call, index, ast.BinOp(angle, ast.Div(), ast.Constant(2))))


def _range(call: ast.Call) -> Iterator[Change]:
    if isinstance(call.func, ast.Name) and call.func.id == "range" and 1 <= len(call.args) <= 2:
        stop = call.args[-1]
        if not isinstance(stop, ast.Constant | ast.BinOp):
            yield Change("constant", _with(call, len(call.args) - 1, ast.BinOp(stop, ast.Sub(), ast.Constant(1))))


def _constants(place: Place, node: ast.Constant) -> Iterator[Change]:
    if _told_elsewhere(place):
        return
    value = node.value
    if isinstance(value, bool):
        yield Change("constant", ast.Constant(not value))
    elif isinstance(value, int):
        yield Change("constant", ast.Constant(value // 2 if value >= LARGE else value + 1))
    elif isinstance(value, float) and (not value or abs(value) > SMALLEST):
        yield Change("constant", ast.Constant(value * 1.5 if value else 0.5))
    elif isinstance(value, complex):
        yield Change("constant", ast.UnaryOp(ast.USub(), ast.Constant(value)))
    elif isinstance(value, str):
        yield from (Change("constant", ast.Constant(each)) for each in _other_strings(value))


def _other_strings(text: str) -> Iterator[str]:
    """Of Pauli operators and of bits: the first that is not the identity changed, and the order reversed."""
    letters = text.lstrip("I")
    if letters and set(text) <= set("IXYZ"):
        yield text[: len(text) - len(letters)] + letters[0].translate(PAULIS) + letters[1:]
        yield text[::-1]
    elif text and set(text) <= set("01+-rl"):
        yield text[0].translate(BITS) + text[1:]
        yield text[::-1]
    elif len(text) > 1 and text in EXCHANGED:
        yield EXCHANGED[text]


def _operators(node: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
            yield Change("operator", ast.BinOp(node.right, node.op, node.left))
        elif type(node.op) in OPERATORS and not _is_text(node):
            changed = copy(node)
            changed.op = OPERATORS[type(node.op)]()  # type: ignore[assignment]
            yield Change("operator", changed)
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in OPERATORS:
        compared = copy(node)
        compared.ops = [OPERATORS[type(node.ops[0])](), *node.ops[1:]]  # type: ignore[list-item]
        yield Change("operator", compared)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not | ast.Invert):
        yield Change("operator", node.operand)


def _told_elsewhere(place: Place) -> bool:
    """Whether a rule of its own has the constant, or none should: a direct argument of a gate, an element of its lists,
    a seed, a text of a formatted string, a statement that is a constant."""
    if isinstance(place.owner, ast.Expr | ast.JoinedStr | ast.FormattedValue):
        return True
    if isinstance(place.owner, ast.List | ast.Tuple) and len(place.owner.elts) >= TABLE:
        numbers = all(isinstance(each, ast.Constant | ast.UnaryOp) for each in place.owner.elts)
        if numbers and place.index not in (0, len(place.owner.elts) - 1):
            return True
    calls = [each for each in place.around if isinstance(each, ast.Call)]
    if any(isinstance(each, ast.keyword) and each.arg in UNCHANGED for each in place.around):
        return True
    if not calls:
        return False
    call = calls[-1]
    name = _method(call)
    if _called(call) in UNCHANGED:
        return True
    in_list = isinstance(place.owner, ast.List | ast.Tuple) and any(each is place.owner for each in call.args)
    direct = place.owner is call and place.name == "args"
    return (direct and name in CALLED) or (in_list and name in (*LISTS, *CALLED, "mcx", "mcp"))


def _assigned_again(place: Place) -> bool:
    """Whether a name gets a value that has one: as a parameter, or from an earlier statement of its function."""
    node = place.node
    if not isinstance(node, ast.Assign) or len(node.targets) != 1 or place.index is None:
        return False
    target = node.targets[0]
    if not isinstance(target, ast.Name):
        return isinstance(target, ast.Subscript | ast.Attribute)
    earlier = set()
    if place.function is not None:
        arguments = place.function.args
        earlier = {each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    body = place.function.body if place.function is not None else []
    for each in ast.walk(ast.Module(list(body), [])):
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store) and each.lineno < node.lineno:
            earlier.add(each.id)
    return target.id in earlier


def _method(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _called(node: ast.AST) -> str:
    if not isinstance(node, ast.Call):
        return ""
    return node.func.id if isinstance(node.func, ast.Name) else _method(node)


def _with(call: ast.Call, index: int, argument: ast.expr) -> ast.Call:
    changed = copy(call)
    changed.args = [*call.args[:index], argument, *call.args[index + 1 :]]
    return changed


def _elements(sequence: ast.List | ast.Tuple, elements: list[ast.expr]) -> ast.expr:
    changed = copy(sequence)
    changed.elts = elements
    return changed


def _differ(nodes: list[ast.expr]) -> bool:
    return len({ast.dump(each) for each in nodes}) == len(nodes)


def _is_pi(node: ast.expr) -> bool:
    node = node.operand if isinstance(node, ast.UnaryOp) else node
    return (isinstance(node, ast.Name) and node.id == "pi") or (isinstance(node, ast.Attribute) and node.attr == "pi")


def _negated(node: ast.expr) -> ast.expr:
    """Its negative, without a second sign."""
    if _is_negative(node):
        assert isinstance(node, ast.UnaryOp)
        return node.operand
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div):
        return ast.BinOp(_negated(node.left), node.op, node.right)
    return ast.UnaryOp(ast.USub(), node)


def _is_negative(node: ast.expr) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)


def _is_text(node: ast.AST) -> bool:
    return any(isinstance(each, ast.JoinedStr) for each in ast.walk(node))
