"""Code capacity: one round of noise on the data qubits, perfect syndromes.

The joint distribution of syndrome and logical class is a table of 2^(n+k) numbers, built by one XOR-convolution per
qubit (each Pauli of a qubit flips fixed bits). That is what a sum over all 4^n errors gives, in n 2^(n+k+2) steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qecforge.errors import ConfigurationError
from qecforge.evaluation.error_rates.circuits.generators import MeasuredCode
from qecforge.evaluation.error_rates.circuits.memory import MemoryExperiment
from qecforge.evaluation.error_rates.noise import PauliChannel

if TYPE_CHECKING:
    import sinter

__all__ = [
    "EXACT_BITS",
    "code_capacity_experiment",
    "coset_probabilities",
    "decoder_rate",
    "maximum_likelihood_rate",
]

EXACT_BITS = 22
"""Largest n + k for which the table is built."""


def coset_probabilities(code: MeasuredCode, channel: PauliChannel) -> NDArray[np.float64]:
    """(4^k, 2^(n-k)) float64: the probability of each logical class and syndrome.

    Bit i of a syndrome is set where the error anticommutes with stabilizer i. Of a class, bit i < k is set where it
    anticommutes with X̄_i, bit k + i where it anticommutes with Z̄_i.

    Args:
        code: n + k at most `EXACT_BITS`.
        channel: Probabilities of X, Y, Z on each data qubit, independently.

    Raises:
        ConfigurationError: the code is too large.
    """
    if code.n + code.k > EXACT_BITS:
        raise ConfigurationError(
            f"code capacity: got n + k = {code.n + code.k}, expected at most {EXACT_BITS} for an exact rate; sample it"
        )
    rows = (*code.stabilizers, *code.logical_x, *code.logical_z)
    index = np.arange(2 ** len(rows))
    table = np.zeros(len(index))
    table[0] = 1.0
    for qubit in range(code.n):
        x = sum(1 << bit for bit, pauli in enumerate(rows) if pauli[qubit] in "YZ")
        z = sum(1 << bit for bit, pauli in enumerate(rows) if pauli[qubit] in "XY")
        parts = zip(channel, (x, x ^ z, z), strict=True)
        table = (1.0 - sum(channel)) * table + sum(p * table[index ^ flipped] for p, flipped in parts if p)
    return table.reshape(4**code.k, 2 ** (code.n - code.k))


def maximum_likelihood_rate(code: MeasuredCode, channel: PauliChannel) -> float:
    """The logical error rate of the best decoder, exactly: 1 - sum over syndromes of the likeliest class.

    Any wrong logical class is an error. Computed as the sum of the other classes, so that small rates keep their
    relative precision. Raises `ConfigurationError` where the code is too large.
    """
    table = coset_probabilities(code, channel)
    return float(np.sort(table, axis=0)[:-1].sum())


def decoder_rate(code: MeasuredCode, channel: PauliChannel, decoder: sinter.CompiledDecoder) -> float:
    """The logical error rate of `decoder`, exactly: it is asked about every possible syndrome once.

    Args:
        code: The code; n + k at most `EXACT_BITS`.
        channel: As in `coset_probabilities`.
        decoder: Compiled for `code_capacity_experiment(code, channel)`.
    """
    table = coset_probabilities(code, channel)
    possible = np.flatnonzero(table.any(axis=0))  # on others, which no shot has, matching ends in an error
    syndromes = possible.astype("<u8")[:, None].view(np.uint8)[:, : (code.n - code.k + 7) // 8]
    predictions = decoder.decode_shots_bit_packed(bit_packed_detection_event_data=np.ascontiguousarray(syndromes))
    bits = np.unpackbits(predictions, axis=1, count=2 * code.k, bitorder="little").astype(np.int64)
    predicted = bits @ (1 << np.arange(2 * code.k, dtype=np.int64))
    wrong = np.ones(table.shape, dtype=np.bool_)
    wrong[predicted, possible] = False
    return float(table[wrong].sum())


def code_capacity_experiment(code: MeasuredCode, channel: PauliChannel) -> MemoryExperiment:
    """The same as a stim circuit: detectors 0..n-k-1 are the stabilizers, observables X̄_1..X̄_k, then Z̄_1..Z̄_k.

    Both logical bases are watched in one shot by correlating logical qubit i with a noiseless reference qubit n + i.
    """
    from qecforge.evaluation.error_rates.circuits._layers import NoisyCircuit

    circuit = NoisyCircuit(None, range(code.n))
    logicals = [
        logical + "".join(letter if j == i else "I" for j in range(code.k))
        for letter, operators in (("X", code.logical_x), ("Z", code.logical_z))
        for i, logical in enumerate(operators)
    ]
    for when in ("before", "after"):
        for index, pauli in enumerate((*code.stabilizers, *logicals)):
            circuit.measure_product(pauli, (when, index))
        if when == "before":
            circuit.pauli_channel(channel, range(code.n))
    for index in range(code.n + code.k):
        keys = [("before", index), ("after", index)]
        if index < code.n - code.k:
            circuit.detector(keys, (index, 0, 0))
        else:
            circuit.observable(keys, index - (code.n - code.k))
    return MemoryExperiment(str(circuit.circuit), "z")
