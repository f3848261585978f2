"""Pauli operators as rows [x | z] of 2n bits, and as text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qecforge.codes import _gf2
from qecforge.codes._pauli_objects import labels_of
from qecforge.errors import CodeError

__all__ = [
    "commutator",
    "format_pauli",
    "format_row",
    "parse_paulis",
    "pauli_weight",
    "product_sign",
    "swap_halves",
    "symplectic_product",
]

_LETTERS = np.frombuffer(b"IZXY", dtype=np.uint8)  # index 2 x + z
_MOST_BY_BLAS = 1 << 24
_CODES = np.zeros(128, dtype=np.uint8)  # of a letter: x + 2 z
_CODES[[ord(letter) for letter in "XZY"]] = (1, 2, 3)
_PAULI = re.compile(r"([+-]?)([ij]?)([IXYZ_]+)|([+-]?)()([ixyz_]+)")


def format_pauli(bits: NDArray[np.uint8], negative: bool | None = None) -> str:
    """`XZZXI` for a row [x | z] of 2n bits; with a sign in front where `negative` is not None."""
    n = bits.shape[0] // 2
    letters: str = _LETTERS[2 * bits[:n].astype(np.intp) + bits[n:]].tobytes().decode()
    return letters if negative is None else ("-" if negative else "+") + letters


def format_row(row: int, n: int) -> str:
    """`XZZXI` for an integer row of 2n bits."""
    x, z = row >> n, row & ((1 << n) - 1)
    return "".join("IZXY"[2 * (x >> q & 1) + (z >> q & 1)] for q in range(n - 1, -1, -1))


def parse_paulis(
    strings: Iterable[Any], what: str = "stabilizer"
) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
    """Rows [x | z] and signs of Pauli strings such as `XZZXI`, `-XX`, `+Z_Z`, qubit 0 leftmost.

    Args:
        strings: Strings, all letters of one in upper or all in lower case; or operators of stim and qiskit, see
            `_pauli_objects`.
        what: What messages call one.

    Returns:
        (m, 2n) uint8, and (m,) bool, True for a minus; None instead where no string carries a sign.

    Raises:
        CodeError: a string that is not a Pauli string, an imaginary phase, or another length than the first.
    """
    rows: list[NDArray[np.uint8]] = []
    signs: list[str] = []
    n = None
    for index, text in enumerate(labels_of(strings, what)):
        sign, letters = _split_sign(text, f"{what} {index}")
        if n is None:
            n = len(letters)
        elif len(letters) != n:
            shown = letters if len(letters) <= 60 else letters[:57] + "..."
            raise CodeError(f"{what} {index} ({shown}): acts on {len(letters)} qubits; {what} 0 acts on {n}")
        codes = _CODES[np.frombuffer(letters.encode("ascii"), dtype=np.uint8)]
        rows.append(np.concatenate([codes & 1, codes >> 1]))
        signs.append(sign)
    if n is None:
        raise CodeError(f"no {what}s given; expected at least one Pauli string")
    matrix = np.array(rows, dtype=np.uint8)
    return matrix, np.array([sign == "-" for sign in signs]) if any(signs) else None


def _split_sign(text: object, where: str) -> tuple[str, str]:
    """(sign or nothing, upper-case letters)."""
    match = _PAULI.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        shown = repr(text) if len(repr(text)) <= 60 else repr(text)[:57] + "..."
        hint = ""
        if isinstance(text, str) and _PAULI.fullmatch(text.strip().upper()):
            hint = ", in one case (a lower-case i before capitals is a phase)"
        raise CodeError(f"{where}: {shown} is not a Pauli string; expected letters I, X, Y, Z, a sign before{hint}")
    sign, phase, letters = match.groups()[:3] if match[3] else match.groups()[3:]
    if phase:
        raise CodeError(
            f"{where}: {match[0][:60]} has an imaginary phase, which cannot stabilize anything (its square is minus "
            "the "
            "identity); expected a sign + or - or none"
        )
    if sign and letters.startswith("i"):
        raise CodeError(
            f"{where}: {match[0][:60]} is either the identity on the first qubit or an imaginary phase, which no "
            "stabilizer has; write the letters as capitals"
        )
    return sign, letters.upper()


def commutator(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(len(a), len(b)) uint8, 1 where row i of `a` anticommutes with row j of `b`; rows [x | z]."""
    n = a.shape[1] // 2
    if a.shape[0] * b.shape[0] * n > _MOST_BY_BLAS:
        return _gf2.product(a, np.hstack([b[:, n:], b[:, :n]]).T)
    # Counts of at most 2n fit float64 exactly, and BLAS multiplies floats.
    left, right = a.astype(np.float64), b.astype(np.float64)
    product = left[:, :n] @ right[:, n:].T + left[:, n:] @ right[:, :n].T
    return (product.astype(np.int64) & 1).astype(np.uint8)


def swap_halves(row: int, n: int) -> int:
    """[z | x] of [x | z]: the row whose inner products are `row`'s symplectic products."""
    return row >> n | (row & ((1 << n) - 1)) << n


def symplectic_product(a: int, b: int, n: int) -> int:
    """1 where the Paulis anticommute, 0 where they commute."""
    return (a & swap_halves(b, n)).bit_count() & 1


def pauli_weight(row: int, n: int) -> int:
    """Number of qubits on which the Pauli acts."""
    return (row >> n | row & ((1 << n) - 1)).bit_count()


def product_sign(rows: Sequence[int], negatives: Sequence[bool], n: int) -> bool:
    """Whether the product of commuting signed Hermitian Paulis carries a minus.

    Each factor is (-1)^s times its letters; the phase i^(x·z) of every Y is tracked.
    """
    mask = (1 << n) - 1
    x = z = 0
    phase = 0  # power of i, of the operator written as i^phase X^x Z^z
    for row, negative in zip(rows, negatives, strict=True):
        row_x, row_z = row >> n, row & mask
        phase += 2 * negative + (row_x & row_z).bit_count() + 2 * (z & row_x).bit_count()
        x, z = x ^ row_x, z ^ row_z
    return (phase - (x & z).bit_count()) % 4 == 2
