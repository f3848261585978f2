"""What proofs and printers need of a code, so that the class imports them and not they the class."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["CodeParts", "CodeStructure"]


class CodeParts(NamedTuple):
    """What `StabilizerCode` is made from, as a reader found it; the class checks it."""

    check_matrix: NDArray[np.uint8]
    signs: NDArray[np.bool_] | None
    logical_x: NDArray[np.uint8]
    logical_z: NDArray[np.uint8]


class CodeStructure(Protocol):
    """A stabilizer code as it is read; `StabilizerCode` is one."""

    @property
    def n(self) -> int:
        """Physical qubits."""

    @property
    def k(self) -> int:
        """Logical qubits."""

    @property
    def check_matrix(self) -> NDArray[np.uint8]:
        """(n-k, 2n), row [x | z] a generator."""

    @property
    def signs(self) -> NDArray[np.bool_] | None:
        """(n-k,), True for a minus; None where they are not known."""

    @property
    def digest(self) -> str:
        """The code's identity."""

    @property
    def stabilizers(self) -> tuple[str, ...]:
        """The generators as Pauli strings, with a sign where signs are known."""

    @property
    def css(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
        """(hx, hz) of a CSS code; None for another."""

    @property
    def logical_x(self) -> NDArray[np.uint8]:
        """(k, 2n) logical X operators."""

    @property
    def logical_z(self) -> NDArray[np.uint8]:
        """(k, 2n) logical Z operators."""
