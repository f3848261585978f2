"""Memory experiments: the rotated surface code in CZ gates, the colour code, and their distance.

One cycle of the surface code, for every qubit in the same rhythm (each has one single-qubit gate, used twice):

    ancillas H | CZ | data H | CZ | CZ | data H | CZ | ancillas H | ancillas measured and reset

A data qubit's first and last partner are ancillas of one type and the two in between of the other, so the data's two
H turn every stabilizer into one that CZ gates alone can measure: the ZXXZ form. On the sublattice where the first and
last partner have type X, the data qubits live in the Hadamard frame.

Source: arXiv 2511.08493 (memory on rotated surface and colour codes); the ZXXZ form: Bonilla Ataides et al.,
arXiv 2009.07851. Layout and schedule are ours, their distance is checked by stim.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import stim

from qecforge.errors import ConfigurationError, one_line
from qecforge_surface_steering.device.tagged import TaggedCircuit

__all__ = [
    "Basis",
    "check_distance",
    "check_rounds",
    "color_code",
    "graphlike_distance",
    "read_circuit",
    "surface_code",
]

Basis = Literal["x", "z"]
_Place = tuple[int, int]

_ORDER: dict[str, tuple[_Place, ...]] = {
    "x": ((-1, -1), (1, -1), (-1, 1), (1, 1)),
    "z": ((-1, -1), (-1, 1), (1, -1), (1, 1)),
}
"""Steps from an ancilla to its data qubits in the four CZ layers. The last two of an X ancilla lie side by side in x,
those of a Z ancilla in y: across the logical operator of the same type, which an ancilla's fault could else shorten."""


def surface_code(distance: int, rounds: int, basis: Basis) -> stim.Circuit:
    """Memory experiment of the rotated surface code, gates tagged `xy{}` and `cz{}` (see `tagged`).

    2d²-1 qubits and 4d²-4d couplers: (d² + 4d² - 4d) + d² - 1 gates, 41 at d = 3. Data qubits at odd coordinates,
    ancillas at even ones; a coupler's name has the lower qubit first. Data are prepared and measured in Z, with their
    own H around it where the frame or the basis asks for it.

    Args:
        distance: Odd, 3 or more.
        rounds: Cycles, 1 or more.
        basis: Logical operator that is prepared and measured.

    Returns:
        A noiseless circuit; detectors have coordinates (x, y, cycle); observable 0 is the logical operator.

    Raises:
        ConfigurationError: An even or small distance, or no rounds.
    """
    check_distance(distance)
    check_rounds(rounds, 1)
    data = [(2 * x + 1, 2 * y + 1) for y in range(distance) for x in range(distance)]
    ancillas = _ancillas(distance)
    number = {place: q for q, place in enumerate([*data, *ancillas])}
    layers = [_couplers(layer, number, ancillas) for layer in range(4)]
    circuit = stim.Circuit()
    for place, q in number.items():
        circuit.append("QUBIT_COORDS", [q], place)

    everything, all_data, measured = range(len(number)), range(len(data)), range(len(data), len(number))
    turned = [q for q, place in enumerate(data) if _in_hadamard_frame(place) != (basis == "x")]
    circuit.append("R", everything)
    _layer(circuit, "H", turned, "xy{}")
    first, cycle = stim.Circuit(), stim.Circuit()
    for step, (qubits, after) in enumerate(((measured, all_data), ((), ()), ((), all_data), ((), measured))):
        _layer(cycle, "H", qubits, "xy{}")
        _layer(cycle, "CZ", layers[step], "cz{}")
        _layer(cycle, "H", after, "xy{}")
    cycle.append("MR", measured)
    cycle.append("TICK")
    cycle.append("SHIFT_COORDS", [], (0, 0, 1))
    first += cycle
    count = len(ancillas)
    for i, (place, kind) in enumerate(ancillas.items()):
        if kind == basis:
            first.append("DETECTOR", [stim.target_rec(i - count)], (*place, -1))
    for i, place in enumerate(ancillas):
        cycle.append("DETECTOR", [stim.target_rec(i - count), stim.target_rec(i - 2 * count)], (*place, -1))
    circuit += first
    if rounds > 1:
        circuit.append(stim.CircuitRepeatBlock(rounds - 1, cycle))
    _layer(circuit, "H", turned, "xy{}")
    circuit.append("M", all_data)
    _closing_detectors(circuit, basis, data, ancillas)
    logical = [q for q, (x, y) in enumerate(data) if (x if basis == "x" else y) == 1]
    circuit.append("OBSERVABLE_INCLUDE", [stim.target_rec(q - len(data)) for q in logical], 0)
    return circuit


def color_code(distance: int, rounds: int) -> stim.Circuit:
    """Memory experiment of the hexagonal colour code, cycling through X, Y and Z: stim's, with tags.

    Gates `xy{}` (C_XYZ on data qubits) and `cx{}`; ancillas have no single-qubit gate.

    Args:
        distance: Odd, 3 or more.
        rounds: Cycles, 2 or more.

    Raises:
        ConfigurationError: An even or small distance, or too few rounds.
    """
    check_distance(distance)
    check_rounds(rounds, 2)
    plain = stim.Circuit.generated("color_code:memory_xyz", distance=distance, rounds=rounds)
    return _tagged(plain, {"C_XYZ": "xy{}", "CX": "cx{}"})


def graphlike_distance(circuit: TaggedCircuit, p: float = 1e-3) -> int:
    """Fewest faults of gates that flip an observable and no detector, each fault flipping at most two detectors.

    For the surface code this is the circuit's distance: every fault that its noise can make splits into such. Colour
    codes have none to speak of.

    Raises:
        ConfigurationError: No such set of faults exists.
    """
    noisy = circuit.with_noise([p] * circuit.num_gates)
    try:
        return len(noisy.shortest_graphlike_error(canonicalize_circuit_errors=True, ignore_ungraphlike_errors=True))
    except ValueError as error:
        raise ConfigurationError(
            "circuit: it has no graphlike distance: no set of faults that each flip at most two detectors is a "
            "logical error"
        ) from error


def read_circuit(text: str) -> stim.Circuit:
    """A circuit in stim's language. Raises `ConfigurationError` where it is none."""
    try:
        return stim.Circuit(text + "\n")  # stim 1.16 never returns from a tag that the end of the text cuts off
    except ValueError as error:
        reason = one_line(error)
        raise ConfigurationError(f"circuit: stim cannot read it ({reason}): correct it") from error


MAX_DISTANCE = 101
"""Beyond, circuits take minutes and gigabytes; d = 101 has 60,801 gates."""


def check_distance(distance: int) -> None:
    """Raises `ConfigurationError` where a distance is even, below 3, or above `MAX_DISTANCE`."""
    if distance > MAX_DISTANCE:
        raise ConfigurationError(f"distance: {distance} is too large: set it to {MAX_DISTANCE} or less")
    if distance < 3 or distance % 2 == 0:
        nearest = max(3, distance + 1)
        raise ConfigurationError(
            f"distance: {distance} is not an odd number, 3 or more: set it to {nearest}, for example"
        )


def check_rounds(rounds: int, least: int) -> None:
    """Raises `ConfigurationError` where there are fewer than `least` rounds."""
    if rounds < least:
        raise ConfigurationError(f"rounds: {rounds} is too few: this circuit needs {least} or more")


def _ancillas(distance: int) -> dict[_Place, str]:
    """Place -> type; X on the boundaries at small and large y, Z on those at small and large x."""
    places: dict[_Place, str] = {}
    for y in range(0, 2 * distance + 1, 2):
        for x in range(0, 2 * distance + 1, 2):
            kind = _kind((x, y))
            inside_x, inside_y = 0 < x < 2 * distance, 0 < y < 2 * distance
            if (inside_x and inside_y) or (inside_x and kind == "x") or (inside_y and kind == "z"):
                places[x, y] = kind
    return places


def _kind(ancilla: _Place) -> str:
    return "x" if (ancilla[0] + ancilla[1]) % 4 == 2 else "z"


def _in_hadamard_frame(data: _Place) -> bool:
    """Whether the first and the last partner, towards (+, +) and (-, -), have type X."""
    return _kind((data[0] + 1, data[1] + 1)) == "x"


def _couplers(layer: int, number: dict[_Place, int], ancillas: dict[_Place, str]) -> list[int]:
    """Qubits of one CZ layer, pair after pair, the lower one first."""
    pairs: list[int] = []
    for (x, y), kind in ancillas.items():
        dx, dy = _ORDER[kind][layer]
        partner = number.get((x + dx, y + dy))
        if partner is not None:
            pairs += [partner, number[x, y]]
    return pairs


def _closing_detectors(circuit: stim.Circuit, basis: Basis, data: list[_Place], ancillas: dict[_Place, str]) -> None:
    """The last ancilla results of the basis, compared with the data qubits' own."""
    number = {place: q for q, place in enumerate(data)}
    for i, ((x, y), kind) in enumerate(ancillas.items()):
        if kind == basis:
            around = [number[x + dx, y + dy] for dx, dy in _ORDER[kind] if (x + dx, y + dy) in number]
            results = [stim.target_rec(q - len(data)) for q in around]
            circuit.append("DETECTOR", [*results, stim.target_rec(i - len(ancillas) - len(data))], (x, y, 0))


def _layer(circuit: stim.Circuit, name: str, targets: Sequence[int], tag: str) -> None:
    if targets:
        circuit.append(name, targets, tag=tag)
        circuit.append("TICK")


def _tagged(circuit: stim.Circuit, tags: dict[str, str]) -> stim.Circuit:
    tagged = stim.Circuit()
    for instruction in circuit:
        if isinstance(instruction, stim.CircuitRepeatBlock):
            body = _tagged(instruction.body_copy(), tags)
            tagged.append(stim.CircuitRepeatBlock(instruction.repeat_count, body))
        else:
            arguments = instruction.gate_args_copy()
            tag = tags.get(instruction.name, "")
            tagged.append(stim.CircuitInstruction(instruction.name, instruction.targets_copy(), arguments, tag=tag))
    return tagged
