"""The gates that actions append: classes of Clifford gates modulo Paulis, and the table of actions.

Paulis change signs only, and signs change neither the distance nor the Knill-Laflamme conditions. So the single-qubit
Cliffords come down to the six permutations of (X, Y, Z): identity, `h`, `s`, `sqrt_x`, `c_xyz`, `c_zyx`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qecforge.errors import did_you_mean

__all__ = ["GATES", "NO_ACTION", "ActionTable", "Gate", "action_table", "commutation", "resolve_gates"]

NO_ACTION = 0xFFFF
"""Where an action index is kept as uint16: none."""


@dataclass(frozen=True)
class Gate:
    """A class of gates modulo Paulis.

    Attributes:
        name: As in a manifest.
        opcode: As in the kernels; 0 is `stop`.
        stim: The representative that goes into the circuit.
        qubits: How many it acts on.
        inverse: Name of the class that undoes it.
        directed: Whether its two qubits play different roles (control and target).
        entangling: Whether it can entangle two qubits.
    """

    name: str
    opcode: int
    stim: str
    qubits: int
    inverse: str
    directed: bool = False
    entangling: bool = False


GATES: dict[str, Gate] = {
    gate.name: gate
    for gate in (
        Gate("h", 1, "H", 1, "h"),
        Gate("s", 2, "S", 1, "s"),
        Gate("sqrt_x", 3, "SQRT_X", 1, "sqrt_x"),
        Gate("c_xyz", 4, "C_XYZ", 1, "c_zyx"),
        Gate("c_zyx", 5, "C_ZYX", 1, "c_xyz"),
        Gate("cx", 6, "CX", 2, "cx", directed=True, entangling=True),
        Gate("cy", 7, "CY", 2, "cy", directed=True, entangling=True),
        Gate("cz", 8, "CZ", 2, "cz", entangling=True),
        Gate("swap", 9, "SWAP", 2, "swap"),
        Gate("iswap", 10, "ISWAP", 2, "iswap", entangling=True),
    )
}

_ALIASES: dict[str, tuple[str, ...]] = {
    "c1": ("h", "s", "sqrt_x", "c_xyz", "c_zyx"),
    "hadamard": ("h",),
    "sqrt_y": ("h",),
    "sqrt_y_dag": ("h",),
    "s_dag": ("s",),
    "sdg": ("s",),
    "sqrt_z": ("s",),
    "sqrt_z_dag": ("s",),
    "sx": ("sqrt_x",),
    "sxdg": ("sqrt_x",),
    "sqrt_x_dag": ("sqrt_x",),
    "cnot": ("cx",),
}


def resolve_gates(names: Sequence[str]) -> tuple[str, ...]:
    """Names as a user may give them (`c1` is every single-qubit class, `s_dag` is `s` modulo Paulis) -> class names.

    Raises:
        ValueError: A name that is unknown, or given twice.
    """
    resolved: list[str] = []
    for name in names:
        lower = name.lower()
        if lower in ("i", "id", "x", "y", "z"):
            raise ValueError(
                f"gate {name!r} is a Pauli: it changes signs alone, never the code's distance. Leave it out"
            )
        if lower not in GATES and lower not in _ALIASES:
            offer = did_you_mean(lower, [*GATES, *_ALIASES])
            raise ValueError(
                f"unknown gate {name!r}.{offer} Choose among {', '.join(GATES)}, or c1 for all of one qubit"
            )
        for gate in _ALIASES.get(lower, (lower,)):
            if gate in resolved:
                raise ValueError(f"gate {name!r} repeats {gate!r} (gates count modulo Paulis). Give each one once")
            resolved.append(gate)
    return tuple(resolved)


@dataclass(frozen=True)
class ActionTable:
    """What each action does, as arrays of length A; `stop`, if allowed, is the last action.

    Attributes:
        opcode: uint8, `Gate.opcode`, 0 for stop.
        first, second: int64 qubits; `second` equals `first` for gates of one qubit, both are 0 for stop.
        inverse: uint16, the action that undoes this one, or `NO_ACTION`.
        names: Such as "h 3", "cx 0 1", "stop".
        stim: Instructions in stim's language, such as "CX 0 1"; "" for stop.
    """

    opcode: NDArray[np.uint8]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    inverse: NDArray[np.uint16]
    names: tuple[str, ...]
    stim: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)


def action_table(gates: Sequence[str], n: int, pairs: Sequence[tuple[int, int]], *, stop: bool) -> ActionTable:
    """Actions in the order of `gates`, each on every qubit or pair it may act on, then stop.

    Args:
        gates: Class names.
        n: Qubits.
        pairs: Directed pairs (control, target). Symmetric gates take each pair once, whichever way it is given.
        stop: Whether to add the stop action.
    """
    unordered = sorted({(min(pair), max(pair)) for pair in pairs})
    rows: list[tuple[Gate, int, int]] = []
    for name in gates:
        gate = GATES[name]
        if gate.qubits == 1:
            rows += [(gate, q, q) for q in range(n)]
        else:
            rows += [(gate, a, b) for a, b in (sorted(set(pairs)) if gate.directed else unordered)]
    index = {(gate.name, a, b): i for i, (gate, a, b) in enumerate(rows)}
    names = [f"{gate.name} {a}" if gate.qubits == 1 else f"{gate.name} {a} {b}" for gate, a, b in rows]
    stim = [f"{gate.stim} {a}" if gate.qubits == 1 else f"{gate.stim} {a} {b}" for gate, a, b in rows]
    tail = 1 if stop else 0
    if len(rows) + tail >= NO_ACTION:
        raise ValueError(f"{len(rows)} actions are too many (at most {NO_ACTION - 2}): take fewer gates or couplings")
    return ActionTable(
        opcode=np.array([gate.opcode for gate, _, _ in rows] + [0] * tail, dtype=np.uint8),
        first=np.array([a for _, a, _ in rows] + [0] * tail, dtype=np.int64),
        second=np.array([b for _, _, b in rows] + [0] * tail, dtype=np.int64),
        inverse=np.array(
            [index.get((gate.inverse, a, b), NO_ACTION) for gate, a, b in rows] + [NO_ACTION] * tail, dtype=np.uint16
        ),
        names=(*names, *(["stop"] * tail)),
        stim=(*stim, *([""] * tail)),
    )


_IMAGES: dict[str, tuple[str, ...]] = {
    "h": ("Z", "X"),
    "s": ("Y", "Z"),
    "sqrt_x": ("X", "Y"),
    "c_xyz": ("Y", "X"),
    "c_zyx": ("Z", "Y"),
    "cx": ("XX", "ZI", "IX", "ZZ"),
    "cy": ("XY", "ZI", "ZX", "ZZ"),
    "cz": ("XZ", "ZI", "ZX", "IZ"),
    "swap": ("IX", "IZ", "XI", "ZI"),
    "iswap": ("ZY", "IZ", "YZ", "ZI"),
}
"""Images of X_a, Z_a (and X_b, Z_b), as Paulis on (a, b), signs left out."""


def _symplectic(gate: Gate, qubits: Sequence[int]) -> NDArray[np.uint8]:
    """(8, 8) matrix over GF(2) of a gate among 4 qubits: row 2q is the image of X_q, 2q + 1 of Z_q; bits (x, z)."""
    matrix = np.eye(8, dtype=np.uint8)
    sources = [2 * q + t for q in qubits[: gate.qubits] for t in range(2)]
    for source, image in zip(sources, _IMAGES[gate.name], strict=True):
        matrix[source] = 0
        for q, pauli in zip(qubits, image, strict=False):
            matrix[source, 2 * q] = pauli in "XY"
            matrix[source, 2 * q + 1] = pauli in "ZY"
    return matrix


def commutation(gates: Sequence[str]) -> NDArray[np.bool_]:
    """Which gates commute modulo Paulis: `[opcode, opcode, meeting]`, for the gates named; elsewhere False, but
    True where no qubits coincide.

    `meeting` says which qubits coincide: 1 first and first, 2 first and second, 4 second and first, 8 second and
    second, added up (for a gate of one qubit, `second` is `first`).
    """
    size = max(gate.opcode for gate in GATES.values()) + 1
    table = np.zeros((size, size, 16), np.bool_)
    table[:, :, 0] = True
    for one, other in itertools.product((GATES[name] for name in gates), repeat=2):
        a, b = 0, one.qubits - 1
        left = _symplectic(one, (a, b))
        for c, d in itertools.permutations(range(4), 2):
            second = d if other.qubits == 2 else c
            meeting = (a == c) + 2 * (a == second) + 4 * (b == c) + 8 * (b == second)
            right = _symplectic(other, (c, second))
            table[one.opcode, other.opcode, meeting] = np.array_equal(left @ right % 2, right @ left % 2)
    return table
