"""Are two codes the same up to the order of their qubits?

First invariants: n, k, being CSS, the weight enumerators. Then a search: a permutation that maps one code to the other
maps the light elements of one stabilizer group to those of the other. These elements and the qubits are coloured alike
wherever a permutation could not tell them apart (colour refinement), qubits of equal colour are tried against each
other one at a time, and each permutation that comes out is checked in full. Only permutations are sought, no local
Cliffords.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qecforge.codes import _gf2
from qecforge.codes.distance.enumerators import weight_enumerators
from qecforge.codes.stabilizer_code import StabilizerCode

__all__ = ["equivalent_under_permutation"]

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
    return _Matching(a, b, elements_a, elements_b, limit).run()


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

    a: StabilizerCode
    b: StabilizerCode
    elements_a: NDArray[np.uint8]
    elements_b: NDArray[np.uint8]
    limit: int

    def run(self) -> bool | None:
        colours = np.zeros(self.a.n, dtype=np.uint64)
        return self._match(colours, colours.copy())

    def _match(self, colours_a: _Colours, colours_b: _Colours) -> bool | None:
        if self.limit <= 0:
            return None
        self.limit -= 1
        colours_a, colours_b = _refined(self.elements_a, colours_a), _refined(self.elements_b, colours_b)
        if not np.array_equal(np.sort(colours_a), np.sort(colours_b)):
            return False
        cells, counts = np.unique(colours_a, return_counts=True)
        if len(cells) == self.a.n:
            permutation = np.empty(self.a.n, dtype=np.intp)
            permutation[np.argsort(colours_b)] = np.argsort(colours_a)
            return self.a.permuted(permutation.tolist()) == self.b
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


def _mixed(words: _Colours) -> _Colours:
    """Spread bits over the words, as the murmur hash does at its end."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
