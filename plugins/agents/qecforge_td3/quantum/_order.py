"""In which order the CZs of a circuit are carried out, so that few qubits are held at once.

CZs without a common qubit commute, with the rotations around them, so any order will do that keeps each qubit's own.
Chosen is, of those that could come next, one that brings least into the register.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from qecforge_td3.quantum._rotations import LANES

__all__ = ["AFTER", "BEFORE", "fires", "link", "order_gates"]

BEFORE, AFTER = 0, 1
"""Of `links[gate, end]`: the gate that this end's qubit has before it, and after it; -1 for none."""


@njit(nogil=True, error_model="numpy", inline="always")
def fires(pairs: Any, gate: int) -> Any:
    """Whether this is a CZ: two qubits, and not one twice, which is no gate."""
    return pairs[gate, 0] != pairs[gate, 1]


@njit(nogil=True, error_model="numpy", cache=True)
def link(pairs: Any, gates: int, links: Any, last: Any) -> None:
    """Fill `links` (gates, 2, 2) and `last` (LANES,), each qubit's last gate or -1; all int64."""
    for q in range(LANES):
        last[q] = -1
    for gate in range(gates):
        if not fires(pairs, gate):
            continue
        for end in range(2):
            q = pairs[gate, end]
            before = last[q]
            links[gate, end, BEFORE] = before
            links[gate, end, AFTER] = -1
            if before >= 0:
                links[before, 0 if pairs[before, 0] == q else 1, AFTER] = gate
            last[q] = gate


@njit(nogil=True, error_model="numpy", cache=True)
def order_gates(pairs: Any, gates: int, links: Any, leaving: bool, order: Any, notes: Any) -> int:
    """Fill `order` with the gates that fire.

    Args:
        pairs: (gates, 2) int64.
        links: As `link` left them.
        leaving: Whether qubits leave the register after their last CZ; else they stay.
        order: (gates,) int64.
        notes: (3, >= gates) int64, scratch: what each gate brings, how many it waits for, which are ready.

    Returns:
        How many fire.
    """
    brings, waits, ready = notes[0], notes[1], notes[2]
    waiting = 0
    for gate in range(gates):
        if not fires(pairs, gate):
            continue
        first = (links[gate, 0, BEFORE] < 0) + (links[gate, 1, BEFORE] < 0)
        last = (links[gate, 0, AFTER] < 0) + (links[gate, 1, AFTER] < 0)
        brings[gate] = first - last if leaving else first
        waits[gate] = 2 - first
        if first == 2:
            ready[waiting] = gate
            waiting += 1
    done = 0
    while waiting:
        at = 0
        for other in range(1, waiting):
            if brings[ready[other]] < brings[ready[at]]:
                at = other
        gate = ready[at]
        waiting -= 1
        ready[at] = ready[waiting]
        order[done] = gate
        done += 1
        for end in range(2):
            after = links[gate, end, AFTER]
            if after >= 0:
                waits[after] -= 1
                if waits[after] == 0:
                    ready[waiting] = after
                    waiting += 1
    return done
