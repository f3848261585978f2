"""Decoders by name, as `sinter.Decoder`s.

`pymatching`: minimum-weight perfect matching; refuses error models that are not graph-like. `bposd`, `bplsd`: belief
propagation with ordered-statistics or localized-statistics post-processing (ldpc). `tesseract`: most likely set of
faults by A* search (tesseract-decoder, an extra). `ml_lookup`: see `ml_lookup`. `auto` picks, see `resolve_decoder`.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import numpy as np
import sinter
from numpy.typing import NDArray

from qecforge.errors import DecoderError, MissingDependency
from qecforge.evaluation.error_rates.circuits._faults import FaultTable, fault_table

if TYPE_CHECKING:
    import stim

__all__ = ["compile_decoder", "lost_by_matching", "make_decoder", "non_graphlike_error", "resolve_decoder"]

_FAULTS_AT_ONCE = 4096

_INSTEAD = "use tesseract, bposd, bplsd or ml_lookup"


def resolve_decoder(name: str, circuit: stim.Circuit) -> str:
    """The decoder that `name` stands for on this circuit; any name but `auto` is checked and given back.

    `auto`: pymatching where the error model is graph-like and no fault is lost by being split into edges, see
    `lost_by_matching`; else ml_lookup where its tables are all but complete (at most 1500 fault mechanisms and 4
    observables, at most one fault a shot on average: it then makes fewer errors than the others and is faster); else
    tesseract where it is installed; else bposd.

    Args:
        name: One of `qecforge.evaluation.error_rates.config.DECODERS`.
        circuit: The experiment.

    Raises:
        DecoderError: an unknown name, or pymatching on a model that is not graph-like.
        MissingDependency: tesseract is asked for and not installed.
    """
    model = circuit.detector_error_model(approximate_disjoint_errors=True).flattened()
    if name == "auto":
        if non_graphlike_error(model) is None and not lost_by_matching(circuit):
            return "pymatching"
        table = fault_table(model)
        if len(table) <= 1500 and table.num_observables <= 4 and table.probabilities.sum() <= 1.0:
            return "ml_lookup"
        return "tesseract" if importlib.util.find_spec("tesseract_decoder") else "bposd"
    if name == "pymatching" and (error := non_graphlike_error(model)) is not None:
        raise DecoderError(
            f"decoder pymatching: the error model has a fault that flips detectors {', '.join(f'D{d}' for d in error)} "
            f"together and does not split into edges, expected at most two detectors a fault; {_INSTEAD}"
        )
    make_decoder(name)
    return name


def make_decoder(name: str) -> sinter.Decoder:
    """The decoder of this (resolved) name.

    Raises:
        DecoderError: an unknown name.
        MissingDependency: an optional package is absent.
    """
    if name == "pymatching":
        matching: sinter.Decoder = sinter.BUILT_IN_DECODERS["pymatching"]
        return matching
    if name in ("bposd", "bplsd"):
        return _BeliefPropagation(name)
    if name == "tesseract":
        return _tesseract()
    if name == "ml_lookup":
        from qecforge.evaluation.error_rates.ml_lookup import MaximumLikelihoodLookup

        return MaximumLikelihoodLookup()
    raise DecoderError(
        f"decoder: got {name!r}, expected one of pymatching, bposd, bplsd, tesseract, ml_lookup (or auto)"
    )


def compile_decoder(name: str, circuit: stim.Circuit) -> sinter.CompiledDecoder:
    """`make_decoder(name)` prepared for one circuit: pymatching is given stim's decomposition of the error model into
    edges, the others the model with its hyperedges whole.

    Raises:
        DecoderError: an unknown name, or a model that the decoder cannot take.
        MissingDependency: an optional package is absent.
    """
    decoder = make_decoder(name)
    if name == "pymatching":
        return decoder.compile_decoder_for_dem(dem=_split_model(circuit))
    model = circuit.detector_error_model(approximate_disjoint_errors=True, flatten_loops=True)
    return decoder.compile_decoder_for_dem(dem=model)


def _split_model(circuit: stim.Circuit) -> stim.DetectorErrorModel:
    """With stim's decomposition into edges. Raises `DecoderError` where there is none."""
    try:
        return circuit.detector_error_model(decompose_errors=True, approximate_disjoint_errors=True, flatten_loops=True)
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise DecoderError(
            f"decoder pymatching: the error model does not split into edges ({reason}); {_INSTEAD}"
        ) from error


def non_graphlike_error(model: stim.DetectorErrorModel) -> tuple[int, ...] | None:
    """The detectors of a fault that matching cannot represent, or None where the model is graph-like.

    Detectors fall into sectors (X and Z checks of a CSS code, say): a fault splits where its detectors part into two
    sets that are faults of the model by themselves and whose observables add up to its own; faults that do not split
    tie their detectors into one sector. The model is graph-like when every fault flips at most two detectors of each
    sector. So the Y errors of a surface code pass, and the three-detector faults of a colour code do not.
    """
    table = fault_table(model)
    effects: dict[tuple[int, ...], set[int]] = {}
    for detectors, observables in zip(table.detectors, table.observables, strict=True):
        effects.setdefault(detectors, set()).add(observables)
    sector = list(range(table.num_detectors))

    def root(detector: int) -> int:
        while sector[detector] != detector:
            sector[detector] = sector[sector[detector]]
            detector = sector[detector]
        return detector

    for detectors, observables in zip(table.detectors, table.observables, strict=True):
        if not _splits(detectors, observables, effects):
            for other in detectors[1:]:
                sector[root(other)] = root(detectors[0])
    for detectors in table.detectors:
        roots = [root(detector) for detector in detectors]
        if any(roots.count(one) > 2 for one in roots):
            return detectors
    return None


def _splits(detectors: tuple[int, ...], observables: int, effects: dict[tuple[int, ...], set[int]]) -> bool:
    count = len(detectors)
    if not 2 <= count <= 12:
        return False
    for chosen in range(1, 2 ** (count - 1)):
        part = tuple(d for i, d in enumerate(detectors) if chosen >> i & 1)
        rest = tuple(d for i, d in enumerate(detectors) if not chosen >> i & 1)
        if any(first ^ observables in effects.get(rest, ()) for first in effects.get(part, ())):
            return True
    return False


def lost_by_matching(circuit: stim.Circuit) -> int:
    """How many single faults of more than two detectors matching gets wrong, all faults being equally likely.

    Matching takes such a fault for several independent edges. In a surface code they lie in separate sectors, each
    right by itself; where one part is the flag without which another cannot be told from its like, a single fault
    becomes a logical error, whatever the circuit distance. (With a device's own rates matching may also give up a fault
    that is rarer than two others together, which is as it should be.)

    Raises:
        DecoderError: The error model does not split into edges.
    """
    table = fault_table(circuit.detector_error_model(approximate_disjoint_errors=True).flattened())
    wide = [fault for fault, detectors in enumerate(table.detectors) if len(detectors) > 2]
    if not wide:
        return 0
    decoder = make_decoder("pymatching").compile_decoder_for_dem(dem=_equally_likely(circuit))
    lost = 0
    for start in range(0, len(wide), _FAULTS_AT_ONCE):
        chosen = wide[start : start + _FAULTS_AT_ONCE]
        syndromes = np.zeros((len(chosen), table.num_detectors), dtype=np.bool_)
        flips = np.zeros((len(chosen), table.num_observables), dtype=np.bool_)
        for row, fault in enumerate(chosen):
            syndromes[row, list(table.detectors[fault])] = True
            flips[row] = [table.observables[fault] >> number & 1 for number in range(table.num_observables)]
        predicted = decoder.decode_shots_bit_packed(
            bit_packed_detection_event_data=np.packbits(syndromes, axis=1, bitorder="little")
        )
        lost += int((predicted != np.packbits(flips, axis=1, bitorder="little")).any(axis=1).sum())
    return lost


def _equally_likely(circuit: stim.Circuit) -> stim.DetectorErrorModel:
    """The error model, split into edges, with one small probability for every fault."""
    import stim

    model = stim.DetectorErrorModel()
    for instruction in _split_model(circuit).flattened():
        if instruction.type == "error":
            model.append("error", [1e-4], instruction.targets_copy())
        else:
            model.append(instruction)
    return model


class _BeliefPropagation(sinter.Decoder):  # type: ignore[misc]
    """BP+OSD or BP+LSD on the fault table.

    Serial min-sum with scaling 0.625 and ten iterations: with ldpc's default schedule (parallel) BP converges to wrong
    sets for some single faults of flagged circuits, and the quadratic law is lost. OSD sweeps combinations of order 10,
    never more than there are free columns, since ldpc 2.4 writes out of bounds then; LSD has order 0, since its higher
    orders do that on small clusters, and runs even where BP converged.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def compile_decoder_for_dem(self, *, dem: stim.DetectorErrorModel) -> sinter.CompiledDecoder:
        return _CompiledBeliefPropagation(self.name, fault_table(dem))


class _CompiledBeliefPropagation(sinter.CompiledDecoder):  # type: ignore[misc]
    def __init__(self, name: str, table: FaultTable) -> None:
        from scipy.sparse import csc_matrix

        self._table = table
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
        table = self._table
        syndromes = np.unpackbits(bit_packed_detection_event_data, axis=1, count=table.num_detectors, bitorder="little")
        predictions = np.zeros((len(syndromes), table.num_observables), dtype=np.bool_)
        for shot, syndrome in enumerate(syndromes):
            faults = np.flatnonzero(self._decoder.decode(syndrome))
            predictions[shot] = np.bitwise_xor.reduce(table.observable_flips[faults], axis=0)
        return np.packbits(predictions, axis=1, bitorder="little")


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


def _tesseract() -> sinter.Decoder:
    try:
        from tesseract_decoder import TesseractSinterDecoder
    except ImportError as error:
        raise MissingDependency(
            "decoder tesseract: the package tesseract-decoder is not installed; "
            "install it with `pip install qecforge[tesseract]`, or choose bposd"
        ) from error
    decoder: sinter.Decoder = TesseractSinterDecoder()
    return decoder
