"""Any parametrised circuit of qiskit, as a layer's, and as the rotations and CZs that the exact simulation takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from qecforge.errors import ConfigurationError
from qecforge_td3.quantum._batches import GATES
from qecforge_td3.quantum.circuits import TWO_TERMS, Circuit, ShiftRule
from qecforge_td3.quantum.kernels import Batch

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.circuit import Parameter

__all__ = ["QiskitCircuit", "as_circuit"]

Array = NDArray[Any]


class QiskitCircuit:
    """Any circuit of qiskit with parameters and measurements.

    A layer takes one tensor (B, parameters), in the order of `parameters`, and gives the circuit's classical bits, bit
    0 first. The exact simulation, and the shift rule, take it as rotations RX, RY, RZ and CZs (qiskit's transpiler
    makes them), each angle of which is a sum of multiples of the parameters.

    Args:
        circuit: Not changed. Its measurements come last.
        parameters: Their order; None for qiskit's, `circuit.parameters`.

    Raises:
        ConfigurationError: No parameters, or others than the circuit has; no measurements.
    """

    pairs = 0

    def __init__(self, circuit: QuantumCircuit, parameters: Sequence[Parameter] | None = None) -> None:
        self.circuit = circuit
        if not circuit.parameters:
            raise ConfigurationError(
                f"{self}: has no parameters, which are a layer's inputs: give it some (`Parameter`)"
            )
        if not any(each.operation.name == "measure" for each in circuit.data):
            raise ConfigurationError(f"{self}: measures nothing: add `measure_all()`, or measure the qubits to be read")
        self.parameters = list(circuit.parameters if parameters is None else parameters)
        if set(self.parameters) != set(circuit.parameters) or len(self.parameters) != len(circuit.parameters):
            raise ConfigurationError(
                f"{self}: got the parameters {[each.name for each in self.parameters]}, expected in some order "
                f"{[each.name for each in circuit.parameters]}"
            )

    def __str__(self) -> str:
        return f"circuit {self.circuit.name!r}"

    @property
    def angles(self) -> int:
        """The parameters."""
        return len(self.parameters)

    @property
    def qubits(self) -> int:
        """Its qubits."""
        return cast(int, self.circuit.num_qubits)

    @property
    def bits(self) -> int:
        """Its classical bits."""
        return cast(int, self.circuit.num_clbits)

    @cached_property
    def compiled(self) -> _Compiled:
        """It as rotations and CZs.

        Raises:
            ConfigurationError: Something that is neither; an angle that is no sum of multiples of parameters.
        """
        return _compile(self)

    def batch(self, inputs: Array, pairs: Array | None) -> Batch:
        """See `Circuit`."""
        if pairs is not None or inputs.ndim != 2 or inputs.shape[1] != self.angles:
            raise ConfigurationError(
                f"{self}: got inputs of shape {inputs.shape}{'' if pairs is None else ' and pairs'}, expected "
                f"(B, {self.angles}), a column for each of its parameters"
            )
        return self.batch_of_rotations(self.rotations(inputs), None)

    def read(self, qubits: Array) -> Array:
        """The measured ones, in the order of the classical bits; a bit that nothing is written to is 0."""
        measured = self.compiled.measured
        found = qubits[..., np.maximum(measured, 0)]
        found[..., measured < 0] = 0
        return found

    def spread(self, cotangent: Array) -> Array:
        """The transpose of `read`."""
        out = np.zeros((len(cotangent), self.qubits), cotangent.dtype)
        for bit, qubit in enumerate(self.compiled.measured):
            if qubit >= 0:
                out[:, qubit] += cotangent[:, bit]
        return out

    def rotations(self, inputs: Array) -> Array:
        """The angles of its rotations, (B, G) float32."""
        found = inputs.astype(np.float64) @ self.compiled.slopes.T + self.compiled.offsets
        return found.astype(np.float32)

    def by_inputs(self, gradient: Array) -> Array:
        """The chain rule."""
        found = gradient.astype(np.float64) @ self.compiled.slopes
        return found.astype(np.float32)

    @property
    def shift_rules(self) -> Sequence[tuple[int, ShiftRule]]:
        """Two circuits for each rotation with a parameter."""
        return [(int(at), TWO_TERMS) for at in np.flatnonzero(self.compiled.slopes.any(1))]

    def batch_of_rotations(self, rotations: Array, pairs: Array | None) -> Batch:
        """See `Circuit`."""
        it = self.compiled
        return Batch(rotations, it.pairs, self.qubits, it.layers, GATES, it.gates)

    def template(self, pairs: Array | None, *, rotations: bool = False) -> tuple[QuantumCircuit, list[Parameter]]:
        """The circuit as it is; or as rotations and CZs with an angle for each rotation."""
        if not rotations:
            return self.circuit, self.parameters
        return self.compiled.template()


@dataclass(frozen=True)
class _Compiled:
    """Rotations and CZs: `gates` (G, 3) as in `_rotations.accumulate_gates`, `pairs` (1, M, 2), angles
    `inputs @ slopes.T + offsets`, and the qubit that each bit is measured from."""

    gates: NDArray[np.int64]
    pairs: NDArray[np.int64]
    slopes: NDArray[np.float64]
    offsets: NDArray[np.float64]
    measured: NDArray[np.int64]
    qubits: int

    @property
    def layers(self) -> int:
        return int(self.pairs.shape[1]) + 1

    def template(self) -> tuple[QuantumCircuit, list[Parameter]]:
        from qiskit import QuantumCircuit
        from qiskit.circuit import ParameterVector

        angles = ParameterVector("angle", len(self.gates))
        circuit = QuantumCircuit(self.qubits, len(self.measured))
        bounds = np.searchsorted(self.gates[:, 0], range(self.layers + 1)).tolist()
        for layer, (start, stop) in enumerate(pairwise(bounds)):
            for g in range(start, stop):
                (circuit.rx, circuit.ry, circuit.rz)[self.gates[g, 2] - 1](angles[g], int(self.gates[g, 1]))
            if layer < self.layers - 1:
                circuit.cz(*self.pairs[0, layer].tolist())
        for bit, qubit in enumerate(self.measured.tolist()):
            if qubit >= 0:
                circuit.measure(qubit, bit)
        return circuit, list(angles)


AXES = {"rx": 1, "ry": 2, "rz": 3}


def _compile(of: QiskitCircuit) -> _Compiled:
    from qiskit import transpile
    from qiskit.transpiler.exceptions import TranspilerError

    measured = np.full(of.bits, -1, np.int64)
    bare = of.circuit.copy_empty_like()
    done = set()
    for each in of.circuit.data:
        qubits = [of.circuit.find_bit(qubit).index for qubit in each.qubits]
        if each.operation.name == "measure":
            measured[of.circuit.find_bit(each.clbits[0]).index] = qubits[0]
            done.add(qubits[0])
        elif each.operation.name != "barrier":
            if done & set(qubits):
                raise _not_exact(of, f"{each.operation.name} acts on a qubit that was measured")
            if each.clbits or each.operation.name == "reset":
                raise _not_exact(of, f"{each.operation.name} is no gate")
            bare.append(each)
    try:
        bare = transpile(bare, basis_gates=[*AXES, "cz"], optimization_level=1)
    except TranspilerError as error:
        raise _not_exact(of, f"it cannot be written as rotations and CZs ({error.message})") from error
    gates, pairs, slopes, offsets = [], [], [], []
    for each in bare.data:
        qubits = [bare.find_bit(qubit).index for qubit in each.qubits]
        if each.operation.name == "cz":
            pairs.append(qubits)
        else:
            gates.append([len(pairs), qubits[0], AXES[each.operation.name]])
            slope, offset = _linear(of, each.operation.params[0])
            slopes.append(slope)
            offsets.append(offset)
    while pairs and not any(layer == len(pairs) for layer, _, _ in gates):
        pairs.pop()  # followed by measurements alone, which it does not change
    return _Compiled(
        np.array(gates, np.int64).reshape(-1, 3),
        np.array(pairs, np.int64).reshape(1, -1, 2),
        np.array(slopes, np.float64).reshape(-1, of.angles),
        np.array(offsets, np.float64),
        measured,
        of.qubits,
    )


def _linear(of: QiskitCircuit, angle: Any) -> tuple[list[float], float]:
    """Multiples of the parameters, and what is added to them."""
    used: set[Parameter] = getattr(angle, "parameters", set())
    if not used:
        return [0.0] * of.angles, float(angle)
    slopes = {each: angle.gradient(each) for each in used}
    if not all(isinstance(slope, int | float) for slope in slopes.values()):
        raise _not_exact(of, f"the angle {angle} is no sum of multiples of parameters")
    offset = float(angle.bind(dict.fromkeys(used, 0.0)))
    return [float(slopes.get(each, 0.0)) for each in of.parameters], offset


def _not_exact(of: QiskitCircuit, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{of}: {why}: expected gates and final measurements; choose the backend `aer` or a sampler, and the gradient "
        "`spsa` or `tangential`"
    )


def as_circuit(circuit: Circuit | QuantumCircuit) -> Circuit:
    """A circuit of ours as it is; one of qiskit wrapped.

    Raises:
        ConfigurationError: It is neither, or `QiskitCircuit` refuses it.
    """
    if hasattr(circuit, "batch_of_rotations") and not isinstance(circuit, type):
        return cast(Circuit, circuit)
    if hasattr(circuit, "num_clbits") and hasattr(circuit, "data"):
        return QiskitCircuit(cast(Any, circuit))
    raise ConfigurationError(
        f"circuit: got {type(circuit).__name__}, expected a PaperCircuit or a parametrised QuantumCircuit of qiskit"
    )
