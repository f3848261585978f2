"""What predicts the flips of observables: decoders of one prior, all called alike, and shots that repeat themselves.

Sorting syndromes is quick beside decoding them, for every decoder but matching: `DecodeDistinct` has each distinct one
decoded once, `DistinctShots` does so for shots that many decoders are to see.
"""

from __future__ import annotations

from typing import Protocol, Self

import numpy as np
import pymatching
import stim
from numpy.typing import NDArray

__all__ = ["DecodeDistinct", "DistinctShots", "MatchingPredictor", "Predictor"]


class Predictor(Protocol):
    """A decoder with one prior: `sinter.CompiledDecoder`."""

    def decode_shots_bit_packed(self, *, bit_packed_detection_event_data: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(S, ceil(D/8)) events -> (S, ceil(L/8)) predicted flips."""
        ...


class MatchingPredictor:
    """Minimum-weight perfect matching on a graph that is there already."""

    def __init__(self, graph: pymatching.Matching) -> None:
        self._graph = graph

    @classmethod
    def of(cls, circuit: stim.Circuit) -> Self:
        """On the circuit's own error model; stim keeps its loops folded, which is several times faster."""
        model = circuit.detector_error_model(decompose_errors=True, approximate_disjoint_errors=True)
        return cls(pymatching.Matching.from_detector_error_model(model))

    def decode_shots_bit_packed(self, *, bit_packed_detection_event_data: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(S, ceil(D/8)) events -> (S, ceil(L/8)) predicted flips."""
        predictions: NDArray[np.uint8] = self._graph.decode_batch(
            bit_packed_detection_event_data, bit_packed_shots=True, bit_packed_predictions=True
        )
        return predictions


class DecodeDistinct:
    """A decoder that is asked once for each distinct syndrome."""

    def __init__(self, decoder: Predictor) -> None:
        self._decoder = decoder

    def decode_shots_bit_packed(self, *, bit_packed_detection_event_data: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(S, ceil(D/8)) events -> (S, ceil(L/8)) predicted flips."""
        first, which = _distinct(bit_packed_detection_event_data)
        rows = np.ascontiguousarray(bit_packed_detection_event_data[first])
        return self._decoder.decode_shots_bit_packed(bit_packed_detection_event_data=rows)[which]


class DistinctShots:
    """Shots of one circuit, to be decoded by many: each distinct syndrome is decoded once.

    Args:
        events: (S, ceil(D/8)) uint8, detection events, bits from the lowest.
        flips: (S, ceil(L/8)) uint8, which observables flipped.
    """

    def __init__(self, events: NDArray[np.uint8], flips: NDArray[np.uint8]) -> None:
        first, self._which = _distinct(events)
        self.events = np.ascontiguousarray(events[first])
        self._flips = flips

    def errors(self, predictor: Predictor) -> int:
        """Shots whose observables are not all as predicted."""
        predicted = predictor.decode_shots_bit_packed(bit_packed_detection_event_data=self.events)
        return int(np.count_nonzero((predicted[self._which] != self._flips).any(axis=1)))


def _distinct(rows: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First of each distinct row, and which one each row is: eight bytes at a time, which sorts faster than rows do."""
    words = -(-rows.shape[1] // 8)
    padded = np.zeros((len(rows), 8 * words), np.uint8)
    padded[:, : rows.shape[1]] = rows
    columns = padded.view(np.uint64)
    first, which = np.unique(columns[:, 0], return_index=True, return_inverse=True)[1:]
    for column in columns.T[1:]:
        other = np.unique(column, return_inverse=True)[1]
        first, which = np.unique(which * len(rows) + other, return_index=True, return_inverse=True)[1:]
    return first, which
