"""Codes from and to encoding circuits: stim tableaus, stim circuits, qiskit circuits.

Everywhere: qubits 0..k-1 carry the logical input, qubits k..n-1 start in |0>, so Z_k..Z_{n-1} become the stabilizers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qecforge.codes import _gf2, _pauli
from qecforge.codes._numbers import as_integer
from qecforge.codes._structure import CodeParts, CodeStructure
from qecforge.errors import CodeError, one_line

if TYPE_CHECKING:
    import qiskit
    import stim

__all__ = [
    "code_of_qiskit",
    "code_of_tableau",
    "encoding_circuit",
    "encoding_tableau",
    "gates_of_encoder",
    "parsed_circuit",
    "qiskit_encoder",
    "signs_of_encoder",
    "tableau_of_circuit",
    "verify_encoder",
]

_MAX_QUBITS = 2000
_MAX_OPERATIONS = 10_000_000  # counted by their targets


def code_of_tableau(tableau: stim.Tableau, k: int) -> CodeParts:
    """See `StabilizerCode.from_stim_tableau`."""
    n = len(tableau)
    k = as_integer(k, "k")
    _require_k(k, n)
    x2x, x2z, z2x, z2z, _, z_signs = tableau.to_numpy()
    x_images = np.hstack([x2x, x2z]).astype(np.uint8)
    z_images = np.hstack([z2x, z2z]).astype(np.uint8)
    return CodeParts(z_images[k:], z_signs[k:], x_images[:k], z_images[:k])


def parsed_circuit(text: str) -> stim.Circuit:
    """Stim's reading of a circuit text. Raises `CodeError` where it cannot be read."""
    import stim

    try:
        return stim.Circuit(text + "\n")  # stim 1.16 never returns from a tag that the end of the text cuts off
    except (ValueError, IndexError) as error:
        raise CodeError(f"encoder: stim cannot read this circuit ({_reason(error)})") from error


def tableau_of_circuit(circuit: stim.Circuit | str, n: int | None = None, k: int | None = None) -> stim.Tableau:
    """The circuit's Clifford on n qubits (its own count by default).

    Where k is given, qubits k..n-1 may be reset before anything acts on them: they start in |0> anyway, and a reset
    into another basis is the gate that turns |0> into its state.

    Raises:
        CodeError: text that stim cannot read, an operation that is not a Clifford gate, more than n qubits, or a
            circuit too large to be an encoder.
    """
    if isinstance(circuit, str):
        circuit = parsed_circuit(circuit)
    count = circuit.num_qubits if n is None else n
    if count < 1 or circuit.num_qubits > count:
        raise CodeError(f"encoder: the circuit acts on {circuit.num_qubits} qubits; expected 1 to {max(count, 1)}")
    if count > _MAX_QUBITS or _operations(circuit) > _MAX_OPERATIONS:
        raise CodeError(
            f"encoder: {count} qubits, {_operations(circuit)} operations; expected at most {_MAX_QUBITS} and "
            f"{_MAX_OPERATIONS}"
        )
    # An identity on the last qubit makes the tableau as wide as the code.
    padded = circuit.copy() if k is None else _without_fresh_resets(circuit, k)
    padded.append("I", [count - 1])
    try:
        return padded.to_tableau()
    except ValueError as error:
        raise CodeError(
            f"encoder: not a Clifford circuit ({_reason(error)}); leave out noise, measurements and resets of used "
            "qubits"
        ) from error


_RESETS = {"R": "I", "RX": "H", "RY": "H_YZ"}  # what takes |0> to the state of the reset


def _without_fresh_resets(circuit: stim.Circuit, k: int) -> stim.Circuit:
    import stim

    if not any(instruction.name in _RESETS for instruction in circuit):
        return circuit.copy()
    made = stim.Circuit()
    used: set[int] = set()
    for instruction in circuit:
        if isinstance(instruction, stim.CircuitRepeatBlock) or instruction.name not in _RESETS:
            body = instruction.body_copy() if isinstance(instruction, stim.CircuitRepeatBlock) else [instruction]
            used |= _acted_on(body)
            made.append(instruction)
            continue
        for target in instruction.targets_copy():
            if target.value < k:
                raise CodeError(
                    f"encoder: {instruction.name} resets qubit {target.value}, which carries the logical input (k is "
                    f"{k}); "
                    "leave that reset out, or give the k that is meant"
                )
            if target.value in used:
                raise CodeError(
                    f"encoder: {instruction.name} resets qubit {target.value} after a gate acted on it; expected "
                    "resets of "
                    "fresh qubits alone"
                )
            made.append(_RESETS[instruction.name], [target.value])
    return made


def _acted_on(body: Iterable[Any]) -> set[int]:
    """Qubits on which gates act; annotations are none."""
    import stim

    acted: set[int] = set()
    for instruction in body:
        if isinstance(instruction, stim.CircuitRepeatBlock):
            acted |= _acted_on(instruction.body_copy())
        elif stim.gate_data(instruction.name).is_unitary:
            acted |= {target.value for target in instruction.targets_copy()}
    return acted


def _operations(circuit: stim.Circuit) -> int:
    import stim

    total = 0
    for instruction in circuit:
        repeated = isinstance(instruction, stim.CircuitRepeatBlock)
        if repeated:
            total += instruction.repeat_count * _operations(instruction.body_copy())
        else:
            total += max(1, len(instruction.targets_copy()))
    return total


def code_of_qiskit(circuit: qiskit.QuantumCircuit, k: int) -> CodeParts:
    """See `StabilizerCode.from_qiskit`."""
    from qiskit.exceptions import QiskitError
    from qiskit.quantum_info import Clifford

    n = circuit.num_qubits
    k = as_integer(k, "k")
    _require_k(k, n)
    try:
        clifford = Clifford(circuit)
    except QiskitError as error:
        raise CodeError(
            f"encoder: qiskit cannot read the circuit as a Clifford ({_reason(error)}); "
            "leave out measurements, resets and gates that are not Clifford"
        ) from error
    # Clifford.symplectic_matrix: rows 0..n-1 the images of X_q, n..2n-1 those of Z_q, columns [x | z].
    images = np.asarray(clifford.symplectic_matrix, dtype=np.uint8)
    signs = np.asarray(clifford.phase, dtype=np.bool_)
    return CodeParts(images[n + k :], signs[n + k :], images[:k], images[n : n + k])


def encoding_tableau(code: CodeStructure) -> stim.Tableau:
    """See `StabilizerCode.to_stim_tableau`."""
    import stim

    k = code.k
    x_bar = [_to_stim(row) for row in code.logical_x]
    z_bar = [_to_stim(row) for row in code.logical_z]
    stabilizers = [stim.PauliString(text) for text in code.stabilizers]
    # stim completes the Zs to a tableau; its partners of the stabilizers may anticommute with our logical X, which a
    # factor of the logical Z mends.
    completed = stim.Tableau.from_stabilizers([*z_bar, *stabilizers])
    destabilizers = []
    for index in range(k, code.n):
        partner = completed.x_output(index)
        for x, z in zip(x_bar, z_bar, strict=True):
            if not partner.commutes(x):
                partner *= z
        partner.sign = 1
        destabilizers.append(partner)
    return stim.Tableau.from_conjugated_generators(xs=[*x_bar, *destabilizers], zs=[*z_bar, *stabilizers])


def encoding_circuit(code: CodeStructure) -> stim.Circuit:
    """See `StabilizerCode.encoder`."""
    return encoding_tableau(code).to_circuit("elimination")


def gates_of_encoder(code: CodeStructure) -> list[tuple[str, tuple[int, ...]]]:
    """`encoding_circuit(code)` as (name, qubits) with names `h`, `s`, `cx`, one entry a gate."""
    gates: list[tuple[str, tuple[int, ...]]] = []
    for instruction in encoding_circuit(code):
        name = instruction.name.lower()
        for group in instruction.target_groups():
            gates.append((name, tuple(target.value for target in group)))
    return gates


def qiskit_encoder(code: CodeStructure) -> qiskit.QuantumCircuit:
    """See `StabilizerCode.to_qiskit`."""
    from qiskit import QuantumCircuit

    circuit = QuantumCircuit(code.n)
    for name, qubits in gates_of_encoder(code):
        getattr(circuit, name)(*qubits)
    return circuit


def _to_stim(row: NDArray[np.uint8]) -> stim.PauliString:
    import stim

    return stim.PauliString(_pauli.format_pauli(row))


def _require_k(k: int, n: int) -> None:
    if not 0 <= k <= n:
        raise CodeError(f"k is {k}; expected 0 to n = {n} logical qubits")


def verify_encoder(code: CodeStructure, encoder: str) -> None:
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
    n, k = code.n, code.k
    tableau = tableau_of_circuit(encoder, n, k)
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
                    "stabilizer group is the opposite; append the Pauli that corrects the frame"
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


def signs_of_encoder(code: CodeStructure, encoder: str) -> NDArray[np.bool_]:
    """Signs that a circuit gives to the code's generators, (n-k,), True for a minus.

    Two encoders of one stabilizer group may differ by Paulis, and then prepare it with other signs.

    Raises:
        CodeError: the circuit cannot be read, is not Clifford, or encodes another group.
    """
    undo = tableau_of_circuit(encoder, code.n, code.k).inverse(unsigned=False)
    signs = np.zeros(code.n - code.k, np.bool_)
    for index, row in enumerate(code.check_matrix):
        image = undo(_to_stim(row))
        xs, zs = image.to_numpy()
        if xs.any() or zs[: code.k].any():
            raise CodeError(
                f"encoder: generator {index} ({_pauli.format_pauli(row)}) is not among those that it prepares; "
                f"expected a circuit that maps Z_{code.k}..Z_{code.n - 1} to the stabilizers of the "
                f"[[{code.n},{code.k}]] code {code.digest[:12]}"
            )
        signs[index] = image.sign == -1
    return signs


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


def _reason(error: Exception) -> str:
    """A library's own words; some of its errors show them in quotation marks, so the argument is taken."""
    return one_line(error.args[0] if error.args else error, 160)
