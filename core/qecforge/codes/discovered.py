"""What a search hands over when it has found a code, and the check of its encoding circuit."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from qecforge.codes.stabilizer_code import StabilizerCode
from qecforge.errors import CodeError

__all__ = [
    "DiscoveredCode",
    "JsonScalar",
]

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
