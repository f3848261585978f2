"""`StabilizerCode`: an immutable stabilizer code, equal to another when their stabilizer groups are."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qecforge.codes import _gf2, _logicals, _pauli, _text, encoders
from qecforge.codes._alist import CHECK_MATRIX_MARK, matrix_to_alist
from qecforge.codes._numbers import as_integer, as_integers
from qecforge.codes._structure import CodeParts
from qecforge.codes.distance.effective import EffectiveDistance, effective_distance
from qecforge.codes.distance.enumerators import WeightEnumerators, weight_enumerators
from qecforge.codes.distance.proof import Distance, DistanceMethod, find_distance
from qecforge.errors import CodeError

if TYPE_CHECKING:
    import qiskit
    import stim

__all__ = ["StabilizerCode"]

_SHOWN_PAIRS = 3


class StabilizerCode:
    """An [[n, k]] stabilizer code.

    Identity is the stabilizer *group up to signs*: two codes are equal, hash alike and share a `digest` when their
    generators span the same Paulis, whatever the choice of generators, signs or logical operators. (Signs fix the
    Pauli frame; they change neither distance nor error rates.) Generators, signs and logical operators are kept as
    they were given, so that every format round-trips.

    Args:
        check_matrix: (n-k, 2n) of 0s and 1s, row [x | z] a generator. For k = n shape (0, 2n).
        signs: (n-k,) booleans, True for a minus; None where they are not known.
        logical_x, logical_z: (k, 2n) each, or both None to have them computed. Row i of `logical_x` anticommutes with
            row i of `logical_z` and commutes with every other row and every stabilizer.
        drop_redundant: Whether a generator that is a product of earlier ones is left out instead of refused. The
            generators kept are the first independent ones, as they were given.

    Raises:
        CodeError: generators that anticommute or depend on each other, or logical operators that do not fit; the
            message names the offenders.
    """

    n: int
    """Physical qubits."""
    k: int
    """Logical qubits."""
    check_matrix: NDArray[np.uint8]
    """(n-k, 2n), row [x | z] a generator; read-only."""
    signs: NDArray[np.bool_] | None
    """(n-k,), True for a minus; None where they are not known; read-only."""

    def __init__(
        self,
        check_matrix: ArrayLike,
        *,
        signs: ArrayLike | None = None,
        logical_x: ArrayLike | None = None,
        logical_z: ArrayLike | None = None,
        drop_redundant: bool = False,
    ) -> None:
        matrix = _gf2.as_binary_matrix(check_matrix, "check matrix")
        if matrix.shape[1] == 0 or matrix.shape[1] % 2:
            raise CodeError(f"check matrix: {matrix.shape[1]} columns; expected 2n, an X half and a Z half, n >= 1")
        sign_array = _as_signs(signs, matrix.shape[0])
        _require_commuting(matrix)
        matrix, sign_array = _require_independent(matrix, sign_array, drop_redundant)
        n = matrix.shape[1] // 2
        fields: dict[str, Any] = {
            "n": n,
            "k": n - matrix.shape[0],
            "check_matrix": _frozen(matrix),
            "signs": None if sign_array is None else _frozen(sign_array),
        }
        self.__dict__.update(fields)
        if (logical_x is None) != (logical_z is None):
            raise CodeError("logical operators: only one of logical_x and logical_z was given; give both or neither")
        if logical_x is not None and logical_z is not None:
            pair = _logicals.checked_logicals(matrix, logical_x, logical_z)
            self.__dict__["_logicals"] = (_frozen(pair[0]), _frozen(pair[1]))

    @classmethod
    def from_check_matrix(
        cls, check_matrix: ArrayLike, *, signs: ArrayLike | None = None, drop_redundant: bool = False
    ) -> StabilizerCode:
        """From a (m, 2n) matrix [X | Z]. Raises `CodeError` as the constructor does."""
        return cls(check_matrix, signs=signs, drop_redundant=drop_redundant)

    @classmethod
    def from_paulis(
        cls,
        stabilizers: Iterable[Any],
        *,
        logical_x: Iterable[Any] | None = None,
        logical_z: Iterable[Any] | None = None,
        drop_redundant: bool = False,
    ) -> StabilizerCode:
        """From Pauli strings such as `["XZZXI", "IXZZX", "XIXZZ", "ZXIXZ"]`, each with a sign or none.

        Also from `stim.PauliString`s and qiskit's `Pauli`s, `PauliList`, `SparsePauliOp` and `StabilizerState`; qubit
        q of those is qubit q here, whatever letter of a label that is.

        Raises:
            CodeError: a string that is not a Pauli string of the others' length, an imaginary phase, or no code as in
            the
                constructor.
        """
        matrix, signs = _pauli.parse_paulis(stabilizers)
        logicals = [
            None if strings is None else _pauli.parse_paulis(strings, what)[0]
            for strings, what in ((logical_x, "logical X"), (logical_z, "logical Z"))
        ]
        return cls(matrix, signs=signs, logical_x=logicals[0], logical_z=logicals[1], drop_redundant=drop_redundant)

    @classmethod
    def from_css(cls, hx: ArrayLike, hz: ArrayLike, *, drop_redundant: bool = False) -> StabilizerCode:
        """The CSS code of the X-type checks `hx` (mx, n) and the Z-type checks `hz` (mz, n).

        Generators are numbered with the rows of `hx` first. Raises `CodeError` as the constructor does.
        """
        x_checks, z_checks = _gf2.as_binary_matrix(hx, "hx"), _gf2.as_binary_matrix(hz, "hz")
        if x_checks.shape[1] != z_checks.shape[1]:
            raise CodeError(f"hx has {x_checks.shape[1]} columns and hz {z_checks.shape[1]}; expected n for both")
        matrix = np.block([[x_checks, np.zeros_like(x_checks)], [np.zeros_like(z_checks), z_checks]])
        return cls(matrix, drop_redundant=drop_redundant)

    @classmethod
    def from_stim_tableau(cls, tableau: stim.Tableau, k: int) -> StabilizerCode:
        """The code whose encoder is `tableau`: images of Z_k..Z_{n-1} are the stabilizers, those of X_i and Z_i for
        i < k the logical operators. Raises `CodeError` for k outside 0..n."""
        return cls._of(encoders.code_of_tableau(tableau, k))

    @classmethod
    def from_circuit(cls, circuit: stim.Circuit | str, k: int, *, n: int | None = None) -> StabilizerCode:
        """The code that a stim encoding circuit prepares: qubits 0..k-1 carry the logical input, k..n-1 start in |0>.

        Args:
            circuit: Clifford gates alone (annotations such as TICK are passed over), after resets of fresh qubits or
            none. k: Logical qubits.
            n: Physical qubits, where the last ones carry no gate; by default the circuit's own count.

        Raises:
            CodeError: text that stim cannot read, an operation that is not a Clifford gate, or k outside 0..n.
        """
        k, n = as_integer(k, "k"), None if n is None else as_integer(n, "n")
        return cls._of(encoders.code_of_tableau(encoders.tableau_of_circuit(circuit, n, k), k))

    @classmethod
    def from_qiskit(cls, circuit: qiskit.QuantumCircuit, k: int) -> StabilizerCode:
        """The code that a qiskit encoding circuit prepares, qubits as in `from_circuit`.

        Raises:
            CodeError: the circuit is not Clifford, or k is outside 0..n.
        """
        return cls._of(encoders.code_of_qiskit(circuit, k))

    @classmethod
    def from_json(cls, text: str | bytes | Mapping[str, Any]) -> StabilizerCode:
        """From what `to_json` wrote. Raises `CodeError` for anything else."""
        return cls._of(_text.code_from_json(text))

    @classmethod
    def _of(cls, parts: CodeParts) -> StabilizerCode:
        return cls(parts.check_matrix, signs=parts.signs, logical_x=parts.logical_x, logical_z=parts.logical_z)

    @cached_property
    def canonical_check_matrix(self) -> NDArray[np.uint8]:
        """The check matrix in reduced row echelon form, columns [x | z]: unique for the group; read-only."""
        return _frozen(_gf2.unpack_rows(_gf2.row_reduce(self._rows), 2 * self.n))

    @cached_property
    def digest(self) -> str:
        """Hex SHA-256 of n, k and the canonical check matrix: the code's identity in the store."""
        head = f"stabilizer group n={self.n} k={self.k}\n".encode()
        return hashlib.sha256(head + np.packbits(self.canonical_check_matrix, axis=1).tobytes()).hexdigest()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StabilizerCode):
            return NotImplemented
        return self.digest == other.digest

    def __hash__(self) -> int:
        return int(self.digest[:15], 16)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"StabilizerCode is immutable; cannot set {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"StabilizerCode is immutable; cannot delete {name}")

    def __reduce__(self) -> tuple[Any, ...]:
        given = self.__dict__.get("_logicals")
        logicals = (None, None) if given is None else given
        return _rebuild, (self.check_matrix, self.signs, *logicals)

    def __repr__(self) -> str:
        shown = ", ".join(self.stabilizers[:8]) + (", ..." if self.n - self.k > 8 else "")
        return f"<StabilizerCode [[{self.n},{self.k}]] {shown if self.n <= 30 else self.digest[:12]}>"

    def _repr_html_(self) -> str:
        """For notebooks: checks, logical operators and, of a code of few qubits, an encoder."""
        from qecforge.notebooks import code_html
        from qecforge.notebooks.code import MOST_QUBITS_DRAWN

        return code_html(
            f"[[{self.n},{self.k}]] {'CSS' if self.css else 'stabilizer'} code",
            stabilizers=self.stabilizers,
            logical_x=[_pauli.format_pauli(row) for row in self.logical_x],
            logical_z=[_pauli.format_pauli(row) for row in self.logical_z],
            encoder=self.encoder() if self.n <= MOST_QUBITS_DRAWN else None,
        )

    @cached_property
    def _rows(self) -> list[int]:
        return _gf2.pack_rows(self.check_matrix)

    @cached_property
    def _logicals(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        logical_x, logical_z = _logicals.find_logicals(self._rows, self.n, self.css)
        return _frozen(logical_x), _frozen(logical_z)

    @cached_property
    def css(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
        """(hx, hz), independent rows spanning the group's X-type and Z-type elements, if those generate the group;
        None for a code that is not CSS. Generators that are of one type already are kept as they are."""
        return _logicals.split_css(self.check_matrix)

    @property
    def is_css(self) -> bool:
        """Deprecated: `css is not None`."""
        _deprecated("is_css", "css is not None")
        return self.css is not None

    @property
    def logical_x(self) -> NDArray[np.uint8]:
        """(k, 2n) logical X operators, up to sign, paired with `logical_z`; read-only."""
        return self._logicals[0]

    @property
    def logical_z(self) -> NDArray[np.uint8]:
        """(k, 2n) logical Z operators, up to sign, paired with `logical_x`; read-only."""
        return self._logicals[1]

    @cached_property
    def stabilizers(self) -> tuple[str, ...]:
        """The generators as Pauli strings, with a sign where signs are known."""
        signs = [None] * (self.n - self.k) if self.signs is None else self.signs.tolist()
        return tuple(_pauli.format_pauli(row, sign) for row, sign in zip(self.check_matrix, signs, strict=True))

    def syndrome(self, errors: ArrayLike) -> NDArray[np.uint8]:
        """(m, n-k) uint8 for (m, 2n) errors [x | z]: 1 where error i anticommutes with generator j."""
        rows = _gf2.as_binary_matrix(errors, "errors")
        if rows.shape[1] != 2 * self.n:
            raise CodeError(f"errors: {rows.shape[1]} columns; expected 2n = {2 * self.n}")
        return _pauli.commutator(rows, self.check_matrix)

    def contains(self, pauli: str) -> bool:
        """Whether the Pauli, up to sign, lies in the stabilizer group."""
        matrix, _ = _pauli.parse_paulis([pauli], "Pauli")
        if matrix.shape[1] != 2 * self.n:
            raise CodeError(f"{pauli}: acts on {matrix.shape[1] // 2} qubits; the code has {self.n}")
        pivots = {row.bit_length(): row for row in _gf2.row_reduce(self._rows)}
        return _gf2.reduce_against(_gf2.pack_rows(matrix)[0], pivots) == 0

    def with_signs(self, signs: ArrayLike | None) -> StabilizerCode:
        """The same generators and logical operators in another Pauli frame.

        Args:
            signs: (n-k,) booleans, True for a minus; None for not known.
        """
        return StabilizerCode(self.check_matrix, signs=signs, logical_x=self.logical_x, logical_z=self.logical_z)

    def prepared_by(self, encoder: str) -> StabilizerCode:
        """The code with the signs that this encoding circuit gives to its generators.

        Args:
            encoder: stim circuit text.

        Raises:
            CodeError: the circuit encodes another stabilizer group, or is none of Clifford gates.
        """
        return self.with_signs(encoders.signs_of_encoder(self, encoder))

    def permuted(self, permutation: Sequence[int]) -> StabilizerCode:
        """The code whose qubit i is this one's qubit `permutation[i]`."""
        order = as_integers(permutation, "permutation")
        if sorted(order) != list(range(self.n)):
            raise CodeError(f"permutation {order!s:.80}: expected each of 0..{self.n - 1} once")
        columns = np.array([*order, *(self.n + qubit for qubit in order)], dtype=np.intp)
        return StabilizerCode(
            self.check_matrix[:, columns],
            signs=self.signs,
            logical_x=self.logical_x[:, columns],
            logical_z=self.logical_z[:, columns],
        )

    def distance(
        self, *, method: DistanceMethod = "auto", budget_seconds: float | None = 60.0, seed: int = 0
    ) -> Distance:
        """The distance, proved within the budget or else a labelled bound; see `qecforge.codes.find_distance`."""
        return find_distance(self, method=method, budget_seconds=budget_seconds, seed=seed)

    def effective_distance(
        self, weights: ArrayLike, *, budget_seconds: float | None = 60.0, seed: int = 0
    ) -> EffectiveDistance:
        """The distance when X, Y and Z weigh (w_X, w_Y, w_Z); see `qecforge.codes.effective_distance`."""
        return effective_distance(self, weights, budget_seconds=budget_seconds, seed=seed)

    def weight_enumerators(self) -> WeightEnumerators:
        """Shor-Laflamme enumerators A and B, exact integers; see `WeightEnumerators`."""
        return weight_enumerators(self)

    def to_check_matrix(self) -> NDArray[np.uint8]:
        """Deprecated: `check_matrix.copy()`."""
        _deprecated("to_check_matrix()", "check_matrix.copy()")
        return self.check_matrix.copy()

    def to_paulis(self) -> list[str]:
        """Deprecated: `list(stabilizers)`."""
        _deprecated("to_paulis()", "list(code.stabilizers)")
        return list(self.stabilizers)

    def to_stim_tableau(self) -> stim.Tableau:
        """An encoder as a tableau: Z_k..Z_{n-1} map to the generators (plus where no sign is known), X_i and Z_i for
        i < k to the logical operators."""
        return encoders.encoding_tableau(self)

    def encoder(self) -> stim.Circuit:
        """An encoding circuit of H, S and CX, synthesised from the tableau: qubits 0..k-1 carry the logical input,
        k..n-1 start in |0>. Not the shortest one."""
        return encoders.encoding_circuit(self)

    def to_stim(self) -> str:
        """`encoder()` as stim circuit text, with n and k in a comment."""
        return _text.code_to_stim(self)

    def to_qiskit(self) -> qiskit.QuantumCircuit:
        """`encoder()` as a qiskit circuit."""
        return encoders.qiskit_encoder(self)

    def to_qasm3(self) -> str:
        """`encoder()` as OpenQASM 3, with n and k in a comment."""
        return _text.code_to_qasm(self)

    def to_json(self) -> str:
        """One JSON object: n, k, generators (with signs where known) and logical operators as Pauli strings."""
        return _text.code_to_json(self)

    def to_alist(self) -> str:
        """The check matrix [x | z] of 2n columns in MacKay's alist format."""
        return matrix_to_alist(self.check_matrix, CHECK_MATRIX_MARK)


def _deprecated(old: str, new: str) -> None:
    warnings.warn(f"StabilizerCode.{old} goes with 0.3: use {new}", DeprecationWarning, stacklevel=3)


def _rebuild(check_matrix: Any, signs: Any, logical_x: Any, logical_z: Any) -> StabilizerCode:
    return StabilizerCode(check_matrix, signs=signs, logical_x=logical_x, logical_z=logical_z)


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array


def _as_signs(signs: ArrayLike | None, generators: int) -> NDArray[np.bool_] | None:
    if signs is None:
        return None
    array = np.array(signs)
    if array.shape != (generators,) or (array.size and array.dtype.kind not in "bui"):
        raise CodeError(
            f"signs: got shape {array.shape} of {array.dtype}; expected one boolean for each of {generators} generators"
        )
    return array.astype(np.bool_)


def _require_commuting(matrix: NDArray[np.uint8]) -> None:
    pairs = np.argwhere(np.triu(_pauli.commutator(matrix, matrix), 1))
    if not len(pairs):
        return
    shown = ", ".join(
        f"{i} ({_pauli.format_pauli(matrix[i])}) and {j} ({_pauli.format_pauli(matrix[j])})"
        for i, j in pairs[:_SHOWN_PAIRS]
    )
    more = f" and {len(pairs) - _SHOWN_PAIRS} more pairs" if len(pairs) > _SHOWN_PAIRS else ""
    raise CodeError(
        f"generators {shown}{more} anticommute; the stabilizers of a code commute with each other: correct one of them"
    )


def _require_independent(
    matrix: NDArray[np.uint8], signs: NDArray[np.bool_] | None, drop_redundant: bool
) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
    n = matrix.shape[1] // 2
    rows = _gf2.pack_rows(matrix)
    independent, dependent = _gf2.row_dependencies(rows)
    if signs is not None:
        for index, factors in dependent.items():
            members = [*factors, index]
            if _pauli.product_sign([rows[i] for i in members], [bool(signs[i]) for i in members], n):
                raise CodeError(
                    f"generators {', '.join(map(str, members))} multiply to minus the identity "
                    f"({_name(matrix, index)} has the wrong sign); no state is stabilized by that: correct the signs"
                )
    if dependent and not drop_redundant:
        index, factors = next(iter(dependent.items()))
        source = f"is the product of {', '.join(_name(matrix, i) for i in factors)}" if factors else "is the identity"
        more = f" ({len(dependent) - 1} more depend likewise)" if len(dependent) > 1 else ""
        raise CodeError(
            f"generator {_name(matrix, index)} {source}{more}; generators must be independent: "
            "leave it out, or pass drop_redundant=True"
        )
    return matrix[independent], None if signs is None else signs[independent]


def _name(matrix: NDArray[np.uint8], index: int) -> str:
    return f"{index} ({_pauli.format_pauli(matrix[index])})"
