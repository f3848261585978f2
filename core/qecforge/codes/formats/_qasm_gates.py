"""Gates of OpenQASM as gates of stim, and the angles that make a rotation a Clifford gate."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence

from qecforge.errors import CodeError, one_line

__all__ = ["KNOWN_GATES", "angle", "gates_of"]

_PLAIN = {
    "id": "I", "x": "X", "y": "Y", "z": "Z", "h": "H", "s": "S", "sdg": "S_DAG", "sx": "SQRT_X", "sxdg": "SQRT_X_DAG",
    "cx": "CX", "CX": "CX", "cnot": "CX", "cy": "CY", "cz": "CZ", "swap": "SWAP", "iswap": "ISWAP",
}  # fmt: skip
_COMPOSED = {  # (gate of stim, operands)
    "dcx": (("CX", (0, 1)), ("CX", (1, 0))),
    "ecr": (("S", (0,)), ("SQRT_X", (1,)), ("CX", (0, 1)), ("X", (0,))),
}
# Rotations by 0, 1, 2 and 3 quarter turns, up to a global phase.
_TURNS = {
    "rx": ("I", "SQRT_X", "X", "SQRT_X_DAG"),
    "ry": ("I", "SQRT_Y", "Y", "SQRT_Y_DAG"),
    "rz": ("I", "S", "Z", "S_DAG"),
    "rxx": ("II", "SQRT_XX", "XX", "SQRT_XX_DAG"),
    "ryy": ("II", "SQRT_YY", "YY", "SQRT_YY_DAG"),
    "rzz": ("II", "SQRT_ZZ", "ZZ", "SQRT_ZZ_DAG"),
}
_PHASES = {"p", "u1", "phase"}
_UNIVERSAL = {"u": 3, "U": 3, "u3": 3, "u2": 2}

KNOWN_GATES = tuple(sorted({*_PLAIN, *_COMPOSED, *_TURNS, *_PHASES, *_UNIVERSAL} - {"CX", "U"}))
"""What an encoder may call without a definition; rotations by multiples of pi/2."""

_OPERATORS: Mapping[type[ast.AST], Callable[..., float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.USub: operator.neg, ast.UAdd: operator.pos,
}  # fmt: skip
_CONSTANTS = {"pi": math.pi, "π": math.pi, "tau": 2 * math.pi}


def gates_of(name: str, angles: Sequence[float]) -> tuple[tuple[str, tuple[int, ...]], ...] | None:
    """(gate of stim, operands) for each step of a known gate, or None for one that is not known.

    Raises:
        CodeError: an angle that is no multiple of pi/2, or another number of angles.
    """
    if name in _PLAIN or name in _COMPOSED:
        _require_angles(name, angles, 0)
        plain = _PLAIN.get(name)
        return _COMPOSED[name] if plain is None else ((plain, (0, 1) if plain in _PAIRS else (0,)),)
    if name in _TURNS or name in _PHASES:
        _require_angles(name, angles, 1)
        turned = _TURNS["rz" if name in _PHASES else name][_quarter_turns(angles[0])]
        if len(turned) == 2 and name in ("rxx", "ryy", "rzz"):  # a Pauli on each
            return ((turned[0], (0,)), (turned[1], (1,)))
        return ((turned, (0, 1) if name in ("rxx", "ryy", "rzz") else (0,)),)
    if name in _UNIVERSAL:
        _require_angles(name, angles, _UNIVERSAL[name])
        theta, phi, lam = angles if len(angles) == 3 else (math.pi / 2, *angles)
        steps = (("rz", lam), ("ry", theta), ("rz", phi))
        return tuple((_TURNS[axis][_quarter_turns(value)], (0,)) for axis, value in steps)
    return None


_PAIRS = {"CX", "CY", "CZ", "SWAP", "ISWAP"}


def _require_angles(name: str, angles: Sequence[float], count: int) -> None:
    if len(angles) != count:
        raise CodeError(f"{name} with {len(angles)} angle(s); expected {count}")


def _quarter_turns(value: float) -> int:
    turns = value / (math.pi / 2)
    if not math.isfinite(turns) or abs(turns - round(turns)) > 1e-9 * max(1.0, abs(turns)):
        raise CodeError(f"a rotation by {value:.6g} is not a Clifford gate; expected a multiple of pi/2")
    return round(turns) % 4


def angle(text: str, parameters: Mapping[str, float]) -> float:
    """The value of an angle such as `-3*pi/2`. Raises `CodeError` for anything but sums and products of numbers."""
    try:
        value = _value(ast.parse(text.strip(), mode="eval").body, parameters)
    except (SyntaxError, ValueError, RecursionError, MemoryError, ZeroDivisionError, OverflowError) as error:
        if isinstance(error, CodeError):
            raise
        raise CodeError(f"angle {one_line(text, 40)!r} cannot be read; expected one such as -pi/2") from error
    return value


def _value(node: ast.AST, parameters: Mapping[str, float]) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value)
    if isinstance(node, ast.Name):
        known = {**_CONSTANTS, **parameters}
        if node.id in known:
            return known[node.id]
        raise CodeError(f"angle {one_line(node.id, 20)!r} is no number; expected pi or a parameter of the gate")
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.left, parameters), _value(node.right, parameters))
    if isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.operand, parameters))
    raise ValueError("not a sum or product of numbers")
