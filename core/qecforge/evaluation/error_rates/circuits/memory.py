"""The memory experiment: a logical state is kept through rounds of faulty syndrome extraction.

Layout of a shot: a beginning (see `Boundary`), `rounds` identical rounds of extraction, an end. Detectors: each
stabilizer's outcome against the one before it, and every flag and cat-state verification by itself (they read 0 when
nothing goes wrong). Observables: the k logical operators of the basis kept, end against beginning. Coordinates of a
detector are (number of the stabilizer, round, kind) with kind 0 for a stabilizer, 1 for a flag, 2 for a verification.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from qecforge.errors import ConfigurationError
from qecforge.evaluation.error_rates.circuits._layers import NoisyCircuit, Operation
from qecforge.evaluation.error_rates.circuits.extraction import ExtractionRound
from qecforge.evaluation.error_rates.circuits.generators import MeasuredCode
from qecforge.evaluation.error_rates.noise import Channels

if TYPE_CHECKING:
    import stim

__all__ = ["MemoryExperiment", "memory_experiment"]


@dataclass(frozen=True)
class MemoryExperiment:
    """A memory experiment in one basis.

    Attributes:
        text: The stim circuit; detectors to post-select on carry the tag `postselect`.
        basis: `z` or `x`.
    """

    text: str
    basis: Literal["x", "z"]

    @cached_property
    def circuit(self) -> stim.Circuit:
        """The circuit as stim holds it."""
        import stim

        return stim.Circuit(self.text)

    @cached_property
    def detector_error_model(self) -> stim.DetectorErrorModel:
        """Every fault mechanism with the detectors and observables it flips, hyperedges left whole.

        Pauli channels that are not independent X, Y and Z errors are taken as if they were, which is right to first
        order in p. Shots are sampled from the circuit, so only a decoder's weights are touched by that.
        """
        return self.circuit.detector_error_model(approximate_disjoint_errors=True).flattened()

    @cached_property
    def postselected(self) -> NDArray[np.bool_]:
        """(detectors,) bool: where a detection event discards the shot."""
        marked = [
            instruction.tag == "postselect"
            for instruction in self.circuit.flattened()
            if instruction.name == "DETECTOR"
        ]
        return np.array(marked, dtype=np.bool_)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of the circuit's text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def memory_experiment(
    code: MeasuredCode,
    extraction: ExtractionRound,
    *,
    channels: Channels | None,
    rounds: int,
    basis: Literal["x", "z"],
    boundary: Literal["ideal", "transversal"] = "ideal",
    postselect: bool = False,
) -> MemoryExperiment:
    """Build the experiment.

    Args:
        code: The code, with the stabilizers in the order in which `extraction` measures them.
        extraction: One round.
        channels: The noise; None for the circuit without any.
        rounds: How often the round is repeated, 1 or more.
        basis: Which logical operators are kept: `z` for Z̄_1..Z̄_k, `x` for X̄_1..X̄_k.
        boundary: `ideal`: stabilizers and those logical operators are measured as Pauli products without noise, before
            and after the rounds. `transversal`: every data qubit is reset and read out in the basis, with noise.
        postselect: Whether cat-state verifications discard shots instead of being shown to the decoder.

    Raises:
        ConfigurationError: a transversal boundary on a code that is not CSS.
    """
    if boundary == "transversal" and not code.is_css:
        raise ConfigurationError(
            "boundary: got transversal for a code that is not CSS, expected ideal; "
            "a readout of single qubits does not reveal its stabilizers"
        )
    stim_circuit = NoisyCircuit(channels, range(code.n))
    kept = code.logical_z if basis == "z" else code.logical_x
    letter = basis.upper()
    known = _begin(stim_circuit, code, kept, letter, boundary)
    for number in range(rounds):
        _one_round(stim_circuit, extraction, number, known, postselect)
    _end(stim_circuit, code, extraction, kept, letter, boundary, rounds)
    return MemoryExperiment(str(stim_circuit.circuit), basis)


def _begin(circuit: NoisyCircuit, code: MeasuredCode, kept: tuple[str, ...], letter: str, boundary: str) -> list[bool]:
    """Prepare the logical state. Returns which stabilizers have a definite value from then on."""
    if boundary == "ideal":
        for index, pauli in enumerate(code.stabilizers):
            circuit.measure_product(pauli, ("before", index))
        for index, pauli in enumerate(kept):
            circuit.measure_product(pauli, ("logical before", index))
        return [True] * len(code.stabilizers)
    circuit.layer([Operation("RX" if letter == "X" else "R", (qubit,)) for qubit in range(code.n)])
    return [set(pauli) <= {"I", letter} for pauli in code.stabilizers]


def _one_round(
    circuit: NoisyCircuit, extraction: ExtractionRound, number: int, known: list[bool], postselect: bool
) -> None:
    for layer in extraction.layers:
        circuit.layer([Operation(op.name, op.qubits, None if op.key is None else (number, *op.key)) for op in layer])
    for index, gadget in enumerate(extraction.gadgets):
        for key in gadget.flags:
            circuit.detector([(number, *key)], (index, number, 1))
        for key in gadget.verifications:
            circuit.detector([(number, *key)], (index, number, 2), postselected=postselect)
        if number > 0:
            previous = [(number - 1, *key) for key in gadget.outcome]
        elif known[index]:
            previous = [("before", index)] if circuit.has(("before", index)) else []
        else:
            continue
        circuit.detector([*previous, *((number, *key) for key in gadget.outcome)], (index, number, 0))


def _end(
    circuit: NoisyCircuit,
    code: MeasuredCode,
    extraction: ExtractionRound,
    kept: tuple[str, ...],
    letter: str,
    boundary: str,
    rounds: int,
) -> None:
    def last_outcome(index: int) -> list[tuple[object, ...]]:
        return [(rounds - 1, *key) for key in extraction.gadgets[index].outcome]

    if boundary == "ideal":
        for index, pauli in enumerate(code.stabilizers):
            circuit.measure_product(pauli, ("after", index))
            circuit.detector([*last_outcome(index), ("after", index)], (index, rounds, 0))
        for index, pauli in enumerate(kept):
            circuit.measure_product(pauli, ("logical after", index))
            circuit.observable([("logical before", index), ("logical after", index)], index)
        return
    name = "MX" if letter == "X" else "M"
    circuit.layer([Operation(name, (qubit,), ("data", qubit)) for qubit in range(code.n)])
    for index, pauli in enumerate(code.stabilizers):
        if set(pauli) <= {"I", letter}:
            support = [("data", qubit) for qubit, p in enumerate(pauli) if p != "I"]
            circuit.detector([*last_outcome(index), *support], (index, rounds, 0))
    for index, pauli in enumerate(kept):
        circuit.observable([("data", qubit) for qubit, p in enumerate(pauli) if p != "I"], index)
