"""Where a lightest logical operator is looked for: all Paulis, or the X-type and Z-type halves of a CSS code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qecforge.codes import _gf2, _logicals
from qecforge.codes._structure import CodeStructure

__all__ = ["SearchSpace", "pauli_space", "search_spaces"]


@dataclass(frozen=True)
class SearchSpace:
    """Errors made of columns, at most one a qubit, of which those with syndrome 0 and an action are logical operators.

    Attributes:
        half: `x` or `z` for the errors of one type, empty for all Paulis.
        n: Qubits.
        letters: Columns a qubit: 1 in a half; else 3, for X, Z, Y in this order.
        checks: Bits of a syndrome.
        syndromes: Per column, an integer of `checks` bits.
        actions: Per column, an integer of logical bits.
        action_bits: Their number.
        every: For k = 0: every operator of syndrome 0 but the identity counts (they are stabilizers).
        even: Whether every error of syndrome 0 has even weight (the all-ones vector is a sum of checks).
        stabilizers: Rows that span the trivial errors; like the next two of n bits in a half, else of 2n, [x | z].
        check_rows: Rows whose duals the errors of syndrome 0 are: in a half the checks of the other type, else the
            stabilizers themselves.
        commuting: Rows that span the errors of syndrome 0, the stabilizers first.
        row_actions: Per row of `commuting`, its action.
    """

    half: str
    n: int
    letters: int
    checks: int
    syndromes: tuple[int, ...]
    actions: tuple[int, ...]
    action_bits: int
    every: bool
    even: bool
    stabilizers: tuple[int, ...]
    check_rows: tuple[int, ...]
    commuting: tuple[int, ...]
    row_actions: tuple[int, ...]

    def operator(self, columns: Iterable[int]) -> int:
        """The row of 2n bits that is the product of the columns' Paulis."""
        row = 0
        for column in columns:
            qubit, letter = divmod(int(column), self.letters)  # numpy's integers would overflow in the shifts
            bit = self.n - 1 - qubit
            if self.half:
                row ^= 1 << (bit + (self.n if self.half == "x" else 0))
            else:
                row ^= (letter != 1) << (bit + self.n) | (letter != 0) << bit
        return row

    def row_operator(self, row: int) -> int:
        """A row of `commuting` as 2n bits."""
        return row << self.n if self.half == "x" else row

    def columns_of(self, operator: int) -> list[int]:
        """Inverse of `operator`."""
        x, z = operator >> self.n, operator & ((1 << self.n) - 1)
        columns = []
        for qubit in range(self.n):
            bit = self.n - 1 - qubit
            letters = (x >> bit & 1, z >> bit & 1)
            if any(letters):
                columns.append(qubit if self.half else 3 * qubit + {(1, 0): 0, (0, 1): 1, (1, 1): 2}[letters])
        return columns

    def is_logical(self, operator: int) -> bool:
        """Whether an operator of 2n bits has syndrome 0 and counts as acting."""
        syndrome = action = 0
        for column in self.columns_of(operator):
            syndrome ^= self.syndromes[column]
            action ^= self.actions[column]
        return syndrome == 0 and (action != 0 or (self.every and operator != 0))


def search_spaces(code: CodeStructure) -> list[SearchSpace]:
    """The two halves of a CSS code (a lightest logical operator of such a code is of one type), else all Paulis."""
    if code.css is None:
        return [pauli_space(code)]
    hx, hz = (_gf2.pack_rows(half) for half in code.css)
    logical_x, z_type = _logicals.css_logicals(*code.css)
    x_type = [row >> code.n for row in logical_x]
    return [
        _half_space("x", code.n, hx, hz, x_type, z_type),
        _half_space("z", code.n, hz, hx, z_type, x_type),
    ]


def pauli_space(code: CodeStructure) -> SearchSpace:
    """All Paulis on the code's qubits."""
    n = code.n
    rows = _gf2.pack_rows(code.check_matrix)
    logicals = _gf2.pack_rows(code.logical_x) + _gf2.pack_rows(code.logical_z)
    k = code.k
    return SearchSpace(
        half="",
        n=n,
        letters=3,
        checks=len(rows),
        syndromes=_letter_products(code.check_matrix),
        actions=_letter_products(np.vstack([code.logical_x, code.logical_z])),
        action_bits=len(logicals),
        every=code.k == 0,
        even=False,
        stabilizers=tuple(rows),
        check_rows=tuple(rows),
        commuting=(*rows, *logicals),
        # A logical operator anticommutes with its partner alone, bit k + i or i of an action.
        row_actions=(*[0] * len(rows), *(1 << (i + k) % (2 * k) for i in range(2 * k))),
    )


def _half_space(
    half: str, n: int, stabilizers: Sequence[int], checks: Sequence[int], own: Sequence[int], partners: Sequence[int]
) -> SearchSpace:
    pivots = {row.bit_length(): row for row in _gf2.row_reduce(checks)}
    return SearchSpace(
        half=half,
        n=n,
        letters=1,
        checks=len(checks),
        syndromes=_products(checks, n),
        actions=_products(partners, n),
        action_bits=len(partners),
        every=not partners,
        even=_gf2.reduce_against((1 << n) - 1, pivots) == 0,
        stabilizers=tuple(stabilizers),
        check_rows=tuple(checks),
        commuting=(*stabilizers, *own),
        row_actions=(*[0] * len(stabilizers), *(1 << i for i in range(len(own)))),
    )


def _products(rows: Sequence[int], n: int) -> tuple[int, ...]:
    """Per qubit q, the integer whose bit i is bit q of row i."""
    return _columns(_gf2.unpack_rows(rows, n))


def _letter_products(rows: NDArray[np.uint8]) -> tuple[int, ...]:
    """Per qubit and letter X, Z, Y, the integer whose bit i says whether that Pauli anticommutes with row i."""
    n = rows.shape[1] // 2
    x, z = rows[:, :n], rows[:, n:]
    return _columns(np.stack([z, x, x ^ z], axis=2).reshape(len(rows), 3 * n))


def _columns(matrix: NDArray[np.uint8]) -> tuple[int, ...]:
    """Per column, the integer whose bit i is row i's entry."""
    return tuple(_gf2.pack_rows(np.ascontiguousarray(matrix[::-1].T)))
