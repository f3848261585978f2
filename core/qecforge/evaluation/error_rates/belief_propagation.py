"""Belief propagation with ordered or localized statistics (ldpc), and small sets of faults looked up beside it.

Belief propagation stops at the first set that explains the syndrome, which is not always a likely one: of the 93
single errors of [[31,21,3]] it gets 4 wrong. So its answer is compared with the likeliest set of few faults, and the
likelier of the two is taken. Sources: Panteleev and Kalachev 2021 (BP+OSD), Hillmann et al. 2024 (LSD); the comparison
is ours.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import sinter
from numpy.typing import NDArray

from qecforge.evaluation.error_rates.circuits._faults import FaultTable, fault_table

if TYPE_CHECKING:
    import stim

__all__ = ["BeliefPropagation", "CompiledBeliefPropagation", "LikeliestSmallSet"]


class BeliefPropagation(sinter.Decoder):  # type: ignore[misc]
    """The decoders `bposd` and `bplsd` on the fault table.

    Serial min-sum with scaling 0.625 and ten iterations: with ldpc's default schedule (parallel) BP converges to wrong
    sets for some single faults of flagged circuits, and the quadratic law is lost. OSD sweeps combinations of order 10,
    never more than there are free columns, since ldpc 2.4 writes out of bounds then; LSD has order 0, since its higher
    orders do that on small clusters, and runs even where BP converged.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def compile_decoder_for_dem(self, *, dem: stim.DetectorErrorModel) -> sinter.CompiledDecoder:
        """As `sinter.Decoder` says."""
        return CompiledBeliefPropagation(self.name, fault_table(dem))


class CompiledBeliefPropagation(sinter.CompiledDecoder):  # type: ignore[misc]
    """`bposd` or `bplsd` prepared for one table of faults."""

    def __init__(self, name: str, table: FaultTable) -> None:
        from scipy.sparse import csc_matrix

        self._table = table
        self._small = LikeliestSmallSet(table)
        rows = np.array([d for flipped in table.detectors for d in flipped], dtype=np.int32)
        starts = np.cumsum([0, *(len(flipped) for flipped in table.detectors)], dtype=np.int32)
        checks = csc_matrix((np.ones(len(rows), dtype=np.uint8), rows, starts), shape=(table.num_detectors, len(table)))
        common: dict[str, Any] = {
            "error_channel": table.probabilities.tolist(),
            "max_iter": 10,
            "bp_method": "minimum_sum",
            "ms_scaling_factor": 0.625,
            "schedule": "serial",
        }
        if name == "bposd":
            from ldpc.bposd_decoder import BpOsdDecoder

            order = min(10, len(table) - _rank(table))
            self._decoder = BpOsdDecoder(checks, osd_method="osd_cs" if order else "osd_0", osd_order=order, **common)
        else:
            from ldpc.bplsd_decoder import BpLsdDecoder

            self._decoder = BpLsdDecoder(checks, lsd_method="lsd_0", lsd_order=0, always_run_lsd=True, **common)

    def decode_shots_bit_packed(self, *, bit_packed_detection_event_data: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """As `sinter.CompiledDecoder` says."""
        table = self._table
        syndromes = np.unpackbits(bit_packed_detection_event_data, axis=1, count=table.num_detectors, bitorder="little")
        predictions = np.zeros((len(syndromes), table.num_observables), dtype=np.bool_)
        words = np.bitwise_xor.reduce(np.where(syndromes, table.detector_words, np.uint64(0)), axis=1, initial=0)
        for shot, (syndrome, word) in enumerate(zip(syndromes, words, strict=True)):
            faults = self._small.likelier(np.uint64(word), np.flatnonzero(self._decoder.decode(syndrome)))
            predictions[shot] = np.bitwise_xor.reduce(table.observable_flips[faults], axis=0)
        return np.packbits(predictions, axis=1, bitorder="little")


_SetTable: TypeAlias = tuple[NDArray[np.uint64], NDArray[np.float64], NDArray[np.int64]]
"""(distinct words (U,) ascending, cost (U,) of the likeliest set with each word, (U, size) the faults of that set)."""

_MOST_TABULATED = {2: 600, 3: 120}
"""Size of fault sets that are tabulated, and the largest number of mechanisms for which they are."""
_MOST_PAIRED = 200
_TIE = 1e-9
"""Belief propagation's answer stays where another is likelier by rounding alone."""


class LikeliestSmallSet:
    """The likeliest set of few faults that explains a syndrome: up to five of them where there are at most 120
    mechanisms (errors on the data of a code up to n = 40), four up to 200, three up to 600, two beyond.

    Sets of up to three are tabulated; larger ones are met in the middle between two tables.
    """

    def __init__(self, table: FaultTable) -> None:
        count = len(table)
        self._words = table.words
        self._costs = np.log1p(-table.probabilities) - np.log(table.probabilities)
        self._cheapest = float(self._costs.min(initial=np.inf))
        largest = min(count, max((size for size, most in _MOST_TABULATED.items() if count <= most), default=1))
        tables = {size: self._tabulate(size, count) for size in range(1, largest + 1)}
        most = {0: 0, 1: 2, 2: 4 if count <= _MOST_PAIRED else 3, 3: 5}[largest]
        self._splits: list[tuple[int, _SetTable, _SetTable | None]] = []
        for size in range(1, most + 1):
            rest = size - largest
            self._splits.append((size, tables[min(size, largest)], tables[rest] if rest > 0 else None))

    def _tabulate(self, size: int, count: int) -> _SetTable:
        sets = np.array(list(combinations(range(count), size)), dtype=np.int64).reshape(-1, size)
        words = np.bitwise_xor.reduce(self._words[sets], axis=1)
        costs = self._costs[sets].sum(axis=1)
        order = np.lexsort((costs, words))
        first = np.ones(len(order), dtype=np.bool_)
        first[1:] = words[order[1:]] != words[order[:-1]]
        kept = order[first]
        return words[kept], costs[kept], sets[kept]

    def likelier(self, syndrome: np.uint64, faults: NDArray[np.int64]) -> NDArray[np.int64]:
        """`faults` or, where it is likelier or `faults` does not explain the syndrome, a set of few.

        Args:
            syndrome: As a word of the table.
            faults: (m,) indices of mechanisms.
        """
        explained = np.bitwise_xor.reduce(self._words[faults], initial=0) == syndrome
        best = float(self._costs[faults].sum()) if explained else np.inf
        for size, (words, costs, sets), others in self._splits:
            if best <= size * self._cheapest + _TIE:
                break
            other_words, other_costs, other_sets = others or _NOTHING
            places = np.searchsorted(words, other_words ^ syndrome)
            places[places == len(words)] = 0
            totals = np.where(words[places] == other_words ^ syndrome, costs[places] + other_costs, np.inf)
            at = int(totals.argmin())
            if totals[at] < best - _TIE:
                best = float(totals[at])
                faults = np.setxor1d(sets[places[at]], other_sets[at])
        return faults


_NOTHING: _SetTable = (np.zeros(1, dtype=np.uint64), np.zeros(1), np.zeros((1, 0), dtype=np.int64))


def _rank(table: FaultTable) -> int:
    """Rank over GF(2) of the matrix from faults to detectors."""
    pivots: dict[int, int] = {}
    for flipped in table.detectors:
        column = sum(1 << detector for detector in flipped)
        while column:
            pivot = pivots.setdefault(column.bit_length(), column)
            if pivot == column:
                break
            column ^= pivot
    return len(pivots)
