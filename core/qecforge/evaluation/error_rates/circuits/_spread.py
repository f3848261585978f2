"""What single faults of one round leave behind: the part of an experiment that the order of gates decides.

Project the rounds of a memory experiment onto one: forget when each stabilizer noticed something, and keep whether the
error that remains on the data is noticed at all, and which flags and verifications fired. A set of faults that no
detector sees projects to one that no residual syndrome and no flag sees, so the least undetectable set of this small
table bounds the circuit distance from below, for any number of rounds. A gadget's rows depend on its own order alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from qecforge.evaluation.error_rates.circuits._faults import FaultTable
from qecforge.evaluation.error_rates.circuits._layers import RESETS
from qecforge.evaluation.error_rates.circuits.extraction import Gadget
from qecforge.evaluation.error_rates.circuits.generators import MeasuredCode, coupled_qubits

__all__ = ["Sector", "residual_table", "sectors"]


@dataclass(frozen=True)
class Sector:
    """Errors that are noticed, and matter, apart from others: the X errors of a CSS code, say.

    Attributes:
        n: Data qubits.
        coupled: Those that some generator acts on; no order of gates does anything to others.
        checks: Generators that notice them, Pauli strings.
        logicals: Logical operators that they may flip.
    """

    n: int
    coupled: frozenset[int]
    checks: tuple[str, ...]
    logicals: tuple[str, ...]

    @cached_property
    def effects(self) -> tuple[tuple[int, int], ...]:
        """For each data qubit what X and what Z on it flips: bit i is check i, bit checks + j logical j."""
        rows = (*self.checks, *self.logicals)
        return tuple(
            (
                sum(1 << bit for bit, pauli in enumerate(rows) if pauli[qubit] in "YZ"),
                sum(1 << bit for bit, pauli in enumerate(rows) if pauli[qubit] in "XY"),
            )
            for qubit in range(self.n)
        )

    @cached_property
    def data_errors(self) -> frozenset[int]:
        """Effects of the single-qubit Paulis on coupled qubits."""
        errors = {e for qubit in self.coupled for x, z in [self.effects[qubit]] for e in (x, z, x ^ z)}
        return frozenset(errors - {0})


def sectors(code: MeasuredCode) -> tuple[Sector, ...]:
    """Two for a CSS code, else one."""
    coupled = coupled_qubits(code)
    if not code.is_css:
        return (Sector(code.n, coupled, code.stabilizers, (*code.logical_x, *code.logical_z)),)
    return tuple(
        Sector(code.n, coupled, tuple(s for s in code.stabilizers if set(s) <= {"I", letter}), logicals)
        for letter, logicals in (("Z", code.logical_z), ("X", code.logical_x))
    )


def gadget_effects(sector: Sector, gadget: Gadget) -> frozenset[int]:
    """Effects of the single faults of a gadget; its flags and verifications follow the logical bits."""
    first = len(sector.checks) + len(sector.logicals)
    flags = {key: 1 << first + bit for bit, key in enumerate((*gadget.flags, *gadget.verifications))}
    of_x = {qubit: x for qubit, (x, _) in enumerate(sector.effects)}
    of_z = {qubit: z for qubit, (_, z) in enumerate(sector.effects)}
    effects: set[int] = set()
    # Backwards in time: of_x[q] is what an X on q right after the operation flips in the end.
    for operation in reversed((*gadget.before, *gadget.coupling, *gadget.after)):
        name, qubits = operation.name, operation.qubits
        if name == "BARRIER":
            continue
        if name in ("M", "MX"):
            flip = flags.get(operation.key, 0) if operation.key is not None else 0
            effects.add(flip)
            of_x[qubits[0]], of_z[qubits[0]] = (flip, 0) if name == "M" else (0, flip)
        elif name in RESETS:
            effects.add((of_x if name == "R" else of_z)[qubits[0]])
            of_x[qubits[0]] = of_z[qubits[0]] = 0
        else:
            control, target = qubits
            x_control, z_control = of_x.get(control, 0), of_z.get(control, 0)
            x_target, z_target = of_x.get(target, 0), of_z.get(target, 0)
            effects |= {
                a ^ b
                for a in (0, x_control, z_control, x_control ^ z_control)
                for b in (0, x_target, z_target, x_target ^ z_target)
            }
            pauli = name[1]
            of_x[control] = x_control ^ {"X": x_target, "Y": x_target ^ z_target, "Z": z_target}[pauli]
            of_z[control] = z_control
            of_x[target] = x_target ^ (z_control if pauli in "YZ" else 0)
            of_z[target] = z_target ^ (z_control if pauli in "XY" else 0)
    return frozenset(effects - {0})


def residual_table(sector: Sector, gadgets: Iterable[Gadget]) -> FaultTable:
    """Data errors and the faults of some gadgets as a fault table; probabilities are not meant to be used."""
    checks, logicals = len(sector.checks), len(sector.logicals)
    known = checks + logicals
    effects = dict.fromkeys(sorted(sector.data_errors))
    flags = 0
    for gadget in gadgets:
        for effect in sorted(gadget_effects(sector, gadget)):
            effects[effect % (1 << known) | effect >> known << known + flags] = None
        flags += len(gadget.flags) + len(gadget.verifications)
    return _table(list(effects), checks, logicals, flags)


def _table(effects: Sequence[int], checks: int, logicals: int, flags: int) -> FaultTable:
    detectors = [effect % (1 << checks) | effect >> checks + logicals << checks for effect in effects]
    return FaultTable(
        num_detectors=checks + flags,
        num_observables=logicals,
        detectors=tuple(tuple(bit for bit in range(word.bit_length()) if word >> bit & 1) for word in detectors),
        observables=tuple(effect >> checks & ((1 << logicals) - 1) for effect in effects),
        probabilities=np.full(len(effects), 1e-3),
    )
