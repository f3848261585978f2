"""Pauli operators of stim and qiskit, told by their attributes, so that neither is imported.

qiskit writes qubit 0 as the rightmost letter of a label. Objects are read by their qubit numbers: qubit q there is
qubit q here, as for `StabilizerCode.from_qiskit`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qecforge.errors import CodeError, one_line

__all__ = ["label_from_coefficient", "labels_of"]

_SIGNS = {1: "+", -1: "-", 1j: "+i", -1j: "-i"}
_LETTERS = "IXZY"  # index x + 2 z


def labels_of(operators: Iterable[Any], what: str) -> list[Any]:
    """Strings with qubit 0 leftmost for the operators that this module knows; everything else as it is.

    Args:
        operators: Strings, `stim.PauliString`s, qiskit `Pauli`s; or a qiskit `PauliList`, `SparsePauliOp`
        (coefficients 1
            and -1 are signs) or `StabilizerState`.

    Raises:
        CodeError: one string instead of several, what cannot be iterated over, or a coefficient that is no sign.
    """
    if isinstance(operators, str | bytes):
        raise CodeError(f"{what}s: got one text {one_line(operators, 40)!r}; expected a list of Pauli strings")
    if hasattr(operators, "paulis") and hasattr(operators, "coeffs"):  # qiskit.quantum_info.SparsePauliOp
        labels = labels_of(operators.paulis, what)
        return [label_from_coefficient(*pair, what) for pair in zip(labels, operators.coeffs.tolist(), strict=True)]
    if hasattr(operators, "clifford"):  # qiskit.quantum_info.StabilizerState
        return [_reversed(label) for label in operators.clifford.to_labels(mode="S")]
    try:
        listed = list(operators)  # a PauliList has no __iter__
    except TypeError as error:
        raise CodeError(f"{what}s: got {type(operators).__name__}; expected a list of Pauli strings") from error
    return [_label(operator) for operator in listed]


def label_from_coefficient(label: str, coefficient: complex, what: str = "stabilizer") -> str:
    """The label with a coefficient 1 or -1 as its sign; i and -i as the phase that readers refuse."""
    sign = _SIGNS.get(coefficient)
    if sign is None or not label.lstrip("+-").startswith(tuple("IXYZ_")):
        raise CodeError(
            f"{what} {one_line(label, 40)}: its coefficient is {coefficient}; expected 1 or -1, the sign of a "
            "stabilizer"
        )
    if label.startswith("-"):
        sign = _SIGNS[-coefficient]
    return sign + label.lstrip("+-")


def _label(operator: Any) -> Any:
    if isinstance(operator, str) or not hasattr(operator, "__len__"):
        return operator
    if hasattr(operator, "sign") and hasattr(operator, "to_numpy"):  # stim.PauliString
        xs, zs = operator.to_numpy()
        return _SIGNS[complex(operator.sign)] + _letters(xs, zs)
    if all(hasattr(operator, name) for name in ("x", "z", "phase", "to_label")):  # qiskit.quantum_info.Pauli
        sign = ("", "-i", "-", "i")[int(operator.phase) % 4]
        return sign + _letters(operator.x, operator.z)
    return operator


def _letters(xs: Any, zs: Any) -> str:
    return "".join(_LETTERS[int(x) + 2 * int(z)] for x, z in zip(xs, zs, strict=True))


def _reversed(label: str) -> str:
    return label[0] + label[:0:-1] if label[:1] in ("+", "-") else label[::-1]
