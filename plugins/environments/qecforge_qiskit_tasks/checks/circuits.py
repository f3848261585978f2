"""Checks of circuits, states and operators."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from qiskit.circuit import QuantumCircuit
from qiskit.quantum_info import DensityMatrix, Operator, Statevector, state_fidelity

__all__ = [
    "at_most",
    "close",
    "counts_near",
    "fidelity_under_noise",
    "fits_target",
    "is_circuit",
    "same_state",
    "same_unitary",
    "two_qubit_gates",
]

TOLERANCE = 1e-7
MOST_QUBITS = 20
"""Of a circuit whose state or unitary (half as many) is computed."""


def is_circuit(value: Any, *, qubits: int | None = None, clbits: int | None = None) -> QuantumCircuit:
    """The value, where it is a circuit of so many bits."""
    assert isinstance(value, QuantumCircuit), f"expected a QuantumCircuit, got {type(value).__name__}"
    if qubits is not None:
        assert value.num_qubits == qubits, f"the circuit has {value.num_qubits} qubits, expected {qubits}"
    if clbits is not None:
        assert value.num_clbits == clbits, f"the circuit has {value.num_clbits} classical bits, expected {clbits}"
    return value


def close(value: Any, expected: ArrayLike, *, tolerance: float = TOLERANCE, what: str = "the value") -> None:
    """A number or numbers within a distance of the expected ones; NaN never is."""
    assert isinstance(value, (int, float, complex, list, tuple, np.ndarray)), f"{what} is {type(value).__name__}"
    try:
        found = np.asarray(value, complex)
    except (TypeError, ValueError):
        raise AssertionError(f"{what} holds what is no number") from None
    wanted = np.asarray(expected, complex)
    assert found.shape == wanted.shape, f"{what} has shape {found.shape}, expected {wanted.shape}"
    assert bool(np.isfinite(found).all()), f"{what} is not finite"
    worst = float(np.abs(found - wanted).max(initial=0.0))
    assert worst <= tolerance, f"{what} is off by {worst:.3g}, more than {tolerance:g}"


def same_state(value: Any, expected: Any, *, tolerance: float = TOLERANCE) -> None:
    """A circuit (from |0...0>, measurements at its end left out), Statevector, DensityMatrix or array of amplitudes is
    the expected state, of any of these kinds, up to a global phase."""
    found, wanted = _state(value), _state(expected)
    assert found.dim == wanted.dim, f"a state of {found.dim} dimensions, expected {wanted.dim}"
    weight = found.trace().real if isinstance(found, DensityMatrix) else float(np.linalg.norm(found.data)) ** 2
    assert abs(weight - 1) <= 1e-6, f"the state is not normalised: {weight:.6g}"
    fidelity = float(state_fidelity(found, wanted, validate=False))
    assert abs(1 - fidelity) <= tolerance, f"the fidelity with the expected state is {fidelity:.6g}, expected 1"


def same_unitary(value: Any, expected: Any, *, tolerance: float = TOLERANCE, exact_phase: bool = False) -> None:
    """A circuit, Operator or matrix is the expected one, up to a global phase unless `exact_phase`. A layout that a
    transpiler left is taken into account."""
    found, wanted = _matrix(value), _matrix(expected)
    assert found.shape == wanted.shape, f"an operator of shape {found.shape}, expected {wanted.shape}"
    if not exact_phase:
        overlap = np.vdot(wanted, found)
        assert abs(overlap) > 1e-12, "the operator is orthogonal to the expected one"
        found = found * (np.conj(overlap) / abs(overlap))
    worst = float(np.abs(found - wanted).max())
    assert worst <= max(tolerance, 1e-12) * 10, f"an entry of the operator is off by {worst:.3g}"


def two_qubit_gates(circuit: QuantumCircuit) -> int:
    """How many operations on two or more qubits there are, barriers left out; a gate with a definition counts as
    what it is made of."""
    return sum(len(each.qubits) >= 2 and each.operation.name != "barrier" for each in _flat(circuit).data)


def at_most(
    circuit: Any, *, depth: int | None = None, two_qubit_gates: int | None = None, gates: int | None = None
) -> None:
    """Bounds on depth, on gates of two or more qubits, and on all gates; barriers never count, and a gate with a
    definition of its own counts as what it is made of."""
    flat = _flat(is_circuit(circuit))
    counted = [each for each in flat.data if each.operation.name != "barrier"]
    several = sum(len(each.qubits) >= 2 for each in counted)
    found_depth = flat.depth(lambda each: each.operation.name != "barrier")
    for name, found, most in (
        ("the depth", found_depth, depth),
        ("the number of gates on two or more qubits", several, two_qubit_gates),
        ("the number of gates", len(counted), gates),
    ):
        assert most is None or found <= most, f"{name} is {found}, expected at most {most}"


def fits_target(circuit: Any, target: Any) -> None:
    """Every operation is one that a `Target` (of `GenericBackendV2`, say) has on these qubits, in this direction."""
    is_circuit(circuit)
    assert target.num_qubits is None or circuit.num_qubits <= target.num_qubits, (
        f"the circuit has {circuit.num_qubits} qubits, the target {target.num_qubits}"
    )
    for each in circuit.data:
        name = each.operation.name
        if name == "barrier":
            continue
        qubits = tuple(circuit.find_bit(bit).index for bit in each.qubits)
        assert target.instruction_supported(name, qubits), f"the target has no {name} on qubits {list(qubits)}"


def counts_near(counts: Any, expected: Any, *, tolerance: float = 0.1, shots: int | None = None) -> None:
    """Counts (or a distribution) whose total variation distance to the expected distribution is small."""
    assert isinstance(counts, dict), f"expected counts as a dict, got {type(counts).__name__}"
    assert all(isinstance(name, str) and isinstance(n, (int, float)) and n >= 0 for name, n in counts.items()), (
        "counts are texts of bits and numbers that are not negative"
    )
    total = sum(counts.values())
    assert total > 0, "there are no counts"
    assert shots is None or total == shots, f"there are {total} shots, expected {shots}"
    whole = sum(expected.values())
    names = set(counts) | set(expected)
    distance = sum(abs(counts.get(each, 0) / total - expected.get(each, 0) / whole) for each in names) / 2
    assert distance <= tolerance, f"the distribution is off by {distance:.3g}, expected at most {tolerance:g}"


def fidelity_under_noise(circuit: Any, backend: Any, expected: Any, *, at_least: float) -> None:
    """The fidelity of what a circuit leaves under a backend's noise with the expected pure state, by a simulation of
    density matrices. Measurements at the end are left out; a layout that a transpiler left is taken into account.

    Args:
        backend: Such as `GenericBackendV2(5, seed=1)`, with its errors and durations.
        expected: The state of the circuit's own qubits; see `same_state`.
        at_least: 0..1.
    """
    from qiskit_aer import AerSimulator

    is_circuit(circuit)
    assert circuit.num_qubits <= 12, f"{circuit.num_qubits} qubits are too many for a density matrix"
    bare = circuit.remove_final_measurements(inplace=False)
    bare.save_density_matrix()
    simulator = AerSimulator.from_backend(backend, method="density_matrix")
    noisy = simulator.run(bare, shots=1).result()
    assert noisy.success, f"it cannot be simulated: {str(noisy.status)[:200]}"
    wanted = _state(expected)
    found = _own_qubits(noisy.data(0)["density_matrix"], circuit, wanted.num_qubits)
    fidelity = float(state_fidelity(found, wanted, validate=False))
    assert fidelity >= at_least, f"the fidelity under noise is {fidelity:.4f}, expected at least {at_least}"


def _own_qubits(state: DensityMatrix, circuit: QuantumCircuit, number: int) -> DensityMatrix:
    """The state of the first `number` qubits of the circuit before its transpilation."""
    from qiskit.quantum_info import partial_trace

    layout = circuit.layout
    kept = list(range(number)) if layout is None else list(layout.final_index_layout(filter_ancillas=True))[:number]
    assert len(kept) == number, f"the circuit has {len(kept)} qubits of its own, expected {number}"
    others = [each for each in range(circuit.num_qubits) if each not in kept]
    reduced = partial_trace(state, others) if others else state
    ranked = sorted(kept)
    order = [ranked.index(each) for each in kept]
    axes = [number - 1 - order[number - 1 - axis] for axis in range(number)]
    tensor = np.asarray(reduced.data).reshape((2,) * (2 * number))
    moved = tensor.transpose([*axes, *(number + each for each in axes)])
    return DensityMatrix(moved.reshape(2**number, 2**number))


def _state(value: Any) -> Statevector | DensityMatrix:
    if isinstance(value, (Statevector, DensityMatrix)):
        return value
    if isinstance(value, QuantumCircuit):
        assert value.num_qubits <= MOST_QUBITS, f"{value.num_qubits} qubits are too many for a state"
        try:
            return Statevector(value.remove_final_measurements(inplace=False))
        except Exception as error:
            raise AssertionError(f"the circuit gives no pure state: {error}") from None
    try:
        amplitudes = np.asarray(value, complex)
    except (TypeError, ValueError):
        raise AssertionError(f"expected a state, got {type(value).__name__}") from None
    assert amplitudes.ndim == 1, f"expected amplitudes, got shape {amplitudes.shape}"
    assert bool(np.isfinite(amplitudes).all()), "amplitudes are not finite"
    return Statevector(amplitudes)


def _matrix(value: Any) -> Any:
    if isinstance(value, Operator):
        return np.asarray(value.data)
    if isinstance(value, QuantumCircuit):
        assert value.num_qubits <= MOST_QUBITS // 2, f"{value.num_qubits} qubits are too many for a matrix"
        try:
            return np.asarray((Operator.from_circuit(value) if value.layout is not None else Operator(value)).data)
        except Exception as error:
            raise AssertionError(f"the circuit is no unitary: {error}") from None
    try:
        matrix = np.asarray(value, complex)
    except (TypeError, ValueError):
        raise AssertionError(f"expected an operator, got {type(value).__name__}") from None
    assert matrix.ndim == 2, f"expected a matrix, got shape {matrix.shape}"
    assert bool(np.isfinite(matrix).all()), "entries of the matrix are not finite"
    return matrix


def _flat(circuit: QuantumCircuit) -> QuantumCircuit:
    """With gates that are none of Qiskit's standard ones replaced by their definitions."""
    from qecforge_qiskit_tasks.codec.gates import CLASSES

    for _ in range(12):
        own = {
            each.operation.name
            for each in circuit.data
            if getattr(each.operation, "base_class", None) not in CLASSES
            and each.operation.name not in ("barrier", "delay")
            and getattr(each.operation, "definition", None) is not None
        }
        if not own:
            break
        circuit = circuit.decompose(sorted(own))
    return circuit
