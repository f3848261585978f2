"""Numbers, parameters and expressions of parameters in flat form.

An expression that is linear in its parameters is its coefficients; any other is a tree of named operations. Text is
never parsed, neither by Python nor by a computer algebra system.

    number                          1.5
    ["p", i]                        parameter i of the table
    ["+", [[1.5, i], ...], c]       1.5 * parameter i + ... + c
    ["sin", tree]                   an operation of `OPERATIONS` on trees
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from qiskit.circuit import Parameter, ParameterExpression, ParameterVector, ParameterVectorElement

__all__ = ["ParameterReader", "ParameterWriter", "finite", "need", "text"]

NAME_LENGTH = 200
LONGEST_VECTOR = 10_000
DEEPEST = 30
MOST_TERMS = 10_000
OPERATIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "add": (2, lambda a, b: a + b),
    "mul": (2, lambda a, b: a * b),
    "pow": (2, lambda a, b: a**b),
    "sin": (1, lambda a: a.sin()),
    "cos": (1, lambda a: a.cos()),
    "tan": (1, lambda a: a.tan()),
    "asin": (1, lambda a: a.arcsin()),
    "acos": (1, lambda a: a.arccos()),
    "atan": (1, lambda a: a.arctan()),
    "exp": (1, lambda a: a.exp()),
    "log": (1, lambda a: a.log()),
    "abs": (1, abs),
    "sign": (1, lambda a: a.sign()),
}
"""How many arguments each takes, and what it is; sums and products of more are trees of these."""


def need(holds: bool, otherwise: str) -> None:
    """Raises `ValueError` with what is wrong."""
    if not holds:
        raise ValueError(otherwise)


def text(value: Any, what: str, longest: int = NAME_LENGTH) -> str:
    """A short exact text. Raises `ValueError`."""
    need(type(value) is str and len(value) <= longest, f"{what} is no text of at most {longest} characters")
    return str(value)


def finite(value: Any, what: str) -> Any:
    """An exact int, float or complex that is finite. Raises `ValueError`."""
    need(type(value) in (int, float, complex), f"{what} is no number")
    real = [value.real, value.imag] if type(value) is complex else [value]
    small = all((type(each) is int and each.bit_length() < 1000) or math.isfinite(each) for each in real)
    need(small, f"{what} is not finite, or huge")
    return value


class ParameterWriter:
    """Flattens numbers and expressions; collects the parameters in `table`, each once."""

    def __init__(self) -> None:
        self.table: list[list[Any]] = []
        self._index: dict[UUID, int] = {}

    def flatten(self, value: Any) -> Any:
        """Raises `TypeError` for what is neither a number nor an expression."""
        if isinstance(value, Parameter):
            return ["p", self._of(value)]
        if isinstance(value, ParameterExpression):
            if not value.parameters:
                return value.numeric()
            return self._linear(value) or self._tree(value.sympify(), {each.name: each for each in value.parameters})
        if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
            value = value.item()
        if isinstance(value, (bool, int, float, complex)):
            return value
        raise TypeError(f"a parameter of type {type(value).__name__} has no form here")

    def _of(self, parameter: Parameter) -> int:
        if parameter.uuid not in self._index:
            self._index[parameter.uuid] = len(self.table)
            row: list[Any] = [parameter.name, parameter.uuid.bytes]
            if isinstance(parameter, ParameterVectorElement):
                row = [parameter.vector.name, parameter.uuid.bytes, len(parameter.vector), parameter.index]
            self.table.append(row)
        return self._index[parameter.uuid]

    def _linear(self, expression: ParameterExpression) -> Any:
        names = sorted(expression.parameters, key=lambda each: each.name)
        slopes = [expression.gradient(each) for each in names]
        if not all(isinstance(each, (int, float, complex)) for each in slopes):
            return None
        rest = expression.assign(names[0], 0)
        for each in names[1:]:
            rest = rest.assign(each, 0)
        terms = [[slope, self._of(each)] for slope, each in zip(slopes, names, strict=True)]
        return ["+", terms, rest.numeric()]

    def _tree(self, node: Any, named: dict[str, Parameter]) -> Any:
        """Of a sympy expression."""
        if node.is_Symbol:
            return ["p", self._of(named[node.name])]
        if node.is_number:
            number = complex(node)
            return number if number.imag else number.real
        kind = {"Add": "add", "Mul": "mul", "Pow": "pow", "Abs": "abs"}.get(
            type(node).__name__, type(node).__name__.lower()
        )
        if kind not in OPERATIONS:
            raise TypeError(f"an expression with {type(node).__name__} has no form here")
        arguments = [self._tree(each, named) for each in node.args]
        while len(arguments) > 2:
            arguments = [*_pairs(kind, arguments)]
        return [kind, *arguments]


def _pairs(kind: str, arguments: Sequence[Any]) -> list[Any]:
    """Half as many arguments, so that a long sum is a shallow tree."""
    pairs = [[kind, a, b] for a, b in zip(arguments[::2], arguments[1::2], strict=False)]
    return [*pairs, *arguments[len(pairs) * 2 :]]


class ParameterReader:
    """Rebuilds numbers and expressions over a table of parameters. Raises `ValueError` for anything else."""

    def __init__(self, table: Any) -> None:
        need(type(table) is list and len(table) <= LONGEST_VECTOR, "no table of parameters")
        self._vectors: dict[tuple[str, int, int], ParameterVector] = {}
        self.parameters = [self._parameter(row) for row in table]

    def rebuild(self, flat: Any, depth: int = 0) -> Any:
        """A number, a Parameter or a ParameterExpression."""
        if type(flat) in (int, float, complex):
            return finite(flat, "a parameter")
        need(depth <= DEEPEST, f"an expression is deeper than {DEEPEST}")
        need(type(flat) is list and len(flat) > 1 and type(flat[0]) is str, "no expression")
        kind, *rest = flat
        if kind == "p" and len(rest) == 1:
            return self._at(rest[0])
        if kind == "+" and len(rest) == 2:
            return self._linear(*rest)
        need(kind in OPERATIONS and OPERATIONS[kind][0] == len(rest), "no operation of an expression")
        arguments = [self.rebuild(each, depth + 1) for each in rest]
        if not any(isinstance(each, ParameterExpression) for each in arguments):
            raise ValueError("an expression without parameters")
        return OPERATIONS[kind][1](*arguments)

    def real(self, flat: Any) -> Any:
        """As `rebuild`; a number is real, as a float or an int."""
        value = self.rebuild(flat)
        need(type(value) is not complex, "a complex parameter")
        return value

    def _linear(self, terms: Any, rest: Any) -> Any:
        need(type(terms) is list and 0 < len(terms) <= MOST_TERMS, "no sum")
        total: Any = None
        for term in terms:
            need(type(term) is list and len(term) == 2, "no term")
            slope, parameter = finite(term[0], "a slope"), self._at(term[1])
            part = parameter if slope == 1 else slope * parameter
            total = part if total is None else total + part
        finite(rest, "a constant")
        return total + rest if rest else total

    def _at(self, index: Any) -> Parameter:
        need(type(index) is int and 0 <= index < len(self.parameters), "no parameter of the table")
        return self.parameters[index]

    def _parameter(self, row: Any) -> Parameter:
        need(type(row) is list and len(row) in (2, 4), "no parameter")
        name = text(row[0], "a parameter's name")
        need(type(row[1]) is bytes and len(row[1]) == 16, "no identity of a parameter")
        identity = UUID(bytes=row[1])
        if len(row) == 2:
            return Parameter(name, uuid=identity)
        length, index = row[2:]
        need(type(length) is int and 0 < length <= LONGEST_VECTOR, "no length of a vector")
        need(type(index) is int and 0 <= index < length, "no index of a vector")
        root = identity.int - index
        need(0 <= root < 2**128 - LONGEST_VECTOR, "no identity of a vector")
        key = (name, length, root)
        if key not in self._vectors:
            need(sum(map(len, self._vectors.values())) + length <= 4 * LONGEST_VECTOR, "vectors are too long")
            self._vectors[key] = _vector(*key)
        return self._vectors[key][index]


def _vector(name: str, length: int, root: int) -> ParameterVector:
    """A vector whose elements have the identities that follow `root`."""
    try:
        return ParameterVector(name, length, uuid=UUID(int=root))
    except TypeError:  # Qiskit before it took an identity
        vector = ParameterVector(name, length)
        vector._params = [ParameterVectorElement(vector, i, uuid=UUID(int=root + i)) for i in range(length)]
        return vector
