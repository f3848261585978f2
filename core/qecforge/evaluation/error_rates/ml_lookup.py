"""Maximum-likelihood decoding by tables, for small circuits.

For each syndrome the probabilities of all fault sets that explain it are summed for each value of the observables, and
the likeliest value is the prediction. Two regimes:

- *exact*, where detectors and observables are at most 20 bits (22 where faults are frequent): the joint distribution of
  syndrome and observables is computed whole, as the inverse Walsh-Hadamard transform of the product of the mechanisms'
  characters.
- *truncated*, else: sums run over all sets of at most three faults; where none of them explains a syndrome, over all
  sets of four; where none does, belief propagation decides (`bposd`). Sets are summed without listing them, by
  Newton's identities for elementary symmetric polynomials in the group algebra of GF(2)^m (x·x = 1 for every fault x):
  3 e3 = e2 p1 - e1 p2 + p3 with e2 tabulated, and e4 = (e2 e2) / 6 where no smaller set explains the syndrome.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import sinter
from numpy.typing import NDArray

from qecforge.errors import DecoderError
from qecforge.evaluation.error_rates.belief_propagation import CompiledBeliefPropagation
from qecforge.evaluation.error_rates.circuits._faults import FaultTable, fault_table

if TYPE_CHECKING:
    import stim

__all__ = ["ExactLookup", "MaximumLikelihoodLookup", "TruncatedLookup", "joint_distribution", "lookup_suffices"]

_EXACT_BITS = 20
_MOST_OBSERVABLES = 4
_MOST_MECHANISMS = 3000

_SUFFICIENT_MECHANISMS = 1500
_SUFFICIENT_FAULTS = 2.0


def _exact(table: FaultTable) -> bool:
    """Whether the table is in the exact regime: for two bits more where the truncated one does not suffice."""
    crowded = table.probabilities.sum() > _SUFFICIENT_FAULTS
    return table.num_detectors + table.num_observables <= _EXACT_BITS + (2 if crowded else 0)


def lookup_suffices(table: FaultTable) -> bool:
    """Whether the lookup makes as few errors as any decoder: in the exact regime always, in the truncated one up to
    1500 mechanisms, 4 observables and two faults a shot on average (beyond, sets of more than four faults matter)."""
    if _exact(table):
        return bool((table.probabilities < 0.5).all())
    return (
        len(table) <= _SUFFICIENT_MECHANISMS
        and table.num_observables <= _MOST_OBSERVABLES
        and float(table.probabilities.sum()) <= _SUFFICIENT_FAULTS
    )


class MaximumLikelihoodLookup(sinter.Decoder):  # type: ignore[misc]
    """The decoder `ml_lookup`; see the module."""

    def compile_decoder_for_dem(self, *, dem: stim.DetectorErrorModel) -> sinter.CompiledDecoder:
        """Build the tables. Raises `DecoderError` where the model is too large for either regime."""
        table = fault_table(dem)
        if _exact(table):
            return ExactLookup(table)
        if len(table) > _MOST_MECHANISMS or table.num_observables > _MOST_OBSERVABLES:
            raise DecoderError(
                f"decoder ml_lookup: got {len(table)} fault mechanisms and {table.num_observables} observables, "
                f"expected at most {_MOST_MECHANISMS} and {_MOST_OBSERVABLES}; use tesseract, bposd or bplsd"
            )
        return TruncatedLookup(table)


def joint_distribution(table: FaultTable) -> NDArray[np.float64]:
    """(2^observables, 2^detectors) float64: the probability of each pair of observables and syndrome.

    Bit i of an index is observable (detector) i. Absolute errors are of the order of 1e-16.
    """
    bits = table.num_detectors + table.num_observables
    exponents = np.zeros(2**bits)
    masks = np.array(
        [sum(1 << d for d in detectors) | obs << table.num_detectors for detectors, obs in _effects(table)],
        dtype=np.int64,
    )
    with np.errstate(divide="ignore"):
        np.add.at(exponents, masks, np.log1p(-2 * table.probabilities))
    total = exponents.sum()
    _walsh_hadamard(exponents)
    characters = np.exp((total - exponents) / 2)
    _walsh_hadamard(characters)
    joint: NDArray[np.float64] = (characters / 2**bits).reshape(2**table.num_observables, 2**table.num_detectors)
    return joint


def _effects(table: FaultTable) -> list[tuple[tuple[int, ...], int]]:
    return list(zip(table.detectors, table.observables, strict=True))


def _walsh_hadamard(values: NDArray[np.float64]) -> None:
    """In place, unnormalised."""
    half = 1
    while half < len(values):
        pairs = values.reshape(-1, 2, half)
        difference = pairs[:, 0] - pairs[:, 1]
        pairs[:, 0] += pairs[:, 1]
        pairs[:, 1] = difference
        half *= 2


class ExactLookup(sinter.CompiledDecoder):  # type: ignore[misc]
    """The likeliest observables of every syndrome."""

    def __init__(self, table: FaultTable) -> None:
        if (table.probabilities >= 0.5).any():
            raise DecoderError(
                f"decoder ml_lookup: got a fault of probability {table.probabilities.max():.3g}, expected less than "
                "0.5; lower p"
            )
        self._table = table
        self._prediction = joint_distribution(table).argmax(axis=0)

    def decode_shots_bit_packed(self, *, bit_packed_detection_event_data: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """As `sinter.CompiledDecoder` says."""
        table = self._table
        bits = np.unpackbits(bit_packed_detection_event_data, axis=1, count=table.num_detectors, bitorder="little")
        syndromes = bits.astype(np.int64) @ (1 << np.arange(table.num_detectors, dtype=np.int64))
        return _packed(self._prediction[syndromes].astype(np.uint64), table.num_observables)


class TruncatedLookup(sinter.CompiledDecoder):  # type: ignore[misc]
    """Sums over sets of at most four faults."""

    def __init__(self, table: FaultTable) -> None:
        from qecforge.evaluation.error_rates import _ml_kernels

        self._table = table
        odds = table.probabilities / (1.0 - table.probabilities)
        self._single = _ml_kernels.tabulate(table.words, table.observable_words, odds, table.num_observables)
        self._cubes = _ml_kernels.tabulate(table.words, table.observable_words, odds**3, table.num_observables)
        left, right = np.triu_indices(len(table), 1)
        self._pairs = _ml_kernels.tabulate(
            table.words[left] ^ table.words[right],
            table.observable_words[left] ^ table.observable_words[right],
            odds[left] * odds[right],
            table.num_observables,
        )
        self._odds = odds

    def decode_shots_bit_packed(self, *, bit_packed_detection_event_data: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """As `sinter.CompiledDecoder` says."""
        scores = self.scores(bit_packed_detection_event_data)
        predictions = _packed(scores.argmax(axis=1).astype(np.uint64), self._table.num_observables)
        unexplained = ~scores.any(axis=1)
        if unexplained.any():
            predictions[unexplained] = self._otherwise.decode_shots_bit_packed(
                bit_packed_detection_event_data=np.ascontiguousarray(bit_packed_detection_event_data[unexplained])
            )
        return predictions

    @cached_property
    def _otherwise(self) -> sinter.CompiledDecoder:
        return CompiledBeliefPropagation("bposd", self._table)

    def scores(self, syndromes_packed: NDArray[np.uint8]) -> NDArray[np.float64]:
        """(shots, 2^observables) float64: the odds of each value of the observables together with the syndrome, against
        no fault at all; 6 times as much where only sets of four explain it, zero where none does.

        Args:
            syndromes_packed: (shots, ceil(detectors / 8)) uint8, little-endian bits.
        """
        from qecforge.evaluation.error_rates import _ml_kernels

        table = self._table
        bits = np.unpackbits(syndromes_packed, axis=1, count=table.num_detectors, bitorder="little")
        syndromes = np.bitwise_xor.reduce(np.where(bits, table.detector_words, np.uint64(0)), axis=1, initial=0)
        return _ml_kernels.score(
            np.ascontiguousarray(syndromes, dtype=np.uint64),
            table.words,
            table.observable_words,
            self._odds,
            self._single,
            self._cubes,
            self._pairs,
        )


def _packed(observables: NDArray[np.uint64], count: int) -> NDArray[np.uint8]:
    """(shots,) ints -> (shots, ceil(count / 8)) bit-packed, little-endian."""
    return observables[:, None].astype("<u8").view(np.uint8)[:, : (count + 7) // 8].copy()
