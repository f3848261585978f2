"""Syndrome extraction: the gadgets that measure one stabilizer each, packed into the layers of one round.

Every gadget couples its ancilla (or cat state) to the data by controlled Paulis, the ancilla being the control, and
reads the stabilizer's value from measurements in X.

- `bare`: one ancilla. A fault on it between two gates spreads to all later data qubits: not fault tolerant.
- `flag`: the same, with flag qubits in |0> that are coupled to the ancilla after the first and before the last data
  gate. A fault that spreads to two or more data qubits (up to the stabilizer itself) raises a flag.
  Source: Chao and Reichardt 2018 (arXiv 1705.02329); several staggered flags for distance 5 and more are ours.
- `shor`: one cat-state qubit for each data qubit, so that no fault spreads at all; the cat is verified by parity checks
  before it touches the data. Source: Shor 1996 (quant-ph/9605011); DiVincenzo and Aliferis 2007.

Stabilizers of weight 3 or less need neither flag nor verification: what spreads has weight 1, up to the stabilizer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

from qecforge.evaluation.error_rates.circuits._layers import Operation, barrier, pack_operations

__all__ = [
    "ExtractionRound",
    "Gadget",
    "GadgetKind",
    "Schedule",
    "Ticks",
    "extraction_gadget",
    "extraction_round",
    "interleaved_round",
    "locally_commuting_phases",
]

Schedule: TypeAlias = tuple[tuple[int, ...], ...]
"""For each stabilizer its data qubits, in the order in which they are coupled."""

Ticks: TypeAlias = tuple[tuple[int, ...], ...]
"""For each stabilizer the layers, counted from 0, in which the gates of its schedule happen; ascending."""

GadgetKind: TypeAlias = Literal["bare", "flag", "shor"]


@dataclass(frozen=True)
class Gadget:
    """What measures one stabilizer.

    Attributes:
        before: Operations on ancillas alone, ahead of the first data gate (preparation of a cat state).
        coupling: Operations from the first data gate to the last.
        after: Measurements.
        outcome: Keys of the measurements whose parity is the stabilizer.
        flags: Keys of measurements that read 0 when nothing went wrong, as the decoder should see them.
        verifications: The same, for what may be post-selected.
    """

    before: tuple[Operation, ...]
    coupling: tuple[Operation, ...]
    after: tuple[Operation, ...]
    outcome: tuple[tuple[object, ...], ...]
    flags: tuple[tuple[object, ...], ...] = ()
    verifications: tuple[tuple[object, ...], ...] = ()


@dataclass(frozen=True)
class ExtractionRound:
    """One round of syndrome extraction.

    Attributes:
        layers: Its operations, layer by layer; measurement keys lack the round's number.
        gadgets: One for each stabilizer, in order.
        num_qubits: Data and ancilla qubits.
    """

    layers: tuple[tuple[Operation, ...], ...]
    gadgets: tuple[Gadget, ...]
    num_qubits: int


def locally_commuting_phases(stabilizers: Sequence[str]) -> list[list[int]]:
    """Stabilizers grouped so that within a group no two act on a qubit with different Paulis.

    Within a group the order of gates is free. Greedy, in the order given: X-type and Z-type for a CSS code.
    """
    phases: list[list[int]] = []
    for index, pauli in enumerate(stabilizers):
        for phase in phases:
            if all(_agree(pauli, stabilizers[other]) for other in phase):
                phase.append(index)
                break
        else:
            phases.append([index])
    return phases


def _agree(a: str, b: str) -> bool:
    return all(p == q or "I" in (p, q) for p, q in zip(a, b, strict=True))


def extraction_round(
    stabilizers: Sequence[str], schedule: Schedule, kind: GadgetKind, distance: int
) -> ExtractionRound:
    """The round that measures `stabilizers` once, each with ancillas of its own (qubits n, n+1, ...).

    Args:
        stabilizers: Pauli strings on qubits 0..n-1.
        schedule: The order of each stabilizer's data gates.
        kind: The gadgets.
        distance: The code's distance: how many faults flags and verifications should stand up to.
    """
    free = len(stabilizers[0])
    gadgets = []
    for index, (pauli, order) in enumerate(zip(stabilizers, schedule, strict=True)):
        gadget, used = extraction_gadget(index, pauli, order, kind, free, distance)
        gadgets.append(gadget)
        free += used
    layers: list[list[Operation]] = []
    data_free_from = 0
    for phase in locally_commuting_phases(stabilizers):
        packed = pack_operations([(*gadgets[i].before, *gadgets[i].coupling, *gadgets[i].after) for i in phase])
        touching = [
            at for at, layer in enumerate(packed) if any(_touches_data(op, len(stabilizers[0])) for op in layer)
        ]
        offset = max(0, data_free_from - touching[0])
        for at, layer in enumerate(packed):
            while len(layers) <= offset + at:
                layers.append([])
            layers[offset + at] += layer
        data_free_from = offset + touching[-1] + 1
    return ExtractionRound(tuple(tuple(layer) for layer in layers), tuple(gadgets), free)


def interleaved_round(stabilizers: Sequence[str], schedule: Schedule, ticks: Ticks) -> ExtractionRound:
    """The round of bare ancillas whose data gates happen at these ticks, all stabilizers side by side.

    Whether the ticks measure the stabilizers is not checked here; see `interleaving`.
    """
    n = len(stabilizers[0])
    gadgets = [
        extraction_gadget(index, pauli, order, "bare", n + index, 0)[0]
        for index, (pauli, order) in enumerate(zip(stabilizers, schedule, strict=True))
    ]
    layers: list[list[Operation]] = [[] for _ in range(max(t for times in ticks for t in times) + 3)]
    for gadget, times in zip(gadgets, ticks, strict=True):
        layers[times[0]] += gadget.before
        for operation, tick in zip(gadget.coupling, times, strict=True):
            layers[tick + 1].append(operation)
        layers[times[-1] + 2] += gadget.after
    return ExtractionRound(tuple(tuple(layer) for layer in layers), tuple(gadgets), n + len(gadgets))


def extraction_gadget(
    index: int, pauli: str, order: Sequence[int], kind: GadgetKind, ancilla: int, distance: int
) -> tuple[Gadget, int]:
    """The gadget that measures stabilizer `index`, on qubits from `ancilla` on, and how many of them it uses."""
    make = {"bare": _bare, "flag": _flag, "shor": _shor}[kind]
    return make(index, pauli, order, ancilla, distance)


def _touches_data(operation: Operation, n: int) -> bool:
    return any(qubit < n for qubit in operation.qubits)


def _bare(index: int, pauli: str, order: Sequence[int], ancilla: int, distance: int) -> tuple[Gadget, int]:
    key = ("stabilizer", index)
    return Gadget(
        before=(Operation("RX", (ancilla,)),),
        coupling=tuple(Operation(f"C{pauli[q]}", (ancilla, q)) for q in order),
        after=(Operation("MX", (ancilla,), key),),
        outcome=(key,),
    ), 1


def _flag(index: int, pauli: str, order: Sequence[int], ancilla: int, distance: int) -> tuple[Gadget, int]:
    windows = flag_windows(len(order), distance)
    flags = range(ancilla + 1, ancilla + 1 + len(windows))
    coupling: list[Operation] = []
    for place, qubit in enumerate(order):
        coupling += [Operation("CX", (ancilla, f)) for f, w in zip(flags, windows, strict=True) if w[0] == place]
        coupling += [Operation("CX", (ancilla, f)) for f, w in zip(flags, windows, strict=True) if w[1] == place]
        coupling.append(Operation(f"C{pauli[qubit]}", (ancilla, qubit)))
    key = ("stabilizer", index)
    flag_keys = tuple(("flag", index, number) for number in range(len(windows)))
    return Gadget(
        before=(Operation("RX", (ancilla,)), *(Operation("R", (f,)) for f in flags)),
        coupling=tuple(coupling),
        after=(
            Operation("MX", (ancilla,), key),
            *(Operation("M", (f,), k) for f, k in zip(flags, flag_keys, strict=True)),
        ),
        outcome=(key,),
        flags=flag_keys,
    ), 1 + len(windows)


def flag_windows(weight: int, distance: int) -> list[tuple[int, int]]:
    """Between which data gates each flag listens: (a, b) means from before gate a to before gate b (gates from 0).

    One flag over gates 1..w-1 catches every single fault that spreads; with t = (d - 1) // 2 faults to stand up to,
    t - 1 more flags listen to staggered parts, so that the flags also tell where the fault was.
    """
    if weight <= 3:
        return []
    faults = max(1, (distance - 1) // 2)
    first, last = 1, weight - 1
    windows = [(first, last)]
    for number in range(1, faults):
        cut = first + round(number * (last - first) / faults)
        if first < cut < last:
            windows.append((cut, last))
    return windows


def _shor(index: int, pauli: str, order: Sequence[int], ancilla: int, distance: int) -> tuple[Gadget, int]:
    weight = len(order)
    cat = tuple(range(ancilla, ancilla + weight))
    checks = verified_pairs(weight, distance)
    verifiers = tuple(range(ancilla + weight, ancilla + weight + len(checks)))
    keys = tuple(("verification", index, number) for number in range(len(checks)))
    before: list[Operation] = [Operation("RX", (cat[0],))]
    for control, target in pairwise(cat):
        before += [Operation("R", (target,)), Operation("CX", (control, target))]
    for verifier, (a, b), key in zip(verifiers, checks, keys, strict=True):
        before += [
            Operation("R", (verifier,)),
            Operation("CX", (cat[a], verifier)),
            Operation("CX", (cat[b], verifier)),
            Operation("M", (verifier,), key),
        ]
    if verifiers:
        before.append(barrier((*cat, *verifiers)))
    outcome = tuple(("stabilizer", index, number) for number in range(weight))
    return Gadget(
        before=tuple(before),
        coupling=tuple(Operation(f"C{pauli[q]}", (c, q)) for c, q in zip(cat, order, strict=True)),
        after=tuple(Operation("MX", (c,), key) for c, key in zip(cat, outcome, strict=True)),
        outcome=outcome,
        verifications=keys,
    ), weight + len(checks)


def verified_pairs(weight: int, distance: int) -> list[tuple[int, int]]:
    """Which pairs of cat-state qubits are compared before the cat is used.

    One comparison of the two ends catches every single fault of the preparation that would spread to more than one
    qubit; from distance 5 on, all neighbours are compared too.
    """
    if weight <= 3:
        return []
    ends = [(0, weight - 1)]
    return ends if distance < 5 else [*ends, *((i, i + 1) for i in range(weight - 1))]
