"""The standard order of matchable codes: all stabilizers side by side, the hooks of every one harmless.

A CSS code is matchable where each qubit lies in at most two checks of each type: rotated, planar and toric surface
codes, say, and up to the names of the Paulis on each qubit the XZZX codes too. There a fault on a bare ancilla leaves
the errors of the data gates after it, one edge of the matching graph where the order is right, and the order decides
whether that edge is a short cut for a logical operator. On the rotated surface code the orders that take no short cut
are those in the shapes of a Z (for one type) and an N (for the other).

They are found without coordinates, for any numbering of the qubits:

1. For each generator the orders whose hooks are edges, and leave the distance as it is together with the hooks of the
   generators before it.
2. Of those, times for all gates at once: no qubit twice at a time, and of two generators of different types each goes
   first on an even number of the qubits that they share, which is what makes them measure what they should. A
   backtracking search with forward checking; where it gives up, the types are measured one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, permutations
from math import inf
from typing import TypeAlias

import numpy as np

from qecforge.evaluation.error_rates.circuits._spread import Sector, residual_table, sectors
from qecforge.evaluation.error_rates.circuits.distance import graphlike_distance
from qecforge.evaluation.error_rates.circuits.extraction import (
    ExtractionRound,
    Gadget,
    Schedule,
    Ticks,
    extraction_gadget,
    extraction_round,
    interleaved_round,
)
from qecforge.evaluation.error_rates.circuits.generators import MeasuredCode, in_css_frame

__all__ = ["standard_round"]

_MOST_ORDERS = 60
"""Orders of a generator that are looked at: all of four qubits, a sample of more."""
_MOST_CHOICES = 20_000
_MOST_PLACEMENTS = 200
_RESTARTS = 5

_Order: TypeAlias = tuple[int, ...]

_Placement: TypeAlias = dict[int, int]
"""The tick of each data qubit's gate."""


def standard_round(code: MeasuredCode, seed: int) -> ExtractionRound | None:
    """The standard order of a matchable code, with bare ancillas; None for another code, and where a generator has no
    order whose hooks are edges."""
    framed = in_css_frame(code)
    if framed is None or any(
        sum(pauli[qubit] == letter for pauli in framed.stabilizers) > 2 for letter in "XZ" for qubit in range(code.n)
    ):
        return None
    rng = np.random.default_rng(seed)
    allowed = _harmless_orders(framed, rng)
    if allowed is None:
        return None
    placed = _place(framed, allowed, rng)
    if placed is None:
        return extraction_round(code.stabilizers, tuple(orders[0] for orders in allowed), "bare", 0)
    schedule: Schedule = tuple(tuple(sorted(one, key=one.__getitem__)) for one in placed)
    ticks: Ticks = tuple(tuple(sorted(one.values())) for one in placed)
    return interleaved_round(code.stabilizers, schedule, ticks)


def _harmless_orders(code: MeasuredCode, rng: np.random.Generator) -> list[list[_Order]] | None:
    """For each generator the orders that have the hooks chosen for it."""
    chosen: dict[int, list[_Order]] = {}
    for letter, sector in zip("XZ", sectors(code), strict=True):
        without_hooks = graphlike_distance(residual_table(sector, ()))
        before: list[Gadget] = []
        for index, pauli in enumerate(code.stabilizers):
            if letter in pauli:
                found = _harmless(sector, pauli, before, without_hooks, rng)
                if found is None:
                    return None
                chosen[index], gadget = found
                before.append(gadget)
    return [chosen[index] for index in range(len(code.stabilizers))]


def _harmless(
    sector: Sector, pauli: str, before: Sequence[Gadget], target: int | None, rng: np.random.Generator
) -> tuple[list[_Order], Gadget] | None:
    """Orders of equal hooks that keep the distance at `target`, else at as much of it as can be had."""
    support = tuple(qubit for qubit, p in enumerate(pauli) if p != "I")
    same_hooks: dict[frozenset[tuple[tuple[int, ...], int]], tuple[list[_Order], Gadget]] = {}
    for order in _orders(support, rng):
        gadget, _ = extraction_gadget(0, pauli, order, "bare", sector.n, 0)
        table = residual_table(sector, (gadget,))
        if all(len(detectors) <= 2 for detectors in table.detectors):
            hooks = frozenset(zip(table.detectors, table.observables, strict=True))
            same_hooks.setdefault(hooks, ([], gadget))[0].append(order)
    best: tuple[float, tuple[list[_Order], Gadget]] | None = None
    for orders, gadget in same_hooks.values():
        reached = graphlike_distance(residual_table(sector, (*before, gadget)))
        value = inf if reached is None else reached
        if best is None or value > best[0]:
            best = (value, (orders, gadget))
        if target is None or value >= target:
            break
    return None if best is None else best[1]


def _orders(support: _Order, rng: np.random.Generator) -> list[_Order]:
    if len(support) <= 4:
        return list(permutations(support))
    drawn = {support: None} | {tuple(int(q) for q in rng.permutation(support)): None for _ in range(_MOST_ORDERS - 1)}
    return list(drawn)


def _place(
    code: MeasuredCode, allowed: Sequence[Sequence[_Order]], rng: np.random.Generator
) -> list[_Placement] | None:
    """Ticks for every gate, in as few layers as weights and degrees allow or one more; None where none were found."""
    supports = [set(orders[0]) for orders in allowed]
    degree = max(sum(qubit in support for support in supports) for qubit in range(code.n))
    least = max(degree, max(map(len, supports)))
    for layers in (least, least + 1):
        values = [
            [
                dict(zip(order, ticks, strict=True))
                for order in orders
                for ticks in combinations(range(layers), len(order))
            ]
            for orders in allowed
        ]
        if max(map(len, values)) > _MOST_PLACEMENTS:
            return None
        puzzle = _Puzzle(code.stabilizers, values)
        for _ in range(_RESTARTS):
            if (found := puzzle.solve(rng)) is not None:
                return found
    return None


class _Puzzle:
    """One placement for each generator, such that any two go together."""

    def __init__(self, stabilizers: Sequence[str], values: Sequence[Sequence[_Placement]]) -> None:
        self._values = values
        self._compatible: dict[tuple[int, int], list[int]] = {}
        self._neighbours: list[list[int]] = [[] for _ in values]
        for i, j in permutations(range(len(values)), 2):
            shared = sorted(set(values[i][0]) & set(values[j][0]))
            if not shared:
                continue
            crossing = [q for q in shared if stabilizers[i][q] != stabilizers[j][q]]
            self._neighbours[i].append(j)
            self._compatible[i, j] = [
                sum(1 << at for at, b in enumerate(values[j]) if _go_together(a, b, shared, crossing))
                for a in values[i]
            ]

    def solve(self, rng: np.random.Generator) -> list[_Placement] | None:
        """A solution, values tried in random order; None where there is none or it takes too long to find."""
        domains = [(1 << len(values)) - 1 for values in self._values]
        self._left = _MOST_CHOICES
        solved = self._extend(domains, frozenset(range(len(domains))), rng)
        if solved is None:
            return None
        return [values[one.bit_length() - 1] for values, one in zip(self._values, solved, strict=True)]

    def _extend(self, domains: list[int], open_: frozenset[int], rng: np.random.Generator) -> list[int] | None:
        if not open_:
            return domains
        at = min(open_, key=lambda i: (domains[i].bit_count(), i))
        choices = [bit for bit in range(len(self._values[at])) if domains[at] >> bit & 1]
        for bit in rng.permutation(choices):
            self._left -= 1
            if self._left < 0:
                return None
            narrowed = self._narrowed(domains, at, int(bit))
            if narrowed is not None and (found := self._extend(narrowed, open_ - {at}, rng)) is not None:
                return found
        return None

    def _narrowed(self, domains: list[int], at: int, bit: int) -> list[int] | None:
        """The domains once generator `at` has this value, made arc-consistent; None where one is empty."""
        domains = domains.copy()
        domains[at] = 1 << bit
        pending = [at]
        while pending:
            i = pending.pop()
            for j in self._neighbours[i]:
                supported = 0
                for value in range(len(self._values[i])):
                    if domains[i] >> value & 1:
                        supported |= self._compatible[i, j][value]
                kept = domains[j] & supported
                if not kept:
                    return None
                if kept != domains[j]:
                    domains[j] = kept
                    pending.append(j)
        return domains


def _go_together(a: _Placement, b: _Placement, shared: Sequence[int], crossing: Sequence[int]) -> bool:
    return all(a[q] != b[q] for q in shared) and sum(a[q] < b[q] for q in crossing) % 2 == 0
