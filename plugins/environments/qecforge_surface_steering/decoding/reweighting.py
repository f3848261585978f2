"""Decoders whose priors are tuned: what does not depend on the prior is compiled once, for one circuit.

    decoder = ReweightedDecoder("pymatching", circuit)
    for predictor in decoder.predictors(priors):
        predictor.decode_shots_bit_packed(bit_packed_detection_event_data=events)

Matching: the probability q_e of an edge is that an odd number of the faults that it is part of happens, so
log(1 - 2 q_e) is linear in the gates' log(1 - c p) as a fault's is, and weights log((1 - q_e)/q_e) are one sparse
product away from a candidate. Other decoders are made from an error model whose probabilities are replaced.

Source: arXiv 2406.02700 (reweighting of the matching graph, tuned by reinforcement learning); how is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pymatching
import stim
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csc_matrix, csr_array

from qecforge.evaluation.error_rates.decoders import make_decoder
from qecforge_surface_steering.decoding.fault_model import FaultModel
from qecforge_surface_steering.decoding.predictors import MatchingPredictor, Predictor
from qecforge_surface_steering.device.tagged import TaggedCircuit

__all__ = ["ReweightedDecoder"]

FloatArray = NDArray[np.float64]

_LEAST = 1e-300
"""Probability below which an edge or fault is as good as impossible; decoders take none of exactly 0."""
_MOST = 0.5 - 1e-9
"""Probability above which a fault is as good as a fair coin; `ml_lookup` takes none of exactly 1/2."""


class ReweightedDecoder:
    """Makes decoders of one circuit, one for each prior.

    Args:
        name: pymatching or another name of `qecforge.evaluation.error_rates.decoders.make_decoder`; not `auto`.
        circuit: The experiment. pymatching needs faults that are graph-like, which is not looked into here.

    Raises:
        ConfigurationError: Faults that do not split into edges, for pymatching.
        DecoderError: An unknown name.
        MissingDependency: The decoder's package is not installed.
    """

    def __init__(self, name: str, circuit: TaggedCircuit) -> None:
        self.name = name
        self.faults = FaultModel.of(circuit, decompose=name == "pymatching")
        self._make: Callable[[FloatArray], Predictor]
        self._make = _Edges(self.faults).matching if name == "pymatching" else _Replaced(self.faults, name).decoder

    def predictors(self, priors: ArrayLike) -> Iterator[Predictor]:
        """One decoder after the other.

        Args:
            priors: (K, G) error probabilities of the gates, 0..p_max, in the order of the circuit's gates.
        """
        return map(self._make, self.faults.attenuations(priors))


class _Replaced:
    """Any decoder, from an error model with other probabilities."""

    def __init__(self, faults: FaultModel, name: str) -> None:
        self._faults, self._maker = faults, make_decoder(name)

    def decoder(self, attenuations: FloatArray) -> Predictor:
        """The decoder with (F,) log(1 - 2 q) of the faults."""
        model = self._faults.error_model_of(np.clip(-0.5 * np.expm1(attenuations), _LEAST, _MOST))
        made: Predictor = self._maker.compile_decoder_for_dem(dem=model)
        return made


class _Edges:
    """Edges of the matching graph: pairs of detectors, or one and the boundary. Of parallel ones, which differ in
    their observables, the first stands for all, as in pymatching."""

    def __init__(self, faults: FaultModel) -> None:
        number: dict[tuple[int, ...], int] = {}
        observables: list[tuple[int, ...]] = []
        pairs: list[tuple[int, int]] = []
        for fault, targets in enumerate(faults.targets):
            for detectors, flipped in _parts(targets):
                if detectors:
                    edge = number.setdefault(detectors, len(number))
                    if edge == len(observables):
                        observables.append(flipped)
                    pairs.append((edge, fault))
        edge, fault = np.array(pairs, dtype=np.int64).T
        self._faults = csr_array((np.ones(len(edge)), (edge, fault)), shape=(len(number), faults.num_faults))
        circuit = faults.circuit.circuit
        self._checks = _columns(list(number), circuit.num_detectors)
        self._observables = _columns(observables, circuit.num_observables)

    def matching(self, attenuations: FloatArray) -> Predictor:
        """Minimum-weight perfect matching with (F,) log(1 - 2 q) of the faults."""
        probabilities = np.maximum(-0.5 * np.expm1(self._faults @ attenuations), _LEAST)
        graph = pymatching.Matching()
        graph.load_from_check_matrix(
            self._checks,
            weights=np.log1p(-probabilities) - np.log(probabilities),
            error_probabilities=probabilities,
            faults_matrix=self._observables,
            use_virtual_boundary_node=True,
        )
        return MatchingPredictor(graph)


def _parts(targets: tuple[stim.DemTarget, ...]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Detectors and observables of each part of a fault, ascending."""
    detectors: list[int] = []
    observables: list[int] = []
    for target in (*targets, stim.target_separator()):
        if target.is_separator():
            yield tuple(sorted(detectors)), tuple(sorted(observables))
            detectors, observables = [], []
        elif target.is_relative_detector_id():
            detectors.append(target.val)
        else:
            observables.append(target.val)


def _columns(columns: list[tuple[int, ...]], rows: int) -> csc_matrix:
    """(rows, len(columns)) uint8, ones where the columns say."""
    indices = np.array([row for column in columns for row in column], dtype=np.int32)
    indptr = np.cumsum([0, *(len(column) for column in columns)], dtype=np.int32)
    return csc_matrix((np.ones(len(indices), np.uint8), indices, indptr), shape=(rows, len(columns)))
