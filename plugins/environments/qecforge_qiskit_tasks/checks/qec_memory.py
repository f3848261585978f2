"""Checks of memory experiments: texts of stim circuits and of detector error models."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import stim
from numpy.typing import NDArray

from qecforge_qiskit_tasks.checks.qec import code_of, pauli_of

__all__ = [
    "circuit_of",
    "distance_under_noise",
    "error_rate",
    "errors_of",
    "has_no_noise",
    "inner_part",
    "model_of",
    "model_under_noise",
    "projects_onto",
    "same_errors",
    "with_noise",
]

_MOST_TEXT = 1_000_000
_MOST_OPERATIONS = 200_000
_RESETS = {"R": "X", "RX": "Z", "RY": "X", "MR": "X", "MRX": "Z", "MRY": "X"}
_MEASUREMENTS = {"M": "X", "MX": "Z", "MY": "X", "MR": "X", "MRX": "Z", "MRY": "X"}
_ANNOTATIONS = {"DETECTOR", "OBSERVABLE_INCLUDE", "TICK", "QUBIT_COORDS", "SHIFT_COORDS", "MPAD"}


def circuit_of(text: Any, *, flat: bool = True) -> stim.Circuit:
    """The circuit of a text; with `flat`, without REPEAT blocks. Raises `AssertionError` where stim cannot read it, or
    where it would be huge."""
    assert isinstance(text, str), f"expected the text of a stim circuit, got {type(text).__name__}"
    assert len(text) <= _MOST_TEXT, f"a text of {len(text)} characters is too long"
    try:
        circuit = stim.Circuit(text + "\n")
    except (ValueError, IndexError) as error:
        raise AssertionError(f"stim cannot read this circuit: {str(error).splitlines()[0][:200]}") from None
    if not flat:
        return circuit
    operations = _operations(circuit)
    assert operations <= _MOST_OPERATIONS, f"the circuit has {operations} operations, expected fewer"
    return circuit.flattened()


def _operations(circuit: stim.Circuit) -> int:
    total = 0
    for each in circuit:
        if isinstance(each, stim.CircuitRepeatBlock):
            total += each.repeat_count * _operations(each.body_copy())
        else:
            total += max(1, len(each.targets_copy()))
    return total


def model_of(text: Any) -> stim.DetectorErrorModel:
    """The detector error model of a text, without `repeat`. Raises `AssertionError`."""
    assert isinstance(text, str), f"expected the text of a detector error model, got {type(text).__name__}"
    assert len(text) <= _MOST_TEXT, f"a text of {len(text)} characters is too long"
    assert "repeat" not in text, "expected a model without repeat blocks"
    try:
        return stim.DetectorErrorModel(text + "\n").flattened()
    except (ValueError, IndexError) as error:
        raise AssertionError(f"stim cannot read this model: {str(error).splitlines()[0][:200]}") from None


def has_no_noise(circuit: stim.Circuit) -> None:
    """There is no noisy operation in the circuit, and no measurement that errs."""
    for each in circuit:
        gate = stim.gate_data(each.name)
        noisy = gate.is_noisy_gate and not gate.produces_measurements
        errs = gate.produces_measurements and any(each.gate_args_copy())
        quiet = not (noisy or errs)
        assert quiet, f"the circuit has noise: {each}"


def with_noise(circuit: stim.Circuit, p: float) -> stim.Circuit:
    """The circuit with depolarization after each gate, and flips after each reset and before each measurement, of
    probability `p`. The circuit has no REPEAT blocks.

    stim joins equal operations that follow each other to one instruction; they are taken apart here, so that noise
    stands between gates that share a qubit.
    """
    made = stim.Circuit()
    for each in circuit:
        if each.name in _ANNOTATIONS:
            made.append(each)
            continue
        for group in each.target_groups():
            _append_noisy(made, each.name, group, p)
    return made


def _append_noisy(made: stim.Circuit, name: str, targets: list[stim.GateTarget], p: float) -> None:
    if name in _MEASUREMENTS or name in _RESETS:
        qubits = [target.value for target in targets]
        if name in _MEASUREMENTS:
            made.append(f"{_MEASUREMENTS[name]}_ERROR", qubits, p)
        made.append(name, targets)
        if name in _RESETS:
            made.append(f"{_RESETS[name]}_ERROR", qubits, p)
        return
    gate = stim.gate_data(name)
    assert gate.is_unitary, f"{name} is neither a Clifford gate nor one of R, RX, M, MX, MR and annotations"
    assert all(target.is_qubit_target for target in targets), f"{name} is controlled by a measurement"
    assert len(targets) <= 2, f"{name} acts on {len(targets)} qubits"
    made.append(name, targets)
    made.append(f"DEPOLARIZE{len(targets)}", targets, p)


def errors_of(model: stim.DetectorErrorModel) -> dict[tuple[frozenset[int], frozenset[int]], float]:
    """Probability of each set of flipped (detectors, observables); errors with the same set are combined."""
    found: dict[tuple[frozenset[int], frozenset[int]], float] = {}
    for each in model.flattened():
        if each.type != "error":
            continue
        detectors: set[int] = set()
        observables: set[int] = set()
        for target in each.targets_copy():
            if target.is_relative_detector_id():
                detectors ^= {target.val}
            elif target.is_logical_observable_id():
                observables ^= {target.val}
        p, key = each.args_copy()[0], (frozenset(detectors), frozenset(observables))
        before = found.get(key, 0.0)
        found[key] = before * (1 - p) + p * (1 - before)
    return {key: p for key, p in found.items() if any(key) and p > 0}


def same_errors(got: stim.DetectorErrorModel, expected: stim.DetectorErrorModel) -> None:
    """The models have the same errors with the same probabilities, in any order."""
    mine, theirs = errors_of(got), errors_of(expected)
    for key in [*theirs, *mine]:
        named = ", ".join([*(f"D{each}" for each in sorted(key[0])), *(f"L{each}" for each in sorted(key[1]))])
        assert key in mine, f"no error flips {named} alone, expected one of probability {theirs[key]:.6g}"
        assert key in theirs, f"an error flips {named}, expected none that flips exactly these"
        assert abs(mine[key] - theirs[key]) < 1e-9 + 1e-6 * theirs[key], (
            f"the error that flips {named} has probability {mine[key]:.6g}, expected {theirs[key]:.6g}"
        )


def model_under_noise(circuit: stim.Circuit, p: float = 1e-3) -> stim.DetectorErrorModel:
    """The detector error model under `with_noise`. Raises `AssertionError` where a detector is not deterministic."""
    try:
        return with_noise(circuit, p).detector_error_model()
    except ValueError as error:
        raise AssertionError(
            f"a detector or observable is not deterministic: {str(error).splitlines()[0][:300]}"
        ) from None


def distance_under_noise(circuit: stim.Circuit) -> int:
    """The fewest faults that flip an observable and no detector, of circuit-level noise; found by stim for errors of
    at most two detectors each kind of check (see `shortest_graphlike_error`), and searched for beyond these."""
    model_under_noise(circuit)
    assert circuit.num_observables, "the circuit has no observable"
    try:
        noisy = with_noise(circuit, 1e-3)
        graphlike = len(noisy.shortest_graphlike_error(ignore_ungraphlike_errors=True))
        hyper = noisy.search_for_undetectable_logical_errors(
            dont_explore_detection_event_sets_with_size_above=6,
            dont_explore_edges_with_degree_above=4,
            dont_explore_edges_increasing_symptom_degree=True,
        )
    except ValueError as error:
        raise AssertionError(f"no set of faults flips the observable: {str(error).splitlines()[0][:200]}") from None
    return min(graphlike, len(hyper))


def inner_part(circuit: stim.Circuit, data: Sequence[int], basis: str) -> stim.Circuit:
    """The circuit without what has to come first and last on each data qubit: a reset and a measurement in the basis.

    Annotations are left out. Raises `AssertionError` where another operation comes first or last.
    """
    reset, measurement = ("R", "M") if basis == "Z" else ("RX", "MX")
    operations = [
        (each.name, [target.value for target in group])
        for each in circuit
        if each.name not in _ANNOTATIONS
        for group in each.target_groups()
    ]
    outer = set()
    for qubit in data:
        places = [place for place, (_, on) in enumerate(operations) if qubit in on]
        assert places, f"no operation acts on data qubit {qubit}"
        for end, wanted, word in ((places[0], reset, "first"), (places[-1], measurement, "last")):
            assert operations[end][0] == wanted, f"the {word} operation on data qubit {qubit} is not {wanted}"
            outer.add(end)
    made = stim.Circuit()
    for place, (name, on) in enumerate(operations):
        if place not in outer:
            made.append(name, on)
    return made


def projects_onto(body: stim.Circuit, stabilizers: Sequence[str], logicals: Sequence[str]) -> None:
    """After `body` each stabilizer has a definite value, whatever the state before, and logical operators come through.

    Args:
        body: Data qubits are 0..n-1, all others start in |0>.
        stabilizers: Labels of n letters.
        logicals: Labels that come through unchanged up to signs that the measurements give.
    """
    n, qubits = code_of(stabilizers, redundant=True).n, max(body.num_qubits, 1)
    simulator = stim.TableauSimulator()
    simulator.set_num_qubits(qubits)
    simulator.do_tableau(stim.Tableau.random(n), list(range(n)))
    simulator.do_circuit(body)
    for label in stabilizers:
        value = simulator.peek_observable_expectation(pauli_of(label) + stim.PauliString(qubits - n))
        assert value, f"the circuit does not measure the stabilizer {label}"
    fresh = stim.Circuit()
    if qubits > n:
        fresh.append("R", range(n, qubits))
    for label in [*stabilizers, *logicals]:
        whole = pauli_of(label, n) + stim.PauliString(qubits - n)
        assert (fresh + body).has_flow(stim.Flow(input=whole, output=whole), unsigned=True), (
            f"the circuit disturbs {label}"
        )


def error_rate(circuit: stim.Circuit, p: float, shots: int) -> float:
    """Rate of wrong predictions of observable 0 under `with_noise`, by a decoder that looks up pairs of errors."""
    noisy = with_noise(circuit, p)
    table = _lookup(errors_of(model_under_noise(circuit, p)), circuit.num_detectors)
    detectors, observables = noisy.compile_detector_sampler().sample(shots, separate_observables=True)
    keys = [row.tobytes() for row in np.packbits(detectors, axis=1)]
    predicted = np.array([table.get(key, False) for key in keys])
    return float((predicted != observables[:, 0]).mean())


def _lookup(errors: dict[tuple[frozenset[int], frozenset[int]], float], detectors: int) -> dict[bytes, bool]:
    """Most likely value of observable 0 for the syndromes of one and of two errors."""
    rows = np.zeros((len(errors), detectors), dtype=bool)
    flips = np.array([0 in observables for _, observables in errors])
    p = np.array(list(errors.values()))
    for row, (flipped, _) in zip(rows, errors, strict=True):
        row[list(flipped)] = True
    packed = np.packbits(rows, axis=1)
    weights: dict[bytes, NDArray[np.float64]] = {}
    first, second = np.array(list(combinations(range(len(p)), 2))).T
    both = packed[first] ^ packed[second]
    for keys, odds, values in (
        (packed, p, flips),
        (both, p[first] * p[second], flips[first] ^ flips[second]),
        (np.zeros_like(packed[:1]), np.ones(1), np.zeros(1, dtype=bool)),
    ):
        for key, odd, value in zip(keys, odds, values, strict=True):
            weights.setdefault(key.tobytes(), np.zeros(2))[int(value)] += odd
    return {key: bool(each[1] > each[0]) for key, each in weights.items()}
