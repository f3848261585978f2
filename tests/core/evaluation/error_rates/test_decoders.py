from __future__ import annotations

import builtins
import importlib.util
from collections import defaultdict
from itertools import combinations

import numpy as np
import pytest
import stim
from hypothesis import given, settings
from hypothesis import strategies as st

from qecforge.codes import StabilizerCode
from qecforge.errors import DecoderError, MissingDependency
from qecforge.evaluation.error_rates.circuits._faults import fault_table
from qecforge.evaluation.error_rates.circuits.generators import measured_code
from qecforge.evaluation.error_rates.circuits.memory import memory_experiment
from qecforge.evaluation.error_rates.circuits.schedule import best_round
from qecforge.evaluation.error_rates.decoders import (
    compile_decoder,
    lost_by_matching,
    make_decoder,
    non_graphlike_error,
    resolve_decoder,
)
from qecforge.evaluation.error_rates.ml_lookup import joint_distribution
from qecforge.evaluation.error_rates.noise import DepolarizingNoise

HYPERGRAPH_DECODERS = ["bposd", "bplsd", "tesseract", "ml_lookup"]


def experiment(code, kind, p=1e-3, basis="z", rounds=3):
    measured = measured_code(code)
    return memory_experiment(
        measured,
        best_round(measured, kind, distance=3, tries=16),
        channels=DepolarizingNoise.model_validate({}).channels(p),
        rounds=rounds,
        basis=basis,
    )


def packed(table, faults):
    """(shots, bytes) syndromes and (shots, bytes) observables of sets of faults."""
    syndromes = np.zeros((len(faults), table.num_detectors), dtype=np.uint8)
    observables = np.zeros((len(faults), table.num_observables), dtype=np.uint8)
    for row, chosen in enumerate(faults):
        for fault in chosen:
            syndromes[row, list(table.detectors[fault])] ^= 1
            observables[row] ^= np.array(
                [table.observables[fault] >> o & 1 for o in range(table.num_observables)], "u1"
            )
    return np.packbits(syndromes, axis=1, bitorder="little"), np.packbits(observables, axis=1, bitorder="little")


def decode(name, circuit, syndromes):
    return compile_decoder(name, circuit).decode_shots_bit_packed(bit_packed_detection_event_data=syndromes)


@pytest.mark.parametrize("decoder", HYPERGRAPH_DECODERS)
@pytest.mark.parametrize("kind", ["flag", "shor"])
@pytest.mark.parametrize("name", ["steane", "five"])
def test_every_single_fault_of_a_fault_tolerant_memory_is_corrected(name, kind, decoder, request):
    for basis in ("x", "z"):
        built = experiment(request.getfixturevalue(name), kind, basis=basis)
        table = fault_table(built.detector_error_model)
        syndromes, observables = packed(table, [(fault,) for fault in range(len(table))])
        assert (observables != 0).any()  # some of them need a correction
        wrong = (decode(decoder, built.circuit, syndromes) != observables).any(axis=1)
        assert not wrong.any()


@pytest.mark.parametrize("decoder", ["pymatching", *HYPERGRAPH_DECODERS])
def test_all_decoders_correct_every_single_fault_of_the_surface_code(surface3, decoder):
    built = experiment(surface3, "bare")
    table = fault_table(built.detector_error_model)
    syndromes, observables = packed(table, [(fault,) for fault in range(len(table))])
    assert (decode(decoder, built.circuit, syndromes) == observables).all()


def test_decoders_agree_on_the_surface_code(surface3):
    built = experiment(surface3, "bare", p=3e-3)
    syndromes, observables = built.circuit.compile_detector_sampler(seed=11).sample(
        20_000, separate_observables=True, bit_packed=True
    )
    distinct, which = np.unique(syndromes, axis=0, return_inverse=True)
    failures = {
        name: int((decode(name, built.circuit, distinct)[which.ravel()] != observables).any(axis=1).sum())
        for name in ("pymatching", *HYPERGRAPH_DECODERS)
    }
    best = failures["ml_lookup"]
    assert 30 < best <= min(failures.values()) + 3
    assert max(failures.values()) < 2 * best


@pytest.mark.parametrize("decoder", HYPERGRAPH_DECODERS)
def test_a_prediction_does_not_depend_on_what_was_decoded_before(five, decoder):
    built = experiment(five, "flag", p=5e-3)
    syndromes = built.circuit.compile_detector_sampler(seed=4).sample(300, bit_packed=True)
    compiled = compile_decoder(decoder, built.circuit)
    forwards = compiled.decode_shots_bit_packed(bit_packed_detection_event_data=syndromes)
    backwards = compiled.decode_shots_bit_packed(bit_packed_detection_event_data=syndromes[::-1].copy())
    assert (forwards == backwards[::-1]).all()


def test_pymatching_is_refused_on_hyperedges(steane, five):
    for code, kind in ((steane, "bare"), (steane, "flag"), (five, "bare")):
        with pytest.raises(DecoderError, match=r"decoder pymatching: .* at most two detectors .* use tesseract"):
            resolve_decoder("pymatching", experiment(code, kind).circuit)


def test_what_splits_into_edges_is_graphlike():
    generated = {
        "surface_code:rotated_memory_x": True,
        "surface_code:unrotated_memory_z": True,
        "repetition_code:memory": True,
        "color_code:memory_xyz": False,
    }
    for task, graphlike in generated.items():
        model = stim.Circuit.generated(
            task, distance=3, rounds=3, after_clifford_depolarization=1e-3, before_measure_flip_probability=1e-3
        ).detector_error_model()
        assert (non_graphlike_error(model) is None) is graphlike, task


def test_auto_names_what_it_picked(surface3, steane, monkeypatch):
    assert resolve_decoder("auto", experiment(surface3, "bare").circuit) == "pymatching"
    assert resolve_decoder("auto", experiment(steane, "flag").circuit) == "ml_lookup"
    crowded = experiment(steane, "flag", p=2e-2).circuit
    assert resolve_decoder("auto", crowded) == "tesseract"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert resolve_decoder("auto", crowded) == "bposd"


def test_auto_does_not_match_where_single_faults_would_be_lost(surface3):
    """A [[12,1,3]] code whose flagged circuit splits into edges, at circuit distance 3: as independent edges, without
    what its flags say, some thirty single faults of one basis become logical errors. The lookup corrects every one."""
    ones = "IZIIIIIIIIII IIZIIIIIIZII IIIZIIIIIIIZ IIIIZIIIIIIZ ZIIIIZIIZZII ZIIIIIZIIIII IIIIIIIZIIII IIIIIXIIXIII"
    found = StabilizerCode.from_paulis([*ones.split(), "XIXIIIXIIXII", "IIIIIIIIIIZI", "XIIXXXXIIIIX"])
    matched = experiment(found, "flag").circuit
    assert non_graphlike_error(matched.detector_error_model(approximate_disjoint_errors=True).flattened()) is None
    assert lost_by_matching(matched) > 0
    assert resolve_decoder("auto", matched) == "ml_lookup"
    assert lost_by_matching(experiment(surface3, "bare").circuit) == 0


def test_an_unknown_decoder_is_refused(five):
    with pytest.raises(DecoderError, match="'mwpm', expected one of pymatching"):
        resolve_decoder("mwpm", experiment(five, "bare").circuit)


def test_an_absent_tesseract_names_its_extra(monkeypatch):
    real = builtins.__import__

    def without_tesseract(name, *args, **kwargs):
        if name.startswith("tesseract_decoder"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_tesseract)
    with pytest.raises(MissingDependency, match=r"qecforge\[tesseract\]"):
        make_decoder("tesseract")


@st.composite
def models(draw, detectors=4, observables=2, most=10):
    effects = draw(st.lists(st.integers(1, 2 ** (detectors + observables) - 1), min_size=1, max_size=most, unique=True))
    model = stim.DetectorErrorModel()
    for effect in effects:
        targets = [stim.target_relative_detector_id(d) for d in range(detectors) if effect >> d & 1]
        targets += [stim.target_logical_observable_id(o) for o in range(observables) if effect >> detectors + o & 1]
        model.append("error", draw(st.floats(1e-3, 0.3)), targets)
    model.append("detector", [], [stim.target_relative_detector_id(detectors - 1)])
    model.append("logical_observable", [], [stim.target_logical_observable_id(observables - 1)])
    return model


def brute_force_distribution(table, most=None):
    """{syndrome: {observables: probability}} over all fault sets (of at most `most` faults)."""
    result = defaultdict(lambda: defaultdict(float))
    everything = range(len(table))
    for size in range(len(table) + 1 if most is None else min(most, len(table)) + 1):
        for chosen in combinations(everything, size):
            syndrome, observables, probability = frozenset(), 0, 1.0
            for fault in everything:
                p = table.probabilities[fault]
                probability *= p if fault in chosen else 1 - p
            for fault in chosen:
                syndrome ^= frozenset(table.detectors[fault])
                observables ^= table.observables[fault]
            result[syndrome][observables] += probability
    return result


@settings(deadline=None, max_examples=40)
@given(models())
def test_the_joint_distribution_is_the_sum_over_all_fault_sets(model):
    table = fault_table(model)
    joint = joint_distribution(table)
    expected = np.zeros_like(joint)
    for syndrome, values in brute_force_distribution(table).items():
        for observables, probability in values.items():
            expected[observables, sum(1 << d for d in syndrome)] += probability
    assert joint == pytest.approx(expected, abs=1e-14)


@settings(deadline=None, max_examples=40)
@given(models(detectors=7, observables=1, most=9))
def test_truncated_scores_are_sums_over_sets_of_few_faults(model):
    from qecforge.evaluation.error_rates.ml_lookup import TruncatedLookup

    table = fault_table(model)
    nothing = float(np.prod(1 - table.probabilities))
    up_to_three = brute_force_distribution(table, most=3)
    up_to_four = brute_force_distribution(table, most=4)
    lookup = TruncatedLookup(table)
    for number in range(2**table.num_detectors):
        syndrome = frozenset(d for d in range(table.num_detectors) if number >> d & 1)
        (scores,) = lookup.scores(np.array([[number]], dtype=np.uint8))
        if syndrome in up_to_three:
            expected = [up_to_three[syndrome][o] / nothing for o in (0, 1)]
        elif syndrome in up_to_four:
            expected = [6 * up_to_four[syndrome][o] / nothing for o in (0, 1)]
        else:
            expected = [0.0, 0.0]
        assert scores == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_a_model_too_large_for_tables_is_refused():
    model = stim.DetectorErrorModel()
    for detector in range(3200):
        model.append("error", 1e-3, [stim.target_relative_detector_id(detector)])
    with pytest.raises(DecoderError, match=r"3200 fault mechanisms.* at most 3000.* use tesseract"):
        make_decoder("ml_lookup").compile_decoder_for_dem(dem=model)
