"""What a search hands over when it has found a code, and the check of its encoding circuit."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from qecforge.codes import _gf2, _pauli
from qecforge.codes.stabilizer_code import StabilizerCode
from qecforge.errors import CodeError

__all__ = ["DiscoveredCode", "JsonScalar", "verify_encoder"]

JsonScalar: TypeAlias = str | int | float | bool | None
_ATTRIBUTE = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class DiscoveredCode:
    """A code with the circuit that encodes it.

    Attributes:
        code: The code.
        encoder: stim circuit text: qubits 0..k-1 carry the logical input, k..n-1 start in |0>.
        gate_count: Gates of the encoder.
        two_qubit_gate_count: Those of them that act on two qubits.
        target_distance: The distance that was sought and, by the environment's account, reached. Not a proof.
        step: Environment steps taken when it was found.
        attributes: Further JSON scalars by lower-case name (read-only): a channel's bias, say.

    Raises:
        CodeError: numbers out of range or attributes that JSON cannot hold.
    """

    code: StabilizerCode
    encoder: str
    gate_count: int
    two_qubit_gate_count: int
    target_distance: int
    step: int
    attributes: Mapping[str, JsonScalar] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not 0 <= self.two_qubit_gate_count <= self.gate_count:
            raise CodeError(
                f"discovered code: {self.two_qubit_gate_count} two-qubit gates among {self.gate_count}; "
                "expected 0 <= two_qubit_gate_count <= gate_count"
            )
        if self.target_distance < 1 or self.step < 0:
            raise CodeError(
                f"discovered code: target_distance {self.target_distance}, step {self.step}; "
                "expected target_distance >= 1 and step >= 0"
            )
        for name, value in self.attributes.items():
            finite = not isinstance(value, float) or math.isfinite(value)
            if not _ATTRIBUTE.fullmatch(name) or not isinstance(value, JsonScalar | None) or not finite:
                raise CodeError(
                    f"discovered code: attribute {name!r} is {value!r}; expected a lower-case name and a JSON scalar"
                )
        object.__setattr__(self, "attributes", MappingProxyType(dict(self.attributes)))

    def __reduce__(self) -> tuple[object, ...]:
        values = (self.code, self.encoder, self.gate_count, self.two_qubit_gate_count, self.target_distance, self.step)
        return DiscoveredCode, (*values, dict(self.attributes))


def verify_encoder(code: StabilizerCode, encoder: str) -> None:
    """Check with stim that a circuit encodes `code`.

    The circuit must map Z_k..Z_{n-1} to generators of the stabilizer group (signs where the code knows them), and X_i,
    Z_i for i < k to logical operators. The second follows from the first for a Clifford circuit; it is checked all the
    same, against the stored group.

    Args:
        code: The code.
        encoder: stim circuit text on at most n qubits: Clifford gates alone.

    Raises:
        CodeError: the circuit cannot be read, is not Clifford, or encodes another code; names the first qubit whose
            image is wrong.
    """
    from qecforge.codes._circuits import tableau_of_circuit

    n, k = code.n, code.k
    tableau = tableau_of_circuit(encoder, n)
    x2x, x2z, z2x, z2z, _, z_signs = tableau.to_numpy()
    rows = _gf2.pack_rows(code.check_matrix)
    width = len(rows)
    combinations: dict[int, int] = {}
    for index, row in enumerate(rows):
        reduced = _reduce(row << width | 1 << index, width, combinations)
        combinations[reduced.bit_length()] = reduced
    for qubit in range(k, n):
        image = _gf2.pack_rows(_joined(z2x[qubit], z2z[qubit]))[0]
        reduced = _reduce(image << width, width, combinations)
        shown = _pauli.format_row(image, n)
        if reduced >> width:
            raise CodeError(
                f"encoder: it maps Z_{qubit} to {shown}, which is not in the stabilizer group; expected a circuit that "
                f"maps Z_{k}..Z_{n - 1} to the stabilizers of the [[{n},{k}]] code {code.digest[:12]}"
            )
        if code.signs is not None:
            factors = [index for index in range(width) if reduced >> index & 1]
            sign = _pauli.product_sign([rows[i] for i in factors], [bool(code.signs[i]) for i in factors], n)
            if sign != bool(z_signs[qubit]):
                raise CodeError(
                    f"encoder: it maps Z_{qubit} to {'-' if z_signs[qubit] else '+'}{shown}, whose sign in the "
                    "stabilizer group is the opposite; append the Pauli that mends the frame"
                )
    for qubit in range(k):
        for letter, image_row in (
            ("X", _joined(x2x[qubit], x2z[qubit])),
            ("Z", _joined(z2x[qubit], z2z[qubit])),
        ):
            image = _gf2.pack_rows(image_row)[0]
            commutes = not _pauli.commutator(image_row, code.check_matrix).any()
            if not commutes or not _reduce(image << width, width, combinations) >> width:
                raise CodeError(
                    f"encoder: it maps {letter}_{qubit} to {_pauli.format_row(image, n)}, which is no logical operator"
                )


def _joined(x: NDArray[np.bool_], z: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.concatenate([x, z]).astype(np.uint8)[np.newaxis]


def _reduce(row: int, width: int, pivots: Mapping[int, int]) -> int:
    """Clear the bits above `width` that pivot rows can; the low `width` bits collect which generators were used."""
    while row >> width:
        pivot = pivots.get(row.bit_length())
        if pivot is None:
            return row
        row ^= pivot
    return row
