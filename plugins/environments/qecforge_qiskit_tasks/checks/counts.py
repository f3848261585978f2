"""Checks of counts, and the exact distribution of a circuit's outcomes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.quantum_info import Statevector

__all__ = ["counts_follow", "largest_deviation", "measured_probabilities"]

DOUBT = 2.5e-10
"""Probability, at most, that right counts of an outcome are refused as too many, or as too few."""


def counts_follow(counts: Any, probabilities: Mapping[str, float], shots: int) -> None:
    """`counts` are `shots` samples of `probabilities` (outcome to probability; what is left out has none).

    An outcome is refused where it lies beyond Bernstein's bound: right counts of one outcome are refused at most
    5 times in 10^10. What has no probability must not occur.
    """
    assert isinstance(counts, dict), f"counts are a dict, got {type(counts).__name__}"
    assert all(type(number) is int and number >= 0 for number in counts.values()), "counts are whole numbers"
    assert sum(counts.values()) == shots, f"{sum(counts.values())} shots, expected {shots}"
    possible = [outcome for outcome, probability in probabilities.items() if probability > 1e-12]
    strange = sorted(set(map(str, (key for key, number in counts.items() if number and key not in possible))))
    assert not strange, f"these outcomes cannot occur: {strange[:4]}"
    for outcome in possible:
        found, mean = counts.get(outcome, 0), shots * probabilities[outcome]
        bound = largest_deviation(probabilities[outcome], shots)
        assert abs(found - mean) <= bound, f"{found} times {outcome}, expected {mean:.1f} +- {bound:.1f}"


def largest_deviation(probability: float, shots: int) -> float:
    """How far from its mean the count of an outcome may be: Bernstein's inequality, solved for the distance at which
    either tail has the probability `DOUBT`."""
    logarithm = -math.log(DOUBT)
    variance = shots * probability * max(1 - probability, 0.0)
    return logarithm / 3 + math.sqrt(logarithm**2 / 9 + 2 * logarithm * variance)


def measured_probabilities(circuit: QuantumCircuit) -> dict[str, float]:
    """Exact probability of each string of classical bits (bit 0 rightmost, no spaces), from |0...0>.

    Measurements must be final: no gate may follow on a measured qubit. A bit that is never written is 0.
    """
    source: dict[int, int] = {}
    unmeasured = circuit.copy_empty_like()
    for instruction in circuit.data:
        qubits = [circuit.find_bit(qubit).index for qubit in instruction.qubits]
        if instruction.operation.name == "measure":
            source[circuit.find_bit(instruction.clbits[0]).index] = qubits[0]
        elif instruction.operation.name != "barrier":
            assert not set(qubits) & set(source.values()), "a gate follows on a measured qubit"
            unmeasured.append(instruction)
    probabilities: dict[str, float] = {}
    for index, probability in enumerate(np.abs(Statevector(unmeasured).data) ** 2):
        bits = [str(index >> source[bit] & 1) if bit in source else "0" for bit in reversed(range(circuit.num_clbits))]
        outcome = "".join(bits)
        probabilities[outcome] = probabilities.get(outcome, 0.0) + float(probability)
    return {outcome: probability for outcome, probability in probabilities.items() if probability > 1e-12}
