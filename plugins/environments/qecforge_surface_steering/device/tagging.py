"""Tags for a circuit that has none: each gate by its name and its qubits."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import stim

from qecforge_surface_steering.device.tagged import drives

__all__ = ["Tagging", "name_readouts", "tag_circuit"]


@dataclass(frozen=True)
class Tagging:
    """What became of a circuit.

    Attributes:
        circuit: With a tag on every operation that drives qubits, REPEAT blocks kept.
        given: How many instructions got a tag, by the tag, in order of appearance.
        kept: How many had one.
    """

    circuit: stim.Circuit
    given: dict[str, int]
    kept: int


def tag_circuit(circuit: stim.Circuit) -> Tagging:
    """Give every unitary operation without a tag the tag `name{}`, the instruction's name in lower case.

    So one gate is one kind of operation on the same qubits in the same order, wherever it occurs: `CX[cx{}] 0 1` names
    `cx0-1`. Tags that are there stay, and the circuit computes what it did.
    """
    given: dict[str, int] = {}
    kept = 0

    def tagged(part: stim.Circuit) -> stim.Circuit:
        nonlocal kept
        found = stim.Circuit()
        for instruction in part:
            if isinstance(instruction, stim.CircuitRepeatBlock):
                block = stim.CircuitRepeatBlock(
                    instruction.repeat_count, tagged(instruction.body_copy()), tag=instruction.tag
                )
                found.append(block)
                continue
            if instruction.tag or not drives(instruction):
                kept += drives(instruction)
                found.append(instruction)
                continue
            for part_of_it in _apart(instruction):
                tag = f"{instruction.name.lower()}{{}}" if drives(part_of_it) else ""
                if tag:
                    given[tag] = given.get(tag, 0) + 1
                found.append(_retagged(part_of_it, part_of_it.target_groups(), tag))
        return found

    return Tagging(tagged(circuit), given, kept)


def name_readouts(circuit: stim.Circuit) -> stim.Circuit:
    """Readouts and resets of all qubits that some `MR` measures and resets, as gates: `MR 3` becomes `M[m{}] 3` and
    `R[r{}] 3`, and other measurements and resets of these qubits have these names too.

    Instructions that have a tag stay as they are; so does what qubits do that are only measured at the end.
    """
    qubits = {
        target.value
        for instruction in circuit.flattened()
        if instruction.name in _BOTH and not instruction.tag
        for target in instruction.targets_copy()
    }

    def named(part: stim.Circuit) -> stim.Circuit:
        found = stim.Circuit()
        for instruction in part:
            if isinstance(instruction, stim.CircuitRepeatBlock):
                body = named(instruction.body_copy())
                found.append(stim.CircuitRepeatBlock(instruction.repeat_count, body, tag=instruction.tag))
            elif instruction.tag or instruction.name not in _BOTH.keys() | _READ | _RESET:
                found.append(instruction)
            else:
                _append_named(found, instruction, qubits)
        return found

    return named(circuit)


_BOTH = {"MR": ("M", "R"), "MRX": ("MX", "RX"), "MRY": ("MY", "RY")}
_READ, _RESET = {"M", "MX", "MY"}, {"R", "RX", "RY"}


def _append_named(found: stim.Circuit, instruction: stim.CircuitInstruction, qubits: set[int]) -> None:
    """The instruction, its targets among `qubits` under their names; the order of results stays."""
    targets, noise = instruction.targets_copy(), instruction.gate_args_copy()
    read, reset = _BOTH.get(instruction.name, (instruction.name, instruction.name))
    for inside, group in groupby(targets, key=lambda target: target.value in qubits):
        some = list(group)
        if not inside:
            found.append(stim.CircuitInstruction(instruction.name, some, noise))
            continue
        if read in _READ:
            found.append(stim.CircuitInstruction(read, some, noise, tag="m{}"))
        if reset in _RESET:
            found.append(stim.CircuitInstruction(reset, [target.value for target in some], tag="r{}"))


def _apart(instruction: stim.CircuitInstruction) -> list[stim.CircuitInstruction]:
    """Gates and operations under classical control, which stim joins on one line, each by themselves and in order."""
    runs: list[list[list[stim.GateTarget]]] = []
    before = None
    for group in instruction.target_groups():
        driven = drives(_retagged(instruction, [group], ""))
        if driven != before:
            runs.append([])
        runs[-1].append(group)
        before = driven
    return [_retagged(instruction, run, "") for run in runs]


def _retagged(
    instruction: stim.CircuitInstruction, groups: list[list[stim.GateTarget]], tag: str
) -> stim.CircuitInstruction:
    targets = [target for group in groups for target in group]
    return stim.CircuitInstruction(instruction.name, targets, instruction.gate_args_copy(), tag=tag)
