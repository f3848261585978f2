"""A detector error model as arrays: one row for each fault mechanism."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import stim

__all__ = ["FaultTable", "fault_table"]


@dataclass(frozen=True)
class FaultTable:
    """The fault mechanisms of a detector error model, those of equal effect merged, in order of first appearance.

    Attributes:
        num_detectors, num_observables: Of the model.
        detectors: For each mechanism the detectors it flips, ascending.
        observables: For each mechanism the observables it flips, as the bits of an int.
        probabilities: (N,) float64, the probability that an odd number of the merged mechanisms happens.
    """

    num_detectors: int
    num_observables: int
    detectors: tuple[tuple[int, ...], ...]
    observables: tuple[int, ...]
    probabilities: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.detectors)

    @cached_property
    def detector_words(self) -> NDArray[np.uint64]:
        """(detectors,) uint64: detector d's word; the word of a syndrome is the XOR of its detectors' words.

        Up to 64 detectors the words are single bits and the map is exact. Beyond, they are fixed random words: equal
        syndromes have equal words, and two given different ones agree with probability 2^-64.
        """
        if self.num_detectors <= 64:
            return np.uint64(1) << np.arange(self.num_detectors, dtype=np.uint64)
        return np.random.default_rng(0x51EC).integers(0, 2**64, self.num_detectors, dtype=np.uint64)

    @cached_property
    def words(self) -> NDArray[np.uint64]:
        """(N,) uint64: each mechanism's syndrome as a word."""
        words = self.detector_words
        return np.array(
            [np.bitwise_xor.reduce(words[list(flipped)]) if flipped else 0 for flipped in self.detectors],
            dtype=np.uint64,
        )

    @cached_property
    def observable_words(self) -> NDArray[np.uint64]:
        """(N,) uint64: each mechanism's observables. Up to 64 of them are the bits of a word; beyond, as for detectors,
        equal sets have equal words, and two given different ones agree with probability 2^-64."""
        if self.num_observables <= 64:
            return np.array(self.observables, dtype=np.uint64)
        words = np.random.default_rng(0x0B5E).integers(0, 2**64, self.num_observables, dtype=np.uint64)
        flips = self.observable_flips
        return np.array([np.bitwise_xor.reduce(words[row], initial=np.uint64(0)) for row in flips], dtype=np.uint64)

    @cached_property
    def observable_flips(self) -> NDArray[np.bool_]:
        """(N, observables): whether a mechanism flips an observable, for any number of them."""
        width = (self.num_observables + 7) // 8
        raw = b"".join(each.to_bytes(width, "little") for each in self.observables)
        packed = np.frombuffer(raw, dtype=np.uint8).reshape(len(self), width)
        return np.unpackbits(packed, axis=1, count=self.num_observables, bitorder="little").astype(np.bool_)


def fault_table(model: stim.DetectorErrorModel) -> FaultTable:
    """Read a model; suggested decompositions (`^`) are ignored, mechanisms of probability 0 dropped."""
    merged: dict[tuple[tuple[int, ...], int], float] = {}
    for instruction in model.flattened():
        if instruction.type != "error":
            continue
        detectors: set[int] = set()
        observables = 0
        for target in instruction.targets_copy():
            if target.is_relative_detector_id():
                detectors ^= {target.val}
            elif target.is_logical_observable_id():
                observables ^= 1 << target.val
        probability = instruction.args_copy()[0]
        if probability == 0.0 or not (detectors or observables):
            continue
        key = (tuple(sorted(detectors)), observables)
        before = merged.get(key, 0.0)
        merged[key] = before * (1 - probability) + probability * (1 - before)
    return FaultTable(
        num_detectors=model.num_detectors,
        num_observables=model.num_observables,
        detectors=tuple(key[0] for key in merged),
        observables=tuple(key[1] for key in merged),
        probabilities=np.array(list(merged.values()), dtype=np.float64),
    )
