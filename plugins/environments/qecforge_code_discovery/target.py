"""Configurations for a device that qiskit describes.

A manifest holds plain numbers, so that a run's identity says what was simulated; these helpers take them out of a
qiskit `Target` or `CouplingMap`. They read attributes alone: qiskit itself is not imported.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qecforge.errors import ConfigurationError
from qecforge_code_discovery.config import CodeDiscoveryConfig
from qecforge_code_discovery.connectivity import Pair
from qecforge_code_discovery.gates import GATES, resolve_gates

if TYPE_CHECKING:
    from qiskit.transpiler import CouplingMap, Target

__all__ = ["config_from_target", "connectivity_from_coupling_map", "gate_errors_from_target", "noise_from_target"]

_NATIVE = {"sqrt_x": "sx"}
_ENTANGLING = ("cx", "cz", "ecr", "rzz", "iswap")
_COST = {"cx": 1, "cy": 1, "cz": 1, "iswap": 2, "swap": 3}
"""Native two-qubit gates that a gate is made of, where the device does not have it."""


def connectivity_from_coupling_map(
    source: CouplingMap | Target, *, qubits: Sequence[int] | None = None, directed: bool = True
) -> dict[str, list[list[int]]]:
    """The `connectivity:` of a configuration.

    Args:
        source: A coupling map, or a target (every pair that some two-qubit gate of it acts on).
        qubits: Physical qubits to use; number i of the code is `qubits[i]`. All of them by default.
        directed: Keep directions (cx acts from first to second alone); else each coupling goes both ways.
    """
    edges = (
        _target_pairs(source) if hasattr(source, "operation_names") else [tuple(edge) for edge in source.get_edges()]
    )
    place = _places(qubits, _count(source))
    kept = sorted({(place[a], place[b]) for a, b in edges if a in place and b in place})
    if directed:
        return {"coupling_map": [list(pair) for pair in kept]}
    return {"edges": [list(pair) for pair in sorted({(min(pair), max(pair)) for pair in kept})]}


def noise_from_target(
    target: Target, *, qubits: Sequence[int] | None = None, duration: float | None = None
) -> dict[str, Any]:
    """The `noise:` of a configuration: one Pauli channel per qubit [ours].

    Each qubit relaxes for `duration` t with its T1 and T2, twirled (X = Y = (1 - exp(-t/T1))/4, Z = (1 - exp(-t/T2))/2
    - X), then a depolarizing channel has as its average gate error the mean error of the qubit's single-qubit gates.

    Args:
        qubits: As in `connectivity_from_coupling_map`.
        duration: Seconds; by default that of the slowest two-qubit gate among these qubits.

    Raises:
        ConfigurationError: The target says nothing about some qubit's errors, or gives times of relaxation without
            the duration of any two-qubit gate, and `duration` is not given either.
    """
    place = _places(qubits, _count(target))
    if duration is None:
        durations = [seconds for pair, seconds in _two_qubit_durations(target) if set(pair) <= set(place)]
        duration = max(durations, default=None)
    probabilities = []
    for q in place:
        properties = target.qubit_properties[q] if target.qubit_properties else None
        t1, t2 = getattr(properties, "t1", None), getattr(properties, "t2", None)
        errors = [error for _, error in _single_qubit_errors(target, q) if error]
        if t1 is None and t2 is None and not errors:
            raise ConfigurationError(f"the target gives no T1, T2 or gate error for qubit {q}: choose other qubits")
        if duration is None and (t1 is not None or t2 is not None):
            raise ConfigurationError(
                f"the target gives no duration of a two-qubit gate among qubits {list(place)}, so how far qubit {q} "
                "relaxes is not known: give duration, in seconds (0 for none)"
            )
        relaxation = _relaxation(duration or 0.0, t1, t2)
        depolarizing = float(np.mean(errors)) / 2 if errors else 0.0  # error 1 - F = 2/3 p, and p/3 for each Pauli
        channel = _compose(relaxation, np.array([1 - 3 * depolarizing, *[depolarizing] * 3]))
        probabilities.append([float(p) for p in channel[1:]])
    return {"model": "per_qubit", "probabilities": probabilities}


def gate_errors_from_target(
    target: Target, gates: Sequence[str], *, qubits: Sequence[int] | None = None
) -> list[dict[str, Any]]:
    """The `gate_errors:` of a configuration [ours].

    A gate that the target has costs the target's error. Others cost what they are made of: nothing for `s` (a virtual
    rotation), one `sx` for the remaining single-qubit classes, and one native two-qubit gate (two for `iswap`, three
    for `swap`), in whichever direction has the smaller error.
    """
    place = _places(qubits, _count(target))
    pairs = sorted({(a, b) for a, b in _target_pairs(target) if a in place and b in place})
    errors: list[dict[str, Any]] = []
    for name in resolve_gates(gates):
        gate = GATES[name]
        if gate.qubits == 1:
            for q in place:
                errors.append({"gate": name, "qubits": [place[q]], "error": _single_qubit_error(target, name, q)})
            continue
        chosen = pairs if gate.directed else sorted({(min(pair), max(pair)) for pair in pairs})
        for a, b in chosen:
            error = min(1.0, _two_qubit_error(target, name, a, b))
            errors.append({"gate": name, "qubits": [place[a], place[b]], "error": error})
    return errors


def config_from_target(
    target: Target,
    *,
    target_distance: int,
    k: int = 1,
    gates: Sequence[str] = ("h", "s", "sqrt_x", "cx"),
    qubits: Sequence[int] | None = None,
    directed: bool = True,
    **fields: Any,
) -> CodeDiscoveryConfig:
    """A configuration with a device's couplings, noise and gate errors; `fields` are further fields of it."""
    settings: dict[str, Any] = {
        "n": len(qubits) if qubits is not None else _count(target),
        "k": k,
        "target_distance": target_distance,
        "gates": tuple(gates),
        "connectivity": connectivity_from_coupling_map(target, qubits=qubits, directed=directed),
        "noise": noise_from_target(target, qubits=qubits),
        "gate_errors": gate_errors_from_target(target, gates, qubits=qubits),
    }
    if not directed:
        settings["gate_errors"] = _both_ways(settings["gate_errors"])
    return CodeDiscoveryConfig.model_validate(settings | fields)


def _both_ways(errors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Where directed gates may act against the device's direction, they cost the same there."""
    known = {(entry["gate"], *entry["qubits"]) for entry in errors}
    turned = [{**entry, "qubits": entry["qubits"][::-1]} for entry in errors if GATES[entry["gate"]].directed]
    return errors + [entry for entry in turned if (entry["gate"], *entry["qubits"]) not in known]


def _count(source: CouplingMap | Target) -> int:
    count = source.num_qubits if hasattr(source, "operation_names") else source.size()
    if not count:
        raise ConfigurationError("the target or coupling map has no qubits: give one of a device")
    return int(count)


def _places(qubits: Sequence[int] | None, count: int) -> dict[int, int]:
    """Physical qubit -> its number in the code."""
    chosen = list(range(count)) if qubits is None else [int(q) for q in qubits]
    wrong = [q for q in chosen if not 0 <= q < count]
    if wrong or len(set(chosen)) != len(chosen):
        raise ConfigurationError(f"qubits {chosen} are out of range or repeat: give different ones of 0..{count - 1}")
    return {q: i for i, q in enumerate(chosen)}


def _target_pairs(target: Target) -> list[Pair]:
    return [pair for name in target.operation_names for pair in _qargs(target, name, 2)]


def _qargs(target: Target, name: str, size: int) -> Iterator[Any]:
    return (qargs for qargs in (target[name] or {}) if qargs is not None and len(qargs) == size)


def _two_qubit_durations(target: Target) -> Iterator[tuple[Pair, float]]:
    for name in target.operation_names:
        for pair in _qargs(target, name, 2):
            duration = getattr(target[name][pair], "duration", None)
            if duration is not None:
                yield pair, float(duration)


def _single_qubit_errors(target: Target, q: int) -> Iterator[tuple[str, float]]:
    for name in target.operation_names:
        if name in ("measure", "reset", "delay"):
            continue
        error = getattr((target[name] or {}).get((q,)), "error", None)
        if error is not None:
            yield name, float(error)


def _single_qubit_error(target: Target, gate: str, q: int) -> float:
    errors = dict(_single_qubit_errors(target, q))
    native = _NATIVE.get(gate, gate)
    if native in errors:
        return errors[native]
    if gate == "s":
        return 0.0
    if "sx" in errors:
        return errors["sx"]
    if not errors:
        raise ConfigurationError(f"the target gives no error of a single-qubit gate on qubit {q}: choose other qubits")
    return max(errors.values())


def _two_qubit_error(target: Target, gate: str, a: int, b: int) -> float:
    def error(name: str, pair: Pair) -> float | None:
        if name not in target.operation_names:
            return None
        value = getattr((target[name] or {}).get(pair), "error", None)
        return None if value is None else float(value)

    own = error(gate, (a, b))
    if own is None and not GATES[gate].directed:
        own = error(gate, (b, a))
    if own is not None:
        return own
    made_of = [value for name in _ENTANGLING for pair in ((a, b), (b, a)) if (value := error(name, pair)) is not None]
    if not made_of:
        raise ConfigurationError(f"the target gives no error of a two-qubit gate on ({a}, {b}): choose other qubits")
    return _COST[gate] * min(made_of)


def _relaxation(duration: float, t1: float | None, t2: float | None) -> NDArray[np.float64]:
    decay = 1 - math.exp(-duration / t1) if t1 else 0.0
    dephasing = 1 - math.exp(-duration / t2) if t2 else decay / 2
    flip = decay / 4
    phase = max(0.0, dephasing / 2 - flip)
    return np.array([1 - 2 * flip - phase, flip, flip, phase])


def _compose(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of (I, X, Y, Z) after two Pauli channels: Paulis multiply by XOR in the order (I, X, Z, Y)."""
    order = [0, 1, 3, 2]  # position of I, X, Z, Y among (I, X, Y, Z), by their bits
    result = np.zeros(4)
    for i in range(4):
        for j in range(4):
            result[order[i ^ j]] += first[order[i]] * second[order[j]]
    return result
