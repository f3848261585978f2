"""Which detectors each fault flips: found once, by stim, for all candidates.

Detection events are linear in the faults: those of a shot are the exclusive or of what each of its faults flips alone.
A Pauli error after a gate is a product of generators, X and Z on each of its qubits, so those are enough; a readout or
a reset has one, its flip. Stim's flip simulator carries all of them through the noiseless circuit at once, one
generator in each of its instances.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import stim
from numpy.typing import NDArray

from qecforge.errors import ConfigurationError
from qecforge_surface_steering.device.families import READOUT, RESET
from qecforge_surface_steering.device.tagged import TaggedCircuit

__all__ = ["FaultTable"]

_BATCH = 16_384
"""Generators that are carried through the circuit together."""
_MISREAD_BY = {"M": "X", "MX": "Z", "MY": "X", "MR": "X", "MRX": "Z", "MRY": "X"}
_LEFT_BY_RESET = {"R": "X", "RX": "Z", "RY": "X"}


@dataclass(frozen=True, eq=False)
class FaultTable:
    """Uses of gates in one shot of a circuit, and what faults after them flip.

    Attributes:
        first_use: (G + 1,) int64: gate g has the uses `first_use[g] : first_use[g + 1]`, in order of time.
        bits: (U,) int64, generators of each use: 2 or 4 of a gate of one or two qubits, 1 of a readout or a reset.
        generator: (U,) int64, its first generator: X and Z on its first qubit, then on its second.
        indptr, detectors: CSR, int64: the detectors that each generator flips, ascending.
        num_detectors: D.
    """

    first_use: NDArray[np.int64]
    bits: NDArray[np.int64]
    generator: NDArray[np.int64]
    indptr: NDArray[np.int64]
    detectors: NDArray[np.int64]
    num_detectors: int

    @classmethod
    def of(cls, circuit: TaggedCircuit, gates: tuple[str, ...]) -> FaultTable:
        """The table of a circuit; gates are numbered as in `gates`, names that all circuits of a device share.

        Raises:
            ConfigurationError: A gate of the circuit that is not among `gates`.
        """
        number = {name: g for g, name in enumerate(gates)}
        missing = [gate.name for gate in circuit.gates if gate.name not in number]
        if missing:
            raise ConfigurationError(f"circuits: not all have the gate {missing[0]!r}: give circuits on the same gates")
        renumbered = [number[gate.name] for gate in circuit.gates]
        steps = [(_noiseless(slot.instruction), slot.uses) for slot in circuit.slots()]
        flips = [gate.family in (READOUT, RESET) for gate in circuit.gates]
        uses = [(renumbered[gate], 1 if flips[gate] else 2 * len(qubits)) for _, slot in steps for gate, qubits in slot]
        gate, bits = np.array(uses, dtype=np.int64).reshape(-1, 2).T
        first_generator = np.concatenate([[0], np.cumsum(bits)]).astype(np.int64)
        indptr, detectors = _flips(steps, int(first_generator[-1]), circuit.circuit)
        order = np.argsort(gate, kind="stable")
        return cls(
            first_use=np.searchsorted(gate[order], np.arange(len(gates) + 1)).astype(np.int64),
            bits=bits[order],
            generator=first_generator[:-1][order],
            indptr=indptr,
            detectors=detectors,
            num_detectors=circuit.circuit.num_detectors,
        )


_Steps = list[tuple[stim.CircuitInstruction | None, tuple[tuple[int, tuple[int, ...]], ...]]]


def _noiseless(instruction: stim.CircuitInstruction) -> stim.CircuitInstruction | None:
    """The instruction without noise; None where it is noise and nothing else."""
    kind = stim.gate_data(instruction.name)
    if not kind.is_noisy_gate:
        return instruction
    if instruction.name.startswith("HERALDED"):
        return stim.CircuitInstruction("MPAD", [0] * len(instruction.targets_copy()))
    if not kind.produces_measurements:
        return None
    return stim.CircuitInstruction(instruction.name, instruction.targets_copy())


def _flips(steps: _Steps, count: int, circuit: stim.Circuit) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    lengths: list[NDArray[np.int64]] = [np.zeros(1, np.int64)]
    detectors: list[NDArray[np.int64]] = []
    for start in range(0, count, _BATCH):
        size = min(_BATCH, count - start)
        simulator = stim.FlipSimulator(
            batch_size=size, disable_stabilizer_randomization=True, num_qubits=circuit.num_qubits
        )
        at = -start
        for instruction, uses in steps:
            faults = _generators(instruction, uses)
            mine = [(at + n, *fault) for n, fault in enumerate(faults) if 0 <= at + n < size]
            at += len(faults)
            reads = bool(uses) and instruction is not None and instruction.name in _MISREAD_BY
            for instance, pauli, qubit in mine if reads else ():
                simulator.set_pauli_flip(pauli, qubit_index=qubit, instance_index=instance)
            if instruction is not None:
                simulator.do(instruction)
            for instance, pauli, qubit in mine:
                simulator.set_pauli_flip("_" if reads else pauli, qubit_index=qubit, instance_index=instance)
        generator, flipped = _set_bits(simulator.get_detector_flips(bit_packed=True))
        lengths.append(np.bincount(generator, minlength=size))
        detectors.append(flipped)
    indptr = np.cumsum(np.concatenate(lengths)).astype(np.int64)
    return indptr, np.concatenate(detectors) if detectors else np.zeros(0, np.int64)


def _generators(
    instruction: stim.CircuitInstruction | None, uses: tuple[tuple[int, tuple[int, ...]], ...]
) -> list[tuple[str, int]]:
    """Pauli and qubit of each generator of a slot: of a readout what flips its result, set before it and taken back
    after, of all else what its fault leaves behind."""
    name = "" if instruction is None else instruction.name
    flip = _MISREAD_BY.get(name) or _LEFT_BY_RESET.get(name)
    return [(pauli, qubit) for _, qubits in uses for qubit in qubits for pauli in flip or "XZ"]


def _set_bits(packed: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Column and row of each bit set in rows of little-endian bits, column by column."""
    row, byte = np.nonzero(packed)
    which, bit = np.nonzero(np.unpackbits(packed[row, byte][:, None], axis=1, bitorder="little"))
    row, column = row[which], 8 * byte[which] + bit
    order = np.lexsort((row, column))
    return column[order], row[order]
