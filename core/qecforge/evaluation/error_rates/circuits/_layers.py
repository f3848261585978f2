"""Gates in layers, and the stim circuit that they become under a noise model."""

from __future__ import annotations

import decimal
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qecforge.evaluation.error_rates.noise import Channels, PauliChannel

if TYPE_CHECKING:
    import stim

__all__ = ["NoisyCircuit", "Operation", "barrier", "pack_operations"]

RESETS = {"R": "X_ERROR", "RX": "Z_ERROR"}
MEASUREMENTS = ("M", "MX")
TWO_QUBIT_GATES = ("CX", "CY", "CZ")
SINGLE_QUBIT_GATES = ("H",)


@dataclass(frozen=True)
class Operation:
    """One gate, reset or measurement on one or two qubits; `key` names a measurement's outcome."""

    name: str
    qubits: tuple[int, ...]
    key: tuple[object, ...] | None = None


def barrier(qubits: Iterable[int]) -> Operation:
    """No operation, but what follows it on any of these qubits waits for what precedes it on all of them."""
    return Operation("BARRIER", tuple(qubits))


def pack_operations(sequences: Iterable[Sequence[Operation]]) -> list[list[Operation]]:
    """Layers that keep each sequence's order and use no qubit twice in a layer.

    Sequences are packed one after the other, each operation into the earliest layer that its qubits allow; then every
    reset moves down to the layer before its qubit is first used, so that no ancilla waits idle.
    """
    layers: list[list[Operation]] = []
    busy: list[set[int]] = []
    for sequence in sequences:
        earliest: dict[int, int] = {}
        for operation in sequence:
            at = max((earliest.get(qubit, 0) for qubit in operation.qubits), default=0)
            if operation.name == "BARRIER":
                earliest |= dict.fromkeys(operation.qubits, at)
                continue
            while at < len(layers) and busy[at] & set(operation.qubits):
                at += 1
            while at >= len(layers):
                layers.append([])
                busy.append(set())
            layers[at].append(operation)
            busy[at].update(operation.qubits)
            for qubit in operation.qubits:
                earliest[qubit] = at + 1
    return _delay_resets(layers)


def _delay_resets(layers: list[list[Operation]]) -> list[list[Operation]]:
    delayed: list[list[Operation]] = [[] for _ in layers]
    next_use: dict[int, int] = {}
    for at in range(len(layers) - 1, -1, -1):
        for operation in layers[at]:
            place = at
            if operation.name in RESETS:
                place = max(at, next_use.get(operation.qubits[0], at + 1) - 1)
            delayed[place].append(operation)
            for qubit in operation.qubits:
                next_use[qubit] = place
    return [layer for layer in delayed if layer]


_CUT = decimal.Context(prec=6, rounding=decimal.ROUND_DOWN)


def _printable(channel: tuple[float, ...]) -> tuple[float, ...]:
    """A channel that stim reads back: it prints six digits, and fifteen times 0.0666667 is more than 1. Only where they
    sum to that are they cut instead of rounded."""
    if math.fsum(float(f"{p:.6g}") for p in channel) <= 1.0:
        return channel
    return tuple(float(_CUT.create_decimal_from_float(p)) for p in channel)


class NoisyCircuit:
    """A stim circuit grown layer by layer, with a noise model's faults after (measurements: in) each operation.

    Idle noise falls, once per layer, on every qubit that is alive (a data qubit, or an ancilla between its reset and
    its measurement) and not acted on in that layer.

    Args:
        channels: The noise; None for a circuit without noise.
        data: Qubits that are alive from the start.
    """

    def __init__(self, channels: Channels | None, data: Iterable[int]) -> None:
        import stim

        self.channels = channels
        self.circuit: stim.Circuit = stim.Circuit()
        self._alive = set(data)
        self._records: dict[tuple[object, ...], int] = {}
        self._recorded = 0

    def layer(self, operations: Sequence[Operation]) -> None:
        """Append the operations of one layer, their faults, and idle noise on the rest."""
        for name in (*RESETS, *SINGLE_QUBIT_GATES, *TWO_QUBIT_GATES, *MEASUREMENTS):
            group = [operation for operation in operations if operation.name == name]
            if group:
                self._append(name, group)
        busy = {qubit for operation in operations for qubit in operation.qubits}
        self._alive |= {op.qubits[0] for op in operations if op.name in RESETS}
        self._alive -= {op.qubits[0] for op in operations if op.name in MEASUREMENTS}
        if self.channels is not None:
            self.pauli_channel(self.channels.idle, sorted(self._alive - busy))
        self.circuit.append("TICK", [], [])

    def _append(self, name: str, group: Sequence[Operation]) -> None:
        targets = [qubit for operation in group for qubit in operation.qubits]
        noise = self.channels
        if name in MEASUREMENTS:
            for operation in group:
                if operation.key is not None:
                    self._records[operation.key] = self._recorded
                self._recorded += 1
            self.circuit.append(name, targets, noise.measurement if noise is not None and noise.measurement else ())
            return
        self.circuit.append(name, targets, ())
        if noise is None:
            return
        if name in RESETS:
            if noise.reset:
                self.circuit.append(RESETS[name], targets, noise.reset)
        elif name in TWO_QUBIT_GATES:
            self._two_qubit_channel(noise.gate2, targets)
        else:
            self.pauli_channel(noise.gate1, targets)

    def pauli_channel(self, channel: PauliChannel, targets: Sequence[int]) -> None:
        """One single-qubit channel on each target, where it does anything at all."""
        if not targets or not any(channel):
            return
        if len(set(channel)) == 1 and sum(channel) <= 0.75:
            self.circuit.append("DEPOLARIZE1", targets, sum(channel))
        else:
            self.circuit.append("PAULI_CHANNEL_1", targets, _printable(channel))

    def _two_qubit_channel(self, channel: tuple[float, ...], targets: Sequence[int]) -> None:
        if not any(channel):
            return
        if len(set(channel)) == 1 and sum(channel) <= 15 / 16:
            self.circuit.append("DEPOLARIZE2", targets, sum(channel))
        else:
            self.circuit.append("PAULI_CHANNEL_2", targets, _printable(channel))

    def measure_product(self, pauli: str, key: tuple[object, ...]) -> None:
        """Measure a Pauli product without noise and without disturbing anything else."""
        import stim

        targets: list[stim.GateTarget] = []
        for qubit, letter in enumerate(pauli):
            if letter != "I":
                targets += [stim.target_pauli(qubit, letter), stim.target_combiner()]
        self.circuit.append("MPP", targets[:-1])
        self._records[key] = self._recorded
        self._recorded += 1

    def has(self, key: tuple[object, ...]) -> bool:
        """Whether an outcome of this name was measured."""
        return key in self._records

    def detector(
        self, keys: Iterable[tuple[object, ...]], coordinates: Sequence[float], *, postselected: bool = False
    ) -> None:
        """A detector: the parity of these outcomes. A post-selected one carries the tag `postselect`."""
        self.circuit.append(
            "DETECTOR", self._targets(keys), list(coordinates), tag="postselect" if postselected else ""
        )

    def observable(self, keys: Iterable[tuple[object, ...]], index: int) -> None:
        """Logical observable `index`: the parity of these outcomes."""
        self.circuit.append("OBSERVABLE_INCLUDE", self._targets(keys), index)

    def _targets(self, keys: Iterable[tuple[object, ...]]) -> list[stim.GateTarget]:
        import stim

        return [stim.target_rec(self._records[key] - self._recorded) for key in keys]
