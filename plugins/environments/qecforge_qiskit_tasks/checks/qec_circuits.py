"""Checks of circuits that measure stabilizers: what they measure, what they leave alone, and what one fault does.

Circuits are qiskit's, of Clifford gates, measurements, resets and barriers, without classical control. They are read
into stim, whose stabilizer flows are exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import pi
from typing import TYPE_CHECKING, Any

import numpy as np
import stim
from numpy.typing import NDArray

from qecforge.codes import StabilizerCode
from qecforge_qiskit_tasks.checks.qec import bits_of, label_of, lightest_weights, pauli_of

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

__all__ = [
    "Faults",
    "ReadCircuit",
    "flow_holds",
    "is_deterministic",
    "measures",
    "prepares",
    "read_circuit",
    "single_faults",
    "tolerates_one_fault",
]

_NAMES = {
    "id": "I",
    "x": "X",
    "y": "Y",
    "z": "Z",
    "h": "H",
    "s": "S",
    "sdg": "S_DAG",
    "sx": "SQRT_X",
    "sxdg": "SQRT_X_DAG",
    "cx": "CX",
    "cy": "CY",
    "cz": "CZ",
    "swap": "SWAP",
    "iswap": "ISWAP",
    "reset": "R",
}
_TURNS = {
    "rz": ("I", "S", "Z", "S_DAG"),
    "p": ("I", "S", "Z", "S_DAG"),
    "u1": ("I", "S", "Z", "S_DAG"),
    "rx": ("I", "SQRT_X", "X", "SQRT_X_DAG"),
    "ry": ("I", "SQRT_Y", "Y", "SQRT_Y_DAG"),
}
_SKIPPED = ("delay", "global_phase")
_MOST_OPERATIONS = 20_000
_ONE = ("X", "Y", "Z")
_TWO = tuple("".join(pair) for pair in product("IXYZ", repeat=2) if pair != ("I", "I"))


@dataclass(frozen=True)
class ReadCircuit:
    """A circuit in stim's words.

    Attributes:
        operations: One (name, qubits) for each gate, reset and measurement, in order.
        record: For each classical bit that is written, the number of the last measurement that writes it.
        qubits: Of the qiskit circuit.
    """

    operations: tuple[tuple[str, tuple[int, ...]], ...]
    record: Mapping[int, int]
    qubits: int

    @property
    def measurements(self) -> int:
        """How many there are."""
        return sum(name == "M" for name, _ in self.operations)

    def stim_circuit(self, fresh: Sequence[int] = ()) -> stim.Circuit:
        """As a `stim.Circuit`; `fresh` qubits are reset first."""
        made = stim.Circuit()
        if fresh:
            made.append("R", sorted(fresh))
        for name, qubits in self.operations:
            made.append(name, qubits)
        return made


def read_circuit(circuit: Any, qubits: int | None = None, clbits: int | None = None) -> ReadCircuit:
    """Read a qiskit circuit of that many qubits and classical bits. Raises `AssertionError` where it cannot be."""
    from qiskit import QuantumCircuit

    assert isinstance(circuit, QuantumCircuit), f"expected a QuantumCircuit, got {type(circuit).__name__}"
    assert qubits is None or circuit.num_qubits == qubits, f"{circuit.num_qubits} qubits, expected {qubits}"
    assert clbits is None or circuit.num_clbits == clbits, f"{circuit.num_clbits} classical bits, expected {clbits}"
    operations: list[tuple[str, tuple[int, ...]]] = []
    record: dict[int, int] = {}
    _read(circuit, tuple(range(circuit.num_qubits)), tuple(range(circuit.num_clbits)), operations, record)
    return ReadCircuit(tuple(operations), record, circuit.num_qubits)


def _read(
    circuit: QuantumCircuit,
    qubits: tuple[int, ...],
    clbits: tuple[int, ...],
    operations: list[tuple[str, tuple[int, ...]]],
    record: dict[int, int],
) -> None:
    for instruction in circuit.data:
        operation, name = instruction.operation, instruction.operation.name
        on = tuple(qubits[circuit.find_bit(each).index] for each in instruction.qubits)
        to = tuple(clbits[circuit.find_bit(each).index] for each in instruction.clbits)
        assert len(operations) < _MOST_OPERATIONS, f"the circuit has more than {_MOST_OPERATIONS} operations"
        if name == "measure":
            record[to[0]] = sum(each == "M" for each, _ in operations)
            operations.append(("M", on))
        elif name == "barrier" or name in _SKIPPED:
            continue
        elif name in _NAMES:
            operations.append((_NAMES[name], on))
        elif name in _TURNS:
            operations.append((_TURNS[name][_quarters(name, operation.params[0])], on))
        else:
            inner = None if getattr(operation, "blocks", ()) else operation.definition
            assert inner is not None, f"{name} is neither a Clifford gate nor a measurement, a reset or a barrier"
            _read(inner, on, to, operations, record)


def _quarters(name: str, angle: Any) -> int:
    turns = float(angle) / (pi / 2)
    assert abs(turns - round(turns)) < 1e-6, f"{name}({angle}) is not a Clifford gate"
    return round(turns) % 4


def _fresh(read: ReadCircuit, data: Sequence[int]) -> list[int]:
    return [qubit for qubit in range(read.qubits) if qubit not in set(data)]


def _placed(label: str, data: Sequence[int], qubits: int) -> stim.PauliString:
    """A label of `len(data)` letters, letter i from the right on qubit `data[i]`."""
    if not len(data):
        return stim.PauliString(qubits)
    pauli, small = stim.PauliString(qubits), pauli_of(label, len(data))
    for index, qubit in enumerate(data):
        pauli[qubit] = small[index]
    pauli.sign = small.sign
    return pauli


def flow_holds(
    read: ReadCircuit,
    data: Sequence[int],
    before: str,
    after: str,
    clbits: Sequence[int] = (),
    ends: Sequence[int] | None = None,
) -> bool:
    """Whether the Pauli `before` on the data becomes `after` times the parity of these classical bits, signs included.

    All other qubits start in |0>. Labels have a letter for each data qubit; the identity stands for no demand. `ends`
    says where the data qubits are at the end; None for where they were.
    """
    return _hold(read, data, [_flow(read, data, before, after, clbits, ends)])


def _flow(
    read: ReadCircuit,
    data: Sequence[int],
    before: str,
    after: str,
    clbits: Sequence[int] = (),
    ends: Sequence[int] | None = None,
) -> stim.Flow:
    for bit in clbits:
        assert bit in read.record, f"no measurement writes to classical bit {bit}"
    return stim.Flow(
        input=_placed(before, data, read.qubits),
        output=_placed(after, data if ends is None else ends, read.qubits),
        measurements=[read.record[bit] for bit in clbits],
    )


def _hold(read: ReadCircuit, data: Sequence[int], flows: list[stim.Flow]) -> bool:
    circuit = read.stim_circuit(_fresh(read, data))
    if circuit.num_qubits < read.qubits:
        circuit.append("I", [read.qubits - 1])
    return bool(circuit.has_all_flows(flows))


def measures(
    circuit: Any,
    data: Sequence[int],
    checks: Mapping[str, int | Sequence[int]],
    *,
    qubits: int | None = None,
    clbits: int | None = None,
    kept: Sequence[str] | None = None,
    ends: Sequence[int] | None = None,
) -> ReadCircuit:
    """The circuit measures these Paulis of the data, and nothing else of it.

    Args:
        circuit: A `QuantumCircuit`; qubits outside `data` start in |0>.
        data: Data qubits; the rightmost letter of a label is for the first of them.
        checks: Commuting labels, each with the classical bit that has to become 0 for +1 and 1 for -1, or with several
            whose parity does.
        qubits, clbits: How many the circuit has, where that is asked.
        kept: Labels that have to come through unchanged, signs included; None for all Paulis that commute with the
            checks.
        ends: Where the data qubits are at the end; None for where they were.
    """
    read = read_circuit(circuit, qubits, clbits)
    identity = "I" * len(data)
    bits = {label: [each] if isinstance(each, int) else list(each) for label, each in checks.items()}
    demands = [(label, identity, several) for label, several in bits.items()]
    demands += [(label, label, []) for label in (_commuting(list(checks)) if kept is None else kept)]
    flows = [_flow(read, data, *each, None if each[2] else ends) for each in demands]
    if _hold(read, data, flows):
        return read
    for (label, _, several), flow in zip(demands, flows, strict=True):
        told = f"classical bit{'s' if len(several) > 1 else ''} {', '.join(map(str, several))} should tell the value of"
        assert _hold(read, data, [flow]), (
            f"{told} {label}, and {'do' if len(several) > 1 else 'does'} not"
            if several
            else f"the data is disturbed: {label} does not come through unchanged"
        )
    return read


def _commuting(checks: Sequence[str]) -> list[str]:
    """The checks, and the logical operators of the code that they make: generators of all that commutes with them."""
    code = StabilizerCode(bits_of(checks), drop_redundant=True)
    rows = np.vstack([code.logical_x, code.logical_z]).astype(bool)
    operators = [stim.PauliString.from_numpy(xs=row[: code.n], zs=row[code.n :]) for row in rows]
    return [*checks, *(label_of(each) for each in operators)]


def is_deterministic(read: ReadCircuit, data: Sequence[int], clbits: Sequence[int]) -> None:
    """The parity of these classical bits is 0 whatever the data, where nothing goes wrong."""
    identity = "I" * len(data)
    assert flow_holds(read, data, identity, identity, clbits), (
        f"classical bit{'s' if len(clbits) > 1 else ''} {', '.join(map(str, clbits))} should be 0 where no fault "
        "happens, whatever the data"
    )


def prepares(read: ReadCircuit, qubits: Sequence[int], stabilizers: Sequence[str]) -> None:
    """From |0...0> the circuit makes a state with the value +1 of each of these labels, on these qubits."""
    simulator = stim.TableauSimulator()
    simulator.set_num_qubits(read.qubits)
    simulator.do_circuit(read.stim_circuit())
    for label in stabilizers:
        value = simulator.peek_observable_expectation(_placed(label, qubits, read.qubits))
        assert value == 1, f"the state should have the value +1 of {label}, and has {value or 'no certain one'}"


@dataclass(frozen=True)
class Faults:
    """What each single fault of a circuit leaves behind. Rows are faults.

    Attributes:
        x, z: (F, n) X and Z parts of the error on the data at the end.
        flips: (F, c) which classical bits it flips.
        places: Where it happened, in words.
    """

    x: NDArray[np.bool_]
    z: NDArray[np.bool_]
    flips: NDArray[np.bool_]
    places: tuple[str, ...]


def single_faults(read: ReadCircuit, data: Sequence[int]) -> Faults:
    """Every Pauli after each gate and reset, on all its qubits, and every measurement's flip.

    A classical bit that is never written counts as never flipped.
    """
    faults = [
        (step, letters)
        for step, (name, on) in enumerate(read.operations)
        for letters in (("X",) if name in ("M", "R") else _ONE if len(on) == 1 else _TWO)
    ]
    assert faults, "the circuit has no operation"
    simulator = stim.FlipSimulator(
        batch_size=len(faults), disable_stabilizer_randomization=True, num_qubits=max(read.qubits, 1)
    )
    at_step: dict[int, list[int]] = {}
    for number, (step, _) in enumerate(faults):
        at_step.setdefault(step, []).append(number)
    for step, (name, on) in enumerate(read.operations):
        operation = stim.Circuit()
        operation.append(name, on)
        if name != "M":
            simulator.do(operation)
        for number in at_step[step]:
            for letter, qubit in zip(faults[number][1], on, strict=True):
                _multiply(simulator, letter, qubit, number)
        if name == "M":
            simulator.do(operation)
            for number in at_step[step]:  # the record was wrong, the qubit is as it was
                _multiply(simulator, "X", on[0], number)
    x, z, flips, _, _ = simulator.to_numpy(transpose=True, output_xs=True, output_zs=True, output_measure_flips=True)
    columns = [read.record[bit] for bit in sorted(read.record)]
    told = np.zeros((len(faults), max(read.record, default=-1) + 1), dtype=bool)
    told[:, sorted(read.record)] = flips[:, columns]
    places = tuple(
        f"{letters} {'before' if read.operations[step][0] == 'M' else 'after'} {read.operations[step][0]} "
        f"on {', '.join(map(str, read.operations[step][1]))} (operation {step})"
        for step, letters in faults
    )
    return Faults(x[:, list(data)], z[:, list(data)], told, places)


def _multiply(simulator: stim.FlipSimulator, letter: str, qubit: int, instance: int) -> None:
    present = simulator.peek_pauli_flips(instance_index=instance)[qubit]
    simulator.set_pauli_flip(
        "IXZY"[("IXZY".index(letter)) ^ (0, 1, 3, 2)[present]], qubit_index=qubit, instance_index=instance
    )


def tolerates_one_fault(
    read: ReadCircuit,
    data: Sequence[int],
    stabilizers: Sequence[str],
    flags: Sequence[int],
    *,
    most: int = 1,
    css: bool = False,
) -> None:
    """No single fault leaves an error of weight above `most` on the data without flipping one of the flags.

    Args:
        read: The circuit.
        data: Data qubits; the rightmost letter of a label is for the first of them.
        stabilizers: Errors that differ by these are the same.
        flags: Classical bits that are 0 where nothing goes wrong.
        most: Largest weight that may go unseen.
        css: X and Z parts count apart, the larger one decides.
    """
    faults = single_faults(read, data)
    seen = faults.flips[:, list(flags)].any(axis=1)
    weights = lightest_weights(faults.x, faults.z, stabilizers, css=css)
    bad = np.flatnonzero(~seen & (weights > most))
    assert not len(bad), (
        f"one fault, {faults.places[bad[0]]}, leaves an error of weight {weights[bad[0]]} on the data and no flag tells"
    )
