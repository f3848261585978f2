"""Circuits that a layer may hold, and the paper's family of them; those of qiskit are in `qiskit_circuits`.

All say the same of themselves: how many inputs they take and bits they give; how they are simulated exactly, as
rotations and CZs; what a shift of each angle says of the derivative; which circuit of qiskit they are, for backends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from qecforge.errors import ConfigurationError
from qecforge_td3.quantum._rotations import KINDS, LANES
from qecforge_td3.quantum.kernels import Batch, paper_batch

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.circuit import Parameter

__all__ = ["TWO_TERMS", "Circuit", "PaperCircuit", "ShiftRule"]

Array = NDArray[Any]
ShiftRule = tuple[tuple[float, float], ...]
"""Pairs of a shift of one angle and a factor: the derivative of a mean bit is the sum of factors times means."""

TWO_TERMS: ShiftRule = ((np.pi / 2, 0.5), (-np.pi / 2, -0.5))
FOUR_TERMS: ShiftRule = tuple(
    ((2 * mu - 1) * np.pi / 4, (-1) ** (mu - 1) / (8 * np.sin((2 * mu - 1) * np.pi / 8) ** 2)) for mu in range(1, 5)
)
"""For frequencies 1 and 2, such as phi of R(theta, phi): Wierichs et al. 2022, theorem 2."""


class Circuit(Protocol):
    """What a layer asks of its circuit. `inputs` are (B, A) float32, `pairs` (B, L, 2) int64 or None; arrays are not
    changed."""

    @property
    def angles(self) -> int:
        """A, the inputs of a circuit."""
        ...

    @property
    def pairs(self) -> int:
        """L, the CZs whose qubits are inputs too; 0 for a circuit that is what it is."""
        ...

    @property
    def qubits(self) -> int:
        """How many qubits it has."""
        ...

    @property
    def bits(self) -> int:
        """How many bits a measurement gives."""
        ...

    def batch(self, inputs: Array, pairs: Array | None) -> Batch:
        """The circuits for the exact simulation."""
        ...

    def read(self, qubits: Array) -> Array:
        """What is measured, of an array whose last axis is qubits."""
        ...

    def spread(self, cotangent: Array) -> Array:
        """The transpose of `read`."""
        ...

    def rotations(self, inputs: Array) -> Array:
        """The angles of all rotations that a shift rule is for, (B, G)."""
        ...

    def by_inputs(self, gradient: Array) -> Array:
        """Derivatives by the angles of `rotations`, (B, G), as derivatives by the inputs, (B, A)."""
        ...

    @property
    def shift_rules(self) -> Sequence[tuple[int, ShiftRule]]:
        """Which of the angles of `rotations` depend on inputs, and their rules."""
        ...

    def batch_of_rotations(self, rotations: Array, pairs: Array | None) -> Batch:
        """As `batch`, of angles of rotations."""
        ...

    def template(self, pairs: Array | None, *, rotations: bool = False) -> tuple[QuantumCircuit, list[Parameter]]:
        """The circuit of qiskit for the pairs (L, 2) of one row, measured, and its parameters in the order of the
        inputs, or of `rotations`."""
        ...


@dataclass(frozen=True)
class PaperCircuit:
    """The circuit of the hybrid TD3 paper: L layers, each a rotation of every qubit and one CZ, or none.

    A layer takes angles (B, L * n * 2), in the order layer, qubit, theta before phi, and pairs (B, L, 2).

    Attributes:
        qubits: n, at most 16.
        layers: L.
        rotation: "r" for R(theta, phi), qiskit's `RGate`, or "ry_rz" for RY(theta) and then RZ(phi).

    Raises:
        ConfigurationError: A number out of range, an unknown rotation.

    Source: Luo et al. 2025, section 3; the two angles of a rotation are ours.
    """

    qubits: int = 10
    layers: int = 10
    rotation: str = "r"

    def __post_init__(self) -> None:
        if not 1 <= self.qubits <= LANES:
            raise ConfigurationError(f"circuit: got {self.qubits} qubits, expected 1 to {LANES}")
        if self.layers < 1:
            raise ConfigurationError(f"circuit: got {self.layers} layers, expected at least 1")
        if self.rotation not in KINDS:
            raise ConfigurationError(f"circuit: got rotation {self.rotation!r}, expected one of {', '.join(KINDS)}")

    @property
    def angles(self) -> int:
        """L * n * 2."""
        return self.layers * self.qubits * 2

    @property
    def pairs(self) -> int:
        """L."""
        return self.layers

    @property
    def bits(self) -> int:
        """N."""
        return self.qubits

    @property
    def inputs(self) -> int:
        """Numbers that name one circuit: angles, then the two qubits of each CZ."""
        return self.angles + 2 * self.layers

    def batch(self, inputs: Array, pairs: Array | None) -> Batch:
        """See `Circuit`."""
        if pairs is None or pairs.shape != (len(inputs), self.layers, 2) or inputs.shape[1] != self.angles:
            got = None if pairs is None else pairs.shape
            raise ConfigurationError(
                f"{self}: got angles of shape {inputs.shape} and pairs of shape {got}, expected (B, {self.angles}) and "
                f"(B, {self.layers}, 2)"
            )
        return paper_batch(inputs, pairs, self.rotation)

    def read(self, qubits: Array) -> Array:
        """All of them."""
        return qubits

    def spread(self, cotangent: Array) -> Array:
        """The same."""
        return cotangent

    def rotations(self, inputs: Array) -> Array:
        """The inputs themselves."""
        return inputs

    def by_inputs(self, gradient: Array) -> Array:
        """The same."""
        return gradient

    @property
    def shift_rules(self) -> Sequence[tuple[int, ShiftRule]]:
        """Six circuits for the two angles of R(theta, phi), four for those of RY and RZ."""
        second = FOUR_TERMS if self.rotation == "r" else TWO_TERMS
        return [(at, second if at % 2 else TWO_TERMS) for at in range(self.angles)]

    def batch_of_rotations(self, rotations: Array, pairs: Array | None) -> Batch:
        """The same as `batch`."""
        return self.batch(rotations, pairs)

    def template(self, pairs: Array | None, *, rotations: bool = False) -> tuple[QuantumCircuit, list[Parameter]]:
        """See `Circuit`."""
        from qiskit import QuantumCircuit
        from qiskit.circuit import ParameterVector

        if pairs is None:
            raise ConfigurationError(f"{self}: pairs are missing: give the qubits of each CZ, ({self.layers}, 2)")
        angles = ParameterVector("angle", self.angles)
        circuit = QuantumCircuit(self.qubits, self.qubits)
        at = iter(angles)
        for first, second in pairs:
            for qubit in range(self.qubits):
                if self.rotation == "r":
                    circuit.r(next(at), next(at), qubit)
                else:
                    circuit.ry(next(at), qubit)
                    circuit.rz(next(at), qubit)
            if first != second:
                circuit.cz(int(first), int(second))
        circuit.measure(range(self.qubits), range(self.qubits))
        return circuit, list(angles)
