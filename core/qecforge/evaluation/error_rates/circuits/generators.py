"""Which stabilizers are measured, and which logical operators are watched.

A discovered code comes with whatever generators its encoder gives, often heavy ones. Syndrome extraction wants light
ones, and two runs that find the same group should measure the same circuit: then the generators are chosen anew, the
lightest independent set, where the group is small enough to be listed. A code that somebody wrote down, a surface code
by its plaquettes say, comes with generators that were chosen for their shape: those are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qecforge.codes import StabilizerCode
from qecforge.errors import CodeError

__all__ = ["GeneratorChoice", "MeasuredCode", "coupled_qubits", "in_css_frame", "measured_code"]

GeneratorChoice: TypeAlias = Literal["auto", "given", "lightest"]

_LARGEST_LISTED_RANK = 22


@dataclass(frozen=True)
class MeasuredCode:
    """A code as an experiment sees it. Paulis are strings of I, X, Y, Z, one character a qubit, without sign.

    Attributes:
        n, k: Physical and logical qubits.
        stabilizers: n - k independent generators.
        logical_x, logical_z: k each, paired; X-type and Z-type where the code is CSS.
        is_css: Whether every generator is X-type or Z-type.
    """

    n: int
    k: int
    stabilizers: tuple[str, ...]
    logical_x: tuple[str, ...]
    logical_z: tuple[str, ...]
    is_css: bool


def measured_code(code: StabilizerCode, generators: GeneratorChoice = "lightest") -> MeasuredCode:
    """The generators and logical operators that experiments on `code` use.

    Logical operators follow from the group's canonical check matrix, each lightened by generators while that helps.

    Args:
        code: The code.
        generators: `lightest`: up to rank 22 (of the group, or of each half of a CSS code) and 64 qubits those of least
            total weight; among equals X-type before Z-type before mixed, then those on the qubits that the ones chosen
            before use least, then in lexicographic order; beyond, the generators as given. Decided by the group alone.
            `given`: those of `code.check_matrix`, X-type first, then Z-type, then mixed, each in lexicographic order.
            `auto`: `given` where they are as light as the lightest and, for a CSS code, of one type each; else
            `lightest`.

    Raises:
        CodeError: the code has no logical qubit, so there is nothing to lose.
    """
    if code.k == 0:
        raise CodeError(f"logical error rate: got a code with n={code.n} and k=0, expected k of 1 or more")
    rows = code.check_matrix
    if generators != "given":
        halves = [rows] if code.css is None else _embedded(*code.css)
        lightest = np.vstack([_lightest(half, code.n) for half in halves])
        pure = code.css is None or _of_one_type(rows)
        if generators == "lightest" or not pure or _total_weight(rows) > _total_weight(lightest):
            return _with_logicals(code, lightest, is_css=code.css is not None)
    by_type = sorted(rows, key=lambda row: (_kind(row), _pauli_string(row)))
    return _with_logicals(code, np.array(by_type), is_css=_of_one_type(rows))


def _with_logicals(code: StabilizerCode, generators: NDArray[np.uint8], *, is_css: bool) -> MeasuredCode:
    canonical = StabilizerCode(code.canonical_check_matrix)
    return MeasuredCode(
        n=code.n,
        k=code.k,
        stabilizers=tuple(_pauli_string(row) for row in generators),
        logical_x=tuple(_pauli_string(_lightened(row, generators)) for row in canonical.logical_x),
        logical_z=tuple(_pauli_string(_lightened(row, generators)) for row in canonical.logical_z),
        is_css=is_css,
    )


def in_css_frame(code: MeasuredCode) -> MeasuredCode | None:
    """The code with its Paulis renamed, on each qubit for itself, so that every generator is X-type or Z-type; the
    order of the generators stays. None where no renaming does that. An XZZX surface code becomes the CSS one.
    """
    if code.is_css:
        return code
    types: dict[int, int] = {}
    for start in range(len(code.stabilizers)):
        types.setdefault(start, 0)
        pending = [start]
        while pending:
            one = pending.pop()
            for other, pauli in enumerate(code.stabilizers):
                letters = list(zip(code.stabilizers[one], pauli, strict=True))
                differs = {a != b for a, b in letters if "I" not in (a, b)}
                if len(differs) == 2:
                    return None
                if differs and other not in types:
                    types[other] = types[one] ^ differs.pop()
                    pending.append(other)
                elif differs and types[other] != types[one] ^ differs.pop():
                    return None
    renamed = ["".join("I" if p == "I" else "XZ"[types[i]] for p in s) for i, s in enumerate(code.stabilizers)]
    framed = StabilizerCode.from_paulis(renamed)
    return _with_logicals(framed, framed.check_matrix, is_css=True)


def coupled_qubits(code: MeasuredCode) -> frozenset[int]:
    """The qubits that some generator acts on."""
    return frozenset(qubit for qubit in range(code.n) if any(pauli[qubit] != "I" for pauli in code.stabilizers))


def _embedded(hx: NDArray[np.uint8], hz: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [np.hstack([hx, np.zeros_like(hx)]), np.hstack([np.zeros_like(hz), hz])]


def _kind(row: NDArray[np.uint8]) -> int:
    """0 for X-type, 1 for Z-type, 2 for mixed."""
    n = len(row) // 2
    return 0 if not row[n:].any() else 1 if not row[:n].any() else 2


def _of_one_type(rows: NDArray[np.uint8]) -> bool:
    return all(_kind(row) < 2 for row in rows)


def _total_weight(rows: NDArray[np.uint8]) -> int:
    return sum(_weight(row) for row in rows)


def _pauli_string(row: NDArray[np.uint8]) -> str:
    n = len(row) // 2
    return "".join("IXZY"[int(x) + 2 * int(z)] for x, z in zip(row[:n], row[n:], strict=True))


def _weight(row: NDArray[np.uint8]) -> int:
    n = len(row) // 2
    return int(np.count_nonzero(row[:n] | row[n:]))


def _lightened(row: NDArray[np.uint8], generators: NDArray[np.uint8]) -> NDArray[np.uint8]:
    best = row
    while True:
        lighter = min((best ^ generator for generator in generators), key=_weight, default=best)
        if _weight(lighter) >= _weight(best):
            return best
        best = lighter


def _lightest(rows: NDArray[np.uint8], n: int) -> NDArray[np.uint8]:
    """The independent set of least total weight that spans `rows` (a greedy choice is optimal: a matroid)."""
    rank = len(rows)
    if rank == 0 or rank > _LARGEST_LISTED_RANK or n > 64:
        return rows
    places = np.uint64(1) << np.arange(n, dtype=np.uint64)[::-1]
    x = np.zeros(1, dtype=np.uint64)
    z = np.zeros(1, dtype=np.uint64)
    for row in rows:
        x = np.concatenate([x, x ^ (row[:n] * places).sum(dtype=np.uint64)])
        z = np.concatenate([z, z ^ (row[n:] * places).sum(dtype=np.uint64)])
    weights = np.bitwise_count(x | z)
    kinds = np.where(z == 0, 0, np.where(x == 0, 1, 2))
    chosen: list[NDArray[np.uint8]] = []
    pivots: dict[int, int] = {}
    load = np.zeros(n)
    for weight, kind in product(range(1, n + 1), range(3)):
        (at,) = np.nonzero((weights == weight) & (kinds == kind))
        at = at[np.lexsort((z[at], x[at]))]
        supports = ((x[at] | z[at])[:, None] & places) != 0
        while len(at):
            for candidate in np.argsort(supports @ load, kind="stable"):
                at_candidate = at[candidate]
                if _extend(pivots, int(x[at_candidate]) << n | int(z[at_candidate])):
                    bits = np.concatenate([x[at_candidate] & places, z[at_candidate] & places]) != 0
                    chosen.append(bits.astype(np.uint8))
                    load += supports[candidate]
                    if len(chosen) == rank:
                        return np.array(chosen)
                    break
                weights[at_candidate] = 0  # dependent on those chosen, and so from now on
            else:
                break
            left = (weights[at] != 0) & (at != at_candidate)
            at, supports = at[left], supports[left]
    raise CodeError("stabilizer generators: got dependent rows, expected independent ones")


def _extend(pivots: dict[int, int], vector: int) -> bool:
    """Add `vector` to the span held by `pivots` (leading bit -> vector). Returns whether it was outside."""
    while vector:
        pivot = pivots.get(vector.bit_length())
        if pivot is None:
            pivots[vector.bit_length()] = vector
            return True
        vector ^= pivot
    return False
