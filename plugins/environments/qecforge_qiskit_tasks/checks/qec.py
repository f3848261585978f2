"""Checks of stabilizer codes: encoders, logical operators, stabilizer groups, transversal gates.

Everywhere a Pauli is a label as qiskit writes it: the rightmost letter acts on qubit 0; a sign + or - may stand in
front, and none means +. A check raises `AssertionError` with one plain reason and returns None where all is well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, product
from typing import Any

import numpy as np
import stim
from numpy.typing import NDArray

from qecforge.codes import StabilizerCode, verify_encoder
from qecforge.errors import CodeError

__all__ = [
    "SignedGroup",
    "acts_as",
    "are_logicals",
    "bits_of",
    "code_of",
    "distance_of",
    "generate",
    "is_encoder",
    "label_of",
    "lightest_weights",
    "pauli_of",
    "paulis_of_weight",
    "syndrome_of",
    "tableau_of",
]

_LABEL = re.compile(r"[+-]?[IXYZ]+")
_MOST_LABELS = 10_000
_MOST_ENUMERATED = 16  # generators of a group whose elements are listed


def pauli_of(label: Any, qubits: int | None = None) -> stim.PauliString:
    """The Pauli of a label, of `qubits` letters where that is given. Raises `AssertionError` for anything else."""
    assert isinstance(label, str), f"expected a Pauli string, got {type(label).__name__}"
    assert _LABEL.fullmatch(label), f"{label[:40]!r} is not a Pauli string of letters I, X, Y, Z"
    letters = label.lstrip("+-")
    assert qubits is None or len(letters) == qubits, f"{label[:40]} has {len(letters)} letters, expected {qubits}"
    return stim.PauliString(("-" if label[0] == "-" else "+") + letters[::-1])


def label_of(pauli: stim.PauliString, *, signed: bool = False) -> str:
    """The label of a Pauli; with its sign where `signed`."""
    letters = str(pauli)[1:].replace("_", "I")[::-1]
    return ("-" if pauli.sign == -1 else "+") + letters if signed else letters


def bits_of(labels: Iterable[str], qubits: int | None = None) -> NDArray[np.uint8]:
    """(m, 2n) rows [x | z]; column q of each half is qubit q."""
    rows = [np.concatenate(pauli_of(label, qubits).to_numpy()) for label in labels]
    assert rows, "there are no Pauli strings"
    assert len({len(row) for row in rows}) == 1, "the Pauli strings are of unequal length"
    return np.array(rows, dtype=np.uint8)


def code_of(stabilizers: Sequence[str], *, redundant: bool = False) -> StabilizerCode:
    """The code of these generators, with signs; `redundant` allows dependent ones. Raises `AssertionError`."""
    try:
        return StabilizerCode.from_paulis([pauli_of(label) for label in stabilizers], drop_redundant=redundant)
    except CodeError as error:
        raise AssertionError(f"no stabilizer code (qubit 0 is leftmost here): {error}") from None


class SignedGroup:
    """The group that commuting Paulis generate, with signs.

    Args:
        labels: Commuting Paulis; they may depend on each other.
        qubits: How many letters each has.
    """

    def __init__(self, labels: Iterable[str], qubits: int) -> None:
        self._pivots: dict[int, tuple[int, stim.PauliString]] = {}
        for label in labels:
            row, rest = self._reduced(pauli_of(label, qubits))
            if row:
                self._pivots[row.bit_length()] = row, rest
            else:
                assert rest.sign == 1, f"{label} and those before it multiply to minus the identity"

    @property
    def rank(self) -> int:
        """Number of independent generators."""
        return len(self._pivots)

    def sign_of(self, pauli: stim.PauliString) -> int:
        """1 where the Pauli with its sign is in the group, -1 where its negative is, 0 where neither is."""
        row, rest = self._reduced(pauli)
        return 0 if row else int(rest.sign.real)

    def _reduced(self, pauli: stim.PauliString) -> tuple[int, stim.PauliString]:
        row = int.from_bytes(np.packbits(np.concatenate(pauli.to_numpy())).tobytes(), "big")
        while row and row.bit_length() in self._pivots:
            other_row, other = self._pivots[row.bit_length()]
            row, pauli = row ^ other_row, pauli * other
        return row, pauli


def generate(labels: Any, expected: Sequence[str], *, independent: bool = False) -> None:
    """The labels generate the same group as `expected`, with signs, by any generators in any order.

    With `independent`, there are no more of them than needed.
    """
    assert isinstance(labels, (list, tuple)), f"expected a list of Pauli strings, got {type(labels).__name__}"
    assert len(labels) <= _MOST_LABELS, f"{len(labels)} Pauli strings are too many"
    qubits = len(pauli_of(expected[0]))
    wanted = SignedGroup(expected, qubits)
    for label in labels:
        sign = wanted.sign_of(pauli_of(label, qubits))
        assert sign, f"{label} is not in the group that {', '.join(expected)} generate"
        assert sign == 1, f"{label} has the wrong sign"
    rank = SignedGroup(labels, qubits).rank
    assert rank == wanted.rank, f"{rank} of the Pauli strings are independent, expected {wanted.rank}"
    assert not independent or len(labels) == rank, f"{len(labels)} Pauli strings, of which {rank} are independent"


def tableau_of(circuit: Any, qubits: int) -> stim.Tableau:
    """The Clifford of a circuit of that many qubits. Raises `AssertionError` where it is none."""
    from qiskit import QuantumCircuit
    from qiskit.exceptions import QiskitError
    from qiskit.quantum_info import Clifford

    assert isinstance(circuit, QuantumCircuit), f"expected a QuantumCircuit, got {type(circuit).__name__}"
    assert circuit.num_qubits == qubits, f"the circuit has {circuit.num_qubits} qubits, expected {qubits}"
    try:
        clifford = Clifford(circuit)
    except QiskitError as error:
        raise AssertionError(f"the circuit is not made of Clifford gates alone: {str(error)[:200]}") from None
    table, phase = np.asarray(clifford.symplectic_matrix, dtype=bool), np.asarray(clifford.phase, dtype=bool)
    xs, zs = slice(0, qubits), slice(qubits, 2 * qubits)
    return stim.Tableau.from_numpy(
        x2x=table[xs, xs],
        x2z=table[xs, zs],
        z2x=table[zs, xs],
        z2z=table[zs, zs],
        x_signs=phase[xs],
        z_signs=phase[zs],
    )


def is_encoder(
    circuit: Any,
    stabilizers: Sequence[str],
    logical: Mapping[str, str] | None = None,
    *,
    inputs: Sequence[int] | None = None,
) -> None:
    """The circuit encodes the code of `stabilizers`, with their signs.

    Args:
        circuit: A `QuantumCircuit` of Clifford gates; the qubits that are no inputs start in |0>.
        stabilizers: The code's generators.
        logical: What becomes of Paulis on the inputs, up to stabilizers, such as `{"X": "XXX", "Z": "IIZ"}`: labels of
            as many letters as there are inputs, the rightmost for the first input.
        inputs: Qubits that carry the k logical qubits; None for 0..k-1.
    """
    code = code_of(stabilizers)
    inputs = range(code.k) if inputs is None else inputs
    order = [*inputs, *(qubit for qubit in range(code.n) if qubit not in inputs)]
    x2x, x2z, z2x, z2z, x_signs, z_signs = tableau_of(circuit, code.n).to_numpy()
    tableau = stim.Tableau.from_numpy(
        x2x=x2x[order],
        x2z=x2z[order],
        z2x=z2x[order],
        z2z=z2z[order],
        x_signs=x_signs[order],
        z_signs=z_signs[order],
    )
    try:
        verify_encoder(code, str(tableau.to_circuit("elimination")))
    except CodeError as error:
        raise AssertionError(
            f"the circuit does not encode {', '.join(stabilizers)} (qubit 0 is leftmost in what follows, and the "
            f"logical inputs come first): {error}"
        ) from None
    group = SignedGroup(stabilizers, code.n)
    for before, after in (logical or {}).items():
        image = tableau(pauli_of(before, code.k) + stim.PauliString(code.n - code.k))
        assert group.sign_of(image * pauli_of(after, code.n)) == 1, (
            f"{before} on the logical input becomes {label_of(image, signed=True)}, expected {after} up to stabilizers"
        )


def acts_as(circuit: Any, stabilizers: Sequence[str], images: Mapping[str, str]) -> None:
    """The circuit keeps the code of `stabilizers` and maps logical operators as `images` says, up to stabilizers.

    Args:
        circuit: A `QuantumCircuit` of Clifford gates on the code's qubits.
        stabilizers: Generators, with signs.
        images: Labels of logical operators, and of what each has to become, with signs.
    """
    qubits = len(pauli_of(stabilizers[0]))
    tableau, group = tableau_of(circuit, qubits), SignedGroup(stabilizers, qubits)
    for label in stabilizers:
        image = tableau(pauli_of(label))
        assert group.sign_of(image) == 1, (
            f"the stabilizer {label} becomes {label_of(image, signed=True)}, which is no stabilizer"
        )
    for before, after in images.items():
        image = tableau(pauli_of(before, qubits))
        assert group.sign_of(image * pauli_of(after, qubits)) == 1, (
            f"the logical operator {before} becomes {label_of(image, signed=True)}, expected {after} up to stabilizers"
        )


def are_logicals(logical_x: Any, logical_z: Any, stabilizers: Sequence[str]) -> None:
    """These are k pairs of logical operators: `logical_x[i]` anticommutes with `logical_z[i]` and nothing else."""
    code = code_of(stabilizers, redundant=True)
    for labels in (logical_x, logical_z):
        assert isinstance(labels, (list, tuple)), f"expected a list of Pauli strings, got {type(labels).__name__}"
        assert len(labels) == code.k, f"{len(labels)} operators, expected k = {code.k}"
        for label in labels:
            anticommuting = [each for each in stabilizers if not pauli_of(label, code.n).commutes(pauli_of(each))]
            assert not anticommuting, f"{label} anticommutes with the stabilizer {anticommuting[:1]}"
    named = [*((label, i, "X") for i, label in enumerate(logical_x)), *((b, i, "Z") for i, b in enumerate(logical_z))]
    for (first, i, kind), (second, j, other) in combinations(named, 2):
        expected = not (i == j and kind != other)
        assert pauli_of(first).commutes(pauli_of(second)) == expected, (
            f"logical {kind} {i} ({first}) and logical {other} {j} ({second}) "
            f"{'anticommute' if expected else 'commute'}, expected the opposite"
        )


def syndrome_of(error: str, stabilizers: Iterable[str]) -> tuple[int, ...]:
    """1 for each stabilizer that anticommutes with the error."""
    pauli = pauli_of(error)
    return tuple(int(not pauli.commutes(pauli_of(label))) for label in stabilizers)


def paulis_of_weight(qubits: int, weight: int, letters: str = "XYZ") -> list[str]:
    """All labels of that weight, of these letters."""
    found = []
    for places in combinations(range(qubits), weight):
        for chosen in product(letters, repeat=weight):
            label = ["I"] * qubits
            for place, letter in zip(places, chosen, strict=True):
                label[qubits - 1 - place] = letter
            found.append("".join(label))
    return found


def distance_of(stabilizers: Sequence[str]) -> int:
    """The smallest weight of a logical operator, by looking at all Paulis; for codes of up to about ten qubits."""
    code = code_of(stabilizers, redundant=True)
    assert code.k, "a code without logical qubits has no distance here"
    checks, logicals = code.check_matrix, np.vstack([code.logical_x, code.logical_z])
    for weight in range(1, code.n + 1):
        errors = bits_of(paulis_of_weight(code.n, weight))
        undetected = errors[~(_anticommute(errors, checks).any(axis=1))]
        if len(undetected) and _anticommute(undetected, logicals).any():
            return weight
    raise AssertionError("every code with logical qubits has a distance")


def lightest_weights(
    x: NDArray[np.bool_], z: NDArray[np.bool_], stabilizers: Sequence[str], *, css: bool = False
) -> NDArray[np.intp]:
    """(F,) smallest weights of errors, each multiplied with any stabilizer.

    Args:
        x, z: (F, n), the errors' X and Z parts; column q is qubit q.
        stabilizers: At most 16 independent generators; with none the weights are those of the errors themselves.
        css: X and Z parts are corrected apart: the weight is the larger of the two.
    """
    n = x.shape[1]
    group = np.zeros((1, 2 * n), dtype=bool)
    rows: NDArray[np.bool_] = bits_of(stabilizers, n).astype(bool) if stabilizers else group[:0]
    assert len(rows) <= _MOST_ENUMERATED, f"{len(rows)} generators are too many to list their group"
    for row in rows:
        group = np.vstack([group, group ^ row])
    equivalent = np.hstack([x, z])[:, np.newaxis] ^ group
    x_part, z_part = equivalent[..., :n], equivalent[..., n:]
    if css:
        return np.asarray(np.maximum(x_part.sum(-1).min(-1), z_part.sum(-1).min(-1)), dtype=np.intp)
    return np.asarray((x_part | z_part).sum(-1).min(-1), dtype=np.intp)


def _anticommute(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.bool_]:
    n = a.shape[1] // 2
    swapped = np.hstack([b[:, n:], b[:, :n]])
    return (a.astype(np.int64) @ swapped.T.astype(np.int64) & 1).astype(bool)
