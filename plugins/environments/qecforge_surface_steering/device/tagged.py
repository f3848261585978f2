"""Circuits whose gates carry names: each name is one physical gate, with control parameters and an error of its own.

    CZ[cz{}] 0 1 2 3      two gates, cz0-1 and cz2-3: `{}` stands for the qubits
    H[global] 0 1 2       one gate, applied three times (a pulse that reaches all qubits, say)
    M[m{}] 3              the readout of qubit 3, which misreads; R[r{}] 3: its reset

Every unitary operation needs a tag; detectors and annotations need none. Measurements and resets of single qubits may
have one: they are gates then, with parameters and an error of their own, the probability of a flip.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import stim
from numpy.typing import ArrayLike, NDArray

from qecforge.errors import ConfigurationError
from qecforge_surface_steering.device.families import ATTENUATION, FAMILIES, READOUT, RESET, SATURATION

__all__ = ["Gate", "Slot", "TaggedCircuit", "drives"]

_CHANNEL = {1: "DEPOLARIZE1", 2: "DEPOLARIZE2"}
_FLIP_AFTER = {"R": "X_ERROR", "RX": "Z_ERROR", "RY": "X_ERROR"}
_FLIP_AFTER |= {"MR": "X_ERROR", "MRX": "Z_ERROR", "MRY": "X_ERROR"}
_READOUTS = frozenset({"M", "MX", "MY", "MR", "MRX", "MRY"})
_RESETS = frozenset({"R", "RX", "RY"})
_MEASUREMENTS = frozenset({"M", "MX", "MY", "MR", "MRX", "MRY", "MXX", "MYY", "MZZ", "MPP"})
_PRODUCTS = frozenset({"SPP", "SPP_DAG"})
"""Unitary too, though stim's `is_unitary` leaves them out."""


@dataclass(frozen=True)
class Gate:
    """A physical gate, the same in every cycle.

    Attributes:
        name: Its tag, `{}` filled in.
        arity: 1 or 2 qubits.
        qubits: Of its first use; a gate whose tag has no `{}` may act on others too.
        family: 1 or 2, its qubits; READOUT or RESET.
    """

    name: str
    arity: int
    qubits: tuple[int, ...]
    family: int


@dataclass(frozen=True)
class Slot:
    """One instruction or, where a qubit occurs twice in it, the part before that.

    Attributes:
        instruction: As in the circuit; that of gates without its tag.
        uses: Number of the gate and its qubits, for each use of a gate; empty where the instruction applies none.
    """

    instruction: stim.CircuitInstruction
    uses: tuple[tuple[int, tuple[int, ...]], ...]


@dataclass(frozen=True)
class _Fault:
    """A line of noise: the gate whose error it has, the channel, and its qubits."""

    gate: int
    channel: str
    targets: str


@dataclass(frozen=True)
class _Misread:
    """A line that measures: the gate whose error it has, the instruction's name, its own noise, and its targets."""

    gate: int
    name: str
    own: float
    targets: str


class TaggedCircuit:
    """A stim circuit, the gates that its tags name, and the noise that control has no part in.

    Noise channels that the circuit holds already stay as they are.

    Args:
        circuit: Gates tagged, at least one detector. Not mutated.
        measurement_error: Probability that a measurement without a tag reports the opposite, in [0, 1/2).
        reset_error: Probability that a reset without a tag leaves the opposite state, in [0, 1/2).

    Attributes:
        circuit: As given.
        gates: G gates: those of one qubit, of two, readouts, resets; among these by qubits and name.

    Raises:
        ConfigurationError: No detectors or no gates, an untagged gate, one name for gates of two families, detectors
            that are random without noise, or a probability out of range.

    Source: arXiv 2511.08493 (the same gate in every cycle shares its parameters); the tags are ours.
    """

    def __init__(self, circuit: stim.Circuit, *, measurement_error: float = 0.0, reset_error: float = 0.0) -> None:
        for name, value in (("measurement_error", measurement_error), ("reset_error", reset_error)):
            if not 0 <= value < 0.5:
                raise ConfigurationError(f"{name}: got {value:g}, expected a probability inside [0, 1/2)")
        self.circuit, self.measurement_error, self.reset_error = circuit, measurement_error, reset_error
        found: dict[str, Gate] = {}
        for instruction in _once(circuit):
            _collect(instruction, found)
        self.gates = tuple(sorted(found.values(), key=lambda gate: (gate.family, gate.qubits, gate.name)))
        self._numbers = {gate.name: number for number, gate in enumerate(self.gates)}
        if not found:
            raise ConfigurationError("circuit: it has no gates: tag those to be steered, such as CZ[cz{}] 0 1")
        if not circuit.num_detectors:
            raise ConfigurationError(
                "circuit: it has no detectors, and they are all that is learnt from: add DETECTOR lines"
            )
        try:
            circuit.detector_error_model(approximate_disjoint_errors=True)
        except ValueError as error:
            raise ConfigurationError(
                f"circuit: {_first_line(error)}: make detectors and observables deterministic without noise"
            ) from error

    @property
    def num_gates(self) -> int:
        """Number G of gates."""
        return len(self.gates)

    @cached_property
    def arity(self) -> NDArray[np.int64]:
        """(G,) qubits of each gate, 1 or 2."""
        return np.array([gate.arity for gate in self.gates], dtype=np.int64)

    @cached_property
    def family(self) -> NDArray[np.int64]:
        """(G,) family of each gate, a key of FAMILIES."""
        return np.array([gate.family for gate in self.gates], dtype=np.int64)

    @cached_property
    def p_max(self) -> NDArray[np.float64]:
        """(G,) error probability that leaves nothing, 3/4, 15/16 or 1/2."""
        return np.array([SATURATION[gate.family] for gate in self.gates])

    @cached_property
    def attenuation(self) -> NDArray[np.float64]:
        """(G,) c = 1/p_max, 4/3, 16/15 or 2."""
        return np.array([ATTENUATION[gate.family] for gate in self.gates])

    @cached_property
    def coordinates(self) -> dict[int, tuple[float, ...]]:
        """Coordinates of the qubits that have any."""
        return {q: tuple(at) for q, at in self.circuit.get_final_qubit_coordinates().items()}

    def with_noise(self, p: ArrayLike) -> stim.Circuit:
        """The circuit with depolarizing noise after each gate, and faulty measurements and resets.

        Args:
            p: (G,) error probability of each gate, 0..p_max (its qubits, or its result, then keep nothing).

        Returns:
            A new circuit, gates without tags; REPEAT blocks are kept.

        Raises:
            ConfigurationError: Another number of probabilities, or one outside 0..p_max.
        """
        errors = np.asarray(p, dtype=np.float64)
        if errors.shape != (self.num_gates,):
            raise ConfigurationError(
                f"gate errors have shape {errors.shape}: give ({self.num_gates},), one for each gate"
            )
        outside = np.flatnonzero(~((errors >= 0) & (errors <= self.p_max)))
        if len(outside):
            g = outside[0]
            raise ConfigurationError(
                f"gate errors: {self.gates[g].name} has {errors[g]:g}, outside 0..{self.p_max[g]:g}: bring it inside"
            )
        return self._noisy(errors.tolist())

    def fixed_noise(self) -> stim.Circuit:
        """The circuit with perfect gates: the noise that control has no part in."""
        return self._noisy([0.0] * self.num_gates)

    def slots(self) -> Iterator[Slot]:
        """All instructions in order of time, REPEAT blocks unrolled."""
        yield from self._unrolled(self.circuit)

    def _unrolled(self, circuit: stim.Circuit) -> Iterator[Slot]:
        for instruction in circuit:
            if isinstance(instruction, stim.CircuitRepeatBlock):
                body = list(self._unrolled(instruction.body_copy()))
                for _ in range(instruction.repeat_count):
                    yield from body
            else:
                yield from self._slots_of(instruction)

    def _slots_of(self, instruction: stim.CircuitInstruction) -> Iterator[Slot]:
        uses = _uses(instruction)
        if not uses:
            yield Slot(instruction, ())
            return
        part: list[tuple[int, tuple[int, ...]]] = []
        targets: list[stim.GateTarget] = []
        busy: set[int] = set()
        for (name, qubits), group in zip(uses, instruction.target_groups(), strict=True):
            if not busy.isdisjoint(qubits):
                yield Slot(_untagged(instruction, targets), tuple(part))
                part, targets, busy = [], [], set()
            part.append((self._numbers[name], qubits))
            targets += group
            busy.update(qubits)
        yield Slot(_untagged(instruction, targets), tuple(part))

    def _noisy(self, errors: list[float]) -> stim.Circuit:
        """Stim reads a text many times faster than it takes instructions one by one, and it reads numbers exactly."""
        lines = []
        for part in self._program:
            if isinstance(part, str):
                lines.append(part)
            elif isinstance(part, _Misread):
                lines.append(f"{part.name}({_either(part.own, errors[part.gate])!r}) {part.targets}")
            elif errors[part.gate]:
                lines.append(f"{part.channel}({errors[part.gate]!r}) {part.targets}")
        return stim.Circuit("\n".join(lines))

    @cached_property
    def _program(self) -> tuple[str | _Fault | _Misread, ...]:
        """The noisy circuit line by line, gates' errors left open."""
        return tuple(self._lines(self.circuit))

    def _lines(self, circuit: stim.Circuit) -> Iterator[str | _Fault | _Misread]:
        for instruction in circuit:
            if isinstance(instruction, stim.CircuitRepeatBlock):
                yield f"REPEAT {instruction.repeat_count} {{"
                yield from self._lines(instruction.body_copy())
                yield "}"
                continue
            for slot in self._slots_of(instruction):
                if slot.uses and instruction.name in _READOUTS:
                    yield from _readings(slot)
                else:
                    yield _exact(slot.instruction if slot.uses else self._misreading(slot.instruction))
                    for gate, qubits in slot.uses:
                        channel = _FLIP_AFTER.get(instruction.name) or _CHANNEL[len(qubits)]
                        yield _Fault(gate, channel, " ".join(map(str, qubits)))
                if (
                    self.reset_error
                    and instruction.name in _FLIP_AFTER
                    and not (slot.uses and instruction.name in _RESETS)
                ):
                    targets = instruction.targets_copy()
                    yield _exact(stim.CircuitInstruction(_FLIP_AFTER[instruction.name], targets, [self.reset_error]))

    def _misreading(self, instruction: stim.CircuitInstruction) -> stim.CircuitInstruction:
        if not self.measurement_error or instruction.name not in _MEASUREMENTS:
            return instruction
        (own,) = instruction.gate_args_copy() or [0.0]
        return stim.CircuitInstruction(
            instruction.name, instruction.targets_copy(), [_either(own, self.measurement_error)]
        )


def _either(p: float, q: float) -> float:
    """Probability that one of two independent flips happens, and not both."""
    return p + q - 2 * p * q


def _readings(slot: Slot) -> Iterator[_Misread]:
    """Each measurement by itself, in order."""
    (own,) = slot.instruction.gate_args_copy() or [0.0]
    for (gate, _), target in zip(slot.uses, slot.instruction.targets_copy(), strict=True):
        sign = "!" if target.is_inverted_result_target else ""
        yield _Misread(gate, slot.instruction.name, own, f"{sign}{target.value}")


def _once(circuit: stim.Circuit) -> Iterator[stim.CircuitInstruction]:
    """Instructions, those in REPEAT blocks once."""
    for instruction in circuit:
        if isinstance(instruction, stim.CircuitRepeatBlock):
            yield from _once(instruction.body_copy())
        else:
            yield instruction


def _collect(instruction: stim.CircuitInstruction, found: dict[str, Gate]) -> None:
    for name, qubits in _uses(instruction):
        family = _family(instruction.name, len(qubits))
        known = found.setdefault(name, Gate(name, len(qubits), qubits, family)).family
        if known != family:
            first, second = (FAMILIES[each].replace("_", "-") for each in (known, family))
            raise ConfigurationError(
                f"circuit: the tag {name!r} names a {first} and a {second} operation: give each its own"
            )


def _family(name: str, arity: int) -> int:
    if name in _READOUTS:
        return READOUT
    return RESET if name in _RESETS else arity


def _uses(instruction: stim.CircuitInstruction) -> list[tuple[str, tuple[int, ...]]]:
    """Name and qubits of each use of a gate; none where no qubits are driven, as under classical control alone, and of
    measurements and resets without a tag."""
    if instruction.tag and instruction.name in _READOUTS | _RESETS:
        qubits = [target.value for target in instruction.targets_copy()]
        return [(instruction.tag.replace("{}", str(q)), (q,)) for q in qubits]
    if not drives(instruction):
        return []
    groups = instruction.target_groups()
    driven = [group for group in groups if not any(_is_classical(target) for target in group)]
    where = str(_untagged(instruction, driven[0]))
    if not instruction.tag:
        raise ConfigurationError(
            f"circuit: the gate {where!r} has no tag: name it, as in "
            f"{instruction.name}[{instruction.name.lower()}{{}}] {where.split(maxsplit=1)[1]}"
        )
    if len(driven) != len(groups) or instruction.name in _PRODUCTS:
        raise ConfigurationError(
            f"circuit: {where!r} is not, with the rest of its line, gates on one or two qubits: rewrite it with "
            f"such gates"
        )
    pairs = [tuple(target.value for target in group) for group in driven]
    return [(instruction.tag.replace("{}", "-".join(map(str, pair))), pair) for pair in pairs]


def drives(instruction: stim.CircuitInstruction) -> bool:
    """Whether it is unitary and no classical control alone: a gate, which needs a tag."""
    if not (stim.gate_data(instruction.name).is_unitary or instruction.name in _PRODUCTS):
        return False
    return any(not any(_is_classical(target) for target in group) for group in instruction.target_groups())


def _is_classical(target: stim.GateTarget) -> bool:
    return bool(target.is_measurement_record_target or target.is_sweep_bit_target)


def _untagged(
    instruction: stim.CircuitInstruction, targets: list[stim.GateTarget] | list[int]
) -> stim.CircuitInstruction:
    return stim.CircuitInstruction(instruction.name, targets, instruction.gate_args_copy())


def _exact(instruction: stim.CircuitInstruction) -> str:
    """The instruction as text, arguments in full: stim's own has six digits."""
    name, targets, arguments = instruction.name, instruction.targets_copy(), instruction.gate_args_copy()
    text = f"{stim.CircuitInstruction(name, targets, arguments)}"
    tag = f"{stim.CircuitInstruction('TICK', [], tag=instruction.tag)}"[len("TICK") :]
    numbers = f"({', '.join(map(repr, arguments))})" if arguments else ""
    return f"{name}{tag}{numbers}{text[text.index(')') + 1 :] if arguments else text[len(name) :]}"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".:")
