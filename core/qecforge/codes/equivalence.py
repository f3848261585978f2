"""Are two codes the same up to the order of their qubits, or up to that and Clifford gates on single qubits?

First invariants: n, k, being CSS, the weight enumerators. Then a search: a permutation that maps one code to the other
maps the light elements of one stabilizer group to those of the other. These elements and the qubits are coloured alike
wherever a permutation could not tell them apart (colour refinement), qubits of equal colour are tried against each
other one at a time, and each permutation that comes out is checked in full. A Clifford gate on a qubit permutes its
three Paulis: with such gates, what is permuted are 3n Paulis, those of a qubit staying together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from qecforge.codes import _gf2, known_codes
from qecforge.codes.distance.enumerators import weight_enumerators
from qecforge.codes.stabilizer_code import StabilizerCode

__all__ = ["equivalent_under_local_cliffords", "equivalent_under_permutation", "known_equivalents"]

_ENUMERATED_BITS = 26
_LISTED_BITS = 16
_Colours = NDArray[np.uint64]


def equivalent_under_permutation(a: StabilizerCode, b: StabilizerCode, *, limit: int = 2000) -> bool | None:
    """Whether some order of `a`'s qubits makes it equal to `b`.

    Args:
        a, b: Codes.
        limit: Colour refinements that the search may take.

    Returns:
        True or False where that was decided; None where invariants agree and the search was given up at `limit`, or
        n - k is above 16, too many stabilizers to list.
    """
    if (a.n, a.k, a.css is None) != (b.n, b.k, b.css is None):
        return False
    if a == b:
        return True
    generators = a.n - a.k
    if generators <= _ENUMERATED_BITS and weight_enumerators(a) != weight_enumerators(b):
        return False
    if generators > _LISTED_BITS:
        return None
    elements_a, elements_b = _light_elements(a), _light_elements(b)
    if elements_a.shape != elements_b.shape:
        return False

    def equal(permutation: NDArray[np.intp]) -> bool:
        return a.permuted(permutation.tolist()) == b

    return _Matching(partial(_refined, elements_a), partial(_refined, elements_b), equal, limit).run(a.n)


def equivalent_under_local_cliffords(a: StabilizerCode, b: StabilizerCode, *, limit: int = 2000) -> bool | None:
    """Whether some order of `a`'s qubits and some Clifford gate on each of them make it equal to `b`, up to signs.

    Args:
        a, b: Codes.
        limit: Colour refinements that the search may take.

    Returns:
        As `equivalent_under_permutation`.
    """
    if (a.n, a.k) != (b.n, b.k):
        return False
    generators = a.n - a.k
    if generators <= _ENUMERATED_BITS and weight_enumerators(a) != weight_enumerators(b):
        return False
    if generators > _LISTED_BITS:
        return None
    elements_a, elements_b = _light_elements(a), _light_elements(b)
    if elements_a.shape != elements_b.shape:
        return False
    refined = [partial(_refined_paulis, _paulis_of(elements)) for elements in (elements_a, elements_b)]
    return _Matching(refined[0], refined[1], partial(_maps_into, a, b), limit).run(3 * a.n)


def known_equivalents(code: StabilizerCode) -> dict[str, bool]:
    """Codes of the literature with the code's n and k, and whether it is equivalent to each.

    Equivalent: up to the order of the qubits and Clifford gates on single qubits. What could not be decided is left
    out.
    """
    found = {
        name: equivalent_under_local_cliffords(code, known())
        for name, (n, k, known) in _LITERATURE.items()
        if (code.n, code.k) == (n, k)
    }
    return {name: decided for name, decided in found.items() if decided is not None}


_LITERATURE: Mapping[str, tuple[int, int, Callable[[], StabilizerCode]]] = {
    "the five-qubit code": (5, 1, known_codes.five_qubit),
    "Steane's code": (7, 1, known_codes.steane),
    "the [[8,3,2]] cube code": (8, 3, known_codes.cube),
    "Shor's code": (9, 1, known_codes.shor),
    "the surface code of distance 3": (9, 1, partial(known_codes.rotated_surface, 3)),
    "the shortened dodecacode": (11, 1, known_codes.eleven_qubit),
}


def _paulis_of(elements: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(m, 3n): whether an element has X, Z or Y on a qubit."""
    return np.stack([elements == letter for letter in (1, 2, 3)], axis=2).reshape(len(elements), 3 * elements.shape[1])


def _maps_into(a: StabilizerCode, b: StabilizerCode, permutation: NDArray[np.intp]) -> bool:
    """Whether the permutation keeps the Paulis of each qubit together and takes the stabilizers of `a` to those of `b`.

    Args:
        permutation: (3n,); Pauli i of `b` is Pauli `permutation[i]` of `a`.
    """
    n = a.n
    of_qubit = permutation.reshape(n, 3) // 3
    if (of_qubit != of_qubit[:, :1]).any():
        return False
    letters = a.check_matrix[:, :n] + 2 * a.check_matrix[:, n:]
    mapped = _paulis_of(letters)[:, permutation].reshape(len(letters), n, 3)
    x, z = mapped[..., 0] | mapped[..., 2], mapped[..., 1] | mapped[..., 2]
    rows = np.vstack([b.check_matrix, np.hstack([x, z]).astype(np.uint8)])
    return bool(_gf2.rank(_gf2.pack_rows(rows)) == n - a.k)


def _light_elements(code: StabilizerCode) -> NDArray[np.uint8]:
    """(m, n) letters (I, X, Z, Y as 0..3) of the stabilizers up to the smallest weight at which they generate the
    group."""
    n = code.n
    elements = np.zeros((1, 2 * n), dtype=np.uint8)
    for row in code.check_matrix:
        elements = np.vstack([elements, elements ^ row])
    letters = elements[:, :n] + 2 * elements[:, n:]
    weights = np.count_nonzero(letters, axis=1)
    for weight in np.unique(weights):
        light = weights <= weight
        if _gf2.rank(_gf2.pack_rows(elements[light])) == n - code.k:
            chosen: NDArray[np.uint8] = letters[light & (weights > 0)]
            return chosen
    raise AssertionError("all elements of a group generate it")


@dataclass
class _Matching:
    """Individualisation and refinement, in both codes side by side."""

    refined_a: Callable[[_Colours], _Colours]
    refined_b: Callable[[_Colours], _Colours]
    accepted: Callable[[NDArray[np.intp]], bool]
    limit: int

    def run(self, size: int) -> bool | None:
        colours = np.zeros(size, dtype=np.uint64)
        return self._match(colours, colours.copy())

    def _match(self, colours_a: _Colours, colours_b: _Colours) -> bool | None:
        if self.limit <= 0:
            return None
        self.limit -= 1
        colours_a, colours_b = self.refined_a(colours_a), self.refined_b(colours_b)
        if not np.array_equal(np.sort(colours_a), np.sort(colours_b)):
            return False
        cells, counts = np.unique(colours_a, return_counts=True)
        if len(cells) == len(colours_a):
            permutation = np.empty(len(cells), dtype=np.intp)
            permutation[np.argsort(colours_b)] = np.argsort(colours_a)
            return self.accepted(permutation)
        open_cells = counts > 1
        cell = cells[open_cells][np.argmin(counts[open_cells])]
        single_a = colours_a.copy()
        single_a[np.flatnonzero(colours_a == cell)[0]] ^= np.uint64(1)
        undecided = False
        for qubit in np.flatnonzero(colours_b == cell):
            single_b = colours_b.copy()
            single_b[qubit] ^= np.uint64(1)
            matched = self._match(single_a, single_b)
            if matched:
                return True
            undecided |= matched is None
        return None if undecided else False


def _refined(elements: NDArray[np.uint8], colours: _Colours) -> _Colours:
    """Colours of qubits after telling apart, again and again, those whose elements differ in colours and letters.

    Colours are hashes of what distinguishes a qubit, the same in every code: isomorphic places get equal ones.
    """
    distinct = len(np.unique(colours))
    while True:
        of_elements = np.zeros(len(elements), dtype=np.uint64)
        for letter in (1, 2, 3):
            contributions = _mixed(colours + np.uint64(letter))
            of_elements += np.where(elements == letter, contributions, np.uint64(0)).sum(axis=1, dtype=np.uint64)
        gathered = np.zeros(len(colours), dtype=np.uint64)
        for letter in (1, 2, 3):
            contributions = _mixed(of_elements + np.uint64(letter))[:, np.newaxis]
            gathered += np.where(elements == letter, contributions, np.uint64(0)).sum(axis=0, dtype=np.uint64)
        colours = _mixed(_mixed(colours) + gathered)
        now = len(np.unique(colours))
        if now == distinct:
            return colours
        distinct = now


def _refined_paulis(elements: NDArray[np.bool_], colours: _Colours) -> _Colours:
    """The same of 3n Paulis, where those of one qubit belong together. `elements` are (m, 3n)."""
    distinct = len(np.unique(colours))
    while True:
        of_elements = np.where(elements, _mixed(colours + np.uint64(1)), np.uint64(0)).sum(axis=1, dtype=np.uint64)
        spread = _mixed(of_elements + np.uint64(2))[:, np.newaxis]
        gathered = np.where(elements, spread, np.uint64(0)).sum(axis=0, dtype=np.uint64)
        qubits = _mixed(colours + np.uint64(3)).reshape(-1, 3).sum(axis=1, dtype=np.uint64)
        colours = _mixed(_mixed(colours) + gathered + _mixed(np.repeat(qubits, 3)))
        now = len(np.unique(colours))
        if now == distinct:
            return colours
        distinct = now


def _mixed(words: _Colours) -> _Colours:
    """Spread bits over the words, as the murmur hash does at its end."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
