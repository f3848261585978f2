"""Codes to test with: those of the textbooks, with qubits and letters shuffled where a test wants another each time."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import stim

from qecforge.codes import StabilizerCode
from qecforge.codes.known_codes import cube, five_qubit, rotated_surface, shor, steane
from qecforge_qiskit_tasks.checks.qec import label_of, pauli_of

__all__ = ["KNOWN", "disguised", "known", "random_code", "random_generators", "random_pauli"]

_random = random.SystemRandom()

KNOWN: dict[str, Callable[[], StabilizerCode]] = {
    "four_two_two": lambda: StabilizerCode.from_paulis(["XXXX", "ZZZZ"]),
    "five_qubit": five_qubit,
    "steane": steane,
    "cube": cube,
    "shor": shor,
    "surface_3": lambda: rotated_surface(3),
    "surface_5": lambda: rotated_surface(5),
}
"""[[4,2,2]], [[5,1,3]], [[7,1,3]], [[8,3,2]], [[9,1,3]], and rotated surface codes of distance 3 and 5."""


def known(name: str) -> list[str]:
    """Labels of the generators of a code in `KNOWN`."""
    return [text[::-1] for text in KNOWN[name]().stabilizers]


def disguised(stabilizers: Sequence[str]) -> list[str]:
    """The code with its qubits permuted and X, Y and Z of each qubit permuted: the same distance, other labels.

    Generators are mixed too (each is multiplied with some of those before it), and have no signs.
    """
    n = len(stabilizers[0])
    order = _random.sample(range(n), n)
    letters = ["I" + "".join(_random.sample("XYZ", 3)) for _ in range(n)]
    mixed: list[stim.PauliString] = []
    for label in _random.sample(list(stabilizers), len(stabilizers)):
        turned = "".join(letters[q]["IXYZ".index(label[order[q]])] for q in range(n))
        pauli = pauli_of(turned)
        for other in mixed:
            if _random.random() < 0.3:
                pauli *= other
        mixed.append(pauli)
    return [label_of(pauli) for pauli in mixed]


def random_code(qubits: int, logical_qubits: int) -> list[str]:
    """Labels of n - k independent generators of a random code; no signs, so all +."""
    tableau = stim.Tableau.random(qubits)
    return [label_of(tableau.z_output(index)) for index in range(logical_qubits, qubits)]


def random_generators(qubits: int, independent: int, count: int) -> list[str]:
    """`count` labels, shuffled, that generate a random group of `independent` generators; without
    signs, so that a product may have another than its factors give it."""
    base = [pauli_of(label) for label in random_code(qubits, qubits - independent)]
    paulis = list(base)
    while len(paulis) < count:
        made = stim.PauliString(qubits)
        for each in _random.sample(base, _random.randint(1, independent)):
            made *= each
        paulis.append(made)
    _random.shuffle(paulis)
    return [label_of(pauli) for pauli in paulis]


def random_pauli(qubits: int, weight: int | None = None) -> str:
    """A label of that weight, or of any from 1 on."""
    weight = _random.randint(1, qubits) if weight is None else weight
    label = np.full(qubits, "I")
    for place in _random.sample(range(qubits), weight):
        label[place] = _random.choice("XYZ")
    return "".join(label)
