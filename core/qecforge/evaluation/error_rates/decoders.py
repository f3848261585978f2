"""Decoders by name, as `sinter.Decoder`s.

`pymatching`: minimum-weight perfect matching; refuses error models that are not graph-like. `bposd`, `bplsd`: belief
propagation with ordered-statistics or localized-statistics post-processing (ldpc). `tesseract`: most likely set of
faults by A* search (tesseract-decoder, an extra). `ml_lookup`: see `ml_lookup`. `auto` picks, see `resolve_decoder`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np
import sinter

from qecforge.errors import DecoderError
from qecforge.evaluation.error_rates.belief_propagation import BeliefPropagation
from qecforge.evaluation.error_rates.circuits._faults import FaultTable, fault_table
from qecforge.evaluation.error_rates.ml_lookup import MaximumLikelihoodLookup, lookup_suffices
from qecforge.machine.extras import missing_dependency

if TYPE_CHECKING:
    import stim

__all__ = [
    "compile_decoder",
    "decoder_for_hyperedges",
    "lost_by_matching",
    "make_decoder",
    "non_graphlike_error",
    "resolve_decoder",
]

_FAULTS_AT_ONCE = 4096
_MOST_SMALL = 1500
_ALMOST_CERTAIN = 1 - 1e-9

_INSTEAD = "use tesseract, bposd, bplsd or ml_lookup"


def resolve_decoder(name: str, circuit: stim.Circuit, *, matching_first: bool = False) -> str:
    """The decoder that `name` stands for on this circuit; any name but `auto` is checked and given back.

    `auto`: ml_lookup where its tables are all but complete, see `lookup_suffices`: it then makes as few errors as any
    decoder; else pymatching where every fault is an edge, or the circuit is large (more than 1500 mechanisms) and
    graph-like and no fault is lost by being split into edges, see `lost_by_matching`; else tesseract where it is
    installed; else bposd. (Matching ignores that the parts of a fault come together. That costs a surface code of
    distance 5 a quarter more errors, and a small circuit up to twice as many.)

    Args:
        name: One of `qecforge.evaluation.error_rates.config.DECODERS`.
        circuit: The experiment.
        matching_first: Whether `auto` is pymatching wherever that loses no single fault, though others make fewer
            errors: for circuits that are decoded anew, with another prior, again and again.

    Raises:
        DecoderError: an unknown name, or pymatching on a model that is not graph-like.
        MissingDependency: tesseract is asked for and not installed.
    """
    model = circuit.detector_error_model(approximate_disjoint_errors=True).flattened()
    if name == "auto":
        table = fault_table(model)
        if lookup_suffices(table) and not matching_first:
            return "ml_lookup"
        matched = matching_first or _edges_suffice(table)
        if matched and non_graphlike_error(model) is None and not lost_by_matching(circuit):
            return "pymatching"
        if lookup_suffices(table):
            return "ml_lookup"
        return decoder_for_hyperedges()
    if name == "pymatching" and (error := non_graphlike_error(model)) is not None:
        raise DecoderError(
            f"decoder pymatching: the error model has a fault that flips detectors {', '.join(f'D{d}' for d in error)} "
            f"together and does not split into edges, expected at most two detectors for each fault; {_INSTEAD}"
        )
    make_decoder(name)
    return name


def decoder_for_hyperedges() -> str:
    """The best of the installed decoders that take any error model of any size."""
    return "tesseract" if importlib.util.find_spec("tesseract_decoder") else "bposd"


def _edges_suffice(table: FaultTable) -> bool:
    """Whether matching is as good as others, or the circuit too large for those that are better to be fast."""
    return len(table) > _MOST_SMALL or all(len(detectors) <= 2 for detectors in table.detectors)


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
        return BeliefPropagation(name)
    if name == "tesseract":
        return _tesseract()
    if name == "ml_lookup":
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
        return decoder.compile_decoder_for_dem(dem=_edges(_doubtful(_split_model(circuit))))
    model = circuit.detector_error_model(approximate_disjoint_errors=True, flatten_loops=True)
    return decoder.compile_decoder_for_dem(dem=_doubtful(model))


def _doubtful(model: stim.DetectorErrorModel) -> stim.DetectorErrorModel:
    """The same with no fault certain: what always happens has an infinite weight, which decoders do not take."""
    import stim

    if all(each.type != "error" or each.args_copy()[0] < _ALMOST_CERTAIN for each in model.flattened()):
        return model
    doubtful = stim.DetectorErrorModel()
    for each in model.flattened():
        if each.type == "error":
            doubtful.append("error", [min(each.args_copy()[0], _ALMOST_CERTAIN)], each.targets_copy())
        else:
            doubtful.append(each)
    return doubtful


def _split_model(circuit: stim.Circuit) -> stim.DetectorErrorModel:
    """With stim's decomposition into edges. Raises `DecoderError` where there is none."""
    try:
        return circuit.detector_error_model(decompose_errors=True, approximate_disjoint_errors=True, flatten_loops=True)
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise DecoderError(
            f"decoder pymatching: the error model does not split into edges ({reason}); {_INSTEAD}"
        ) from error


def _edges(model: stim.DetectorErrorModel) -> stim.DetectorErrorModel:
    """A split model whose parallel edges (the same detectors) flip the same observables: those that the likelier of
    them flip. PyMatching merges parallel edges, and gives them the observables of the first one that it reads.
    """
    import stim

    likelihood: dict[tuple[int, ...], dict[tuple[int, ...], float]] = {}
    parts = [
        (instruction, [_part(part) for part in instruction.target_groups()])
        for instruction in model.flattened()
        if instruction.type == "error"
    ]
    for instruction, edges in parts:
        for detectors, observables in edges:
            each = likelihood.setdefault(detectors, {})
            before, p = each.get(observables, 0.0), instruction.args_copy()[0]
            each[observables] = before * (1 - p) + p * (1 - before)
    agreed = stim.DetectorErrorModel()
    for instruction, edges in parts:
        targets: list[stim.DemTarget] = []
        for detectors, _ in edges:
            flips = max(likelihood[detectors].items(), key=itemgetter(1))[0]
            targets += [stim.DemTarget.separator()] if targets else []
            targets += map(stim.target_relative_detector_id, detectors)
            targets += map(stim.target_logical_observable_id, flips)
        agreed.append("error", instruction.args_copy(), targets)
    for instruction in model.flattened():
        if instruction.type != "error":
            agreed.append(instruction)
    if model.num_observables:  # also of observables that no edge flips any more
        agreed.append("logical_observable", [], [stim.target_logical_observable_id(model.num_observables - 1)])
    return agreed


def _part(targets: Sequence[stim.DemTarget]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(detectors, observables), each ascending."""
    return (
        tuple(sorted(target.val for target in targets if target.is_relative_detector_id())),
        tuple(sorted(target.val for target in targets if target.is_logical_observable_id())),
    )


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
    return _edges(model)


def _tesseract() -> sinter.Decoder:
    try:
        from tesseract_decoder import TesseractSinterDecoder
    except ImportError as error:
        raise missing_dependency(
            "decoder tesseract", "tesseract-decoder", "tesseract", otherwise="choose bposd"
        ) from error
    decoder: sinter.Decoder = TesseractSinterDecoder()
    return decoder
