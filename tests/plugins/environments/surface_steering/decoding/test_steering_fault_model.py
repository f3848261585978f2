"""Faults from the errors of gates, against stim's error model; decoders made from them, against those of circuits."""

import numpy as np
import pytest
import stim
from hypothesis import given, settings
from hypothesis import strategies as st

from qecforge.errors import ConfigurationError, DecoderError
from qecforge.evaluation.error_rates.decoders import compile_decoder
from qecforge_surface_steering.decoding.fault_model import FaultModel
from qecforge_surface_steering.decoding.predictors import DistinctShots
from qecforge_surface_steering.decoding.reweighting import ReweightedDecoder
from qecforge_surface_steering.device.circuits import color_code, surface_code
from qecforge_surface_steering.device.tagged import TaggedCircuit

OWN = """
    R 0 1 2 3 4
    REPEAT 3 {
        H[global] 0 2 4
        DEPOLARIZE1(0.01) 0 2
        H[global] 0 2 4
        CX[cx{}] 0 1 2 3
        CX[cx{}] 2 1 4 3
        Y_ERROR(0.02) 4
        MR 1 3
        DETECTOR rec[-2]
        DETECTOR rec[-1]
    }
    M 0 2 4
    DETECTOR rec[-5] rec[-3] rec[-2]
    DETECTOR rec[-4] rec[-2] rec[-1]
    OBSERVABLE_INCLUDE(0) rec[-1]
    OBSERVABLE_INCLUDE(2) rec[-2]
"""
ONE_FAULT_THREE_DETECTORS = """
    R 0
    X[x{}] 0
    M 0
    DETECTOR rec[-1]
    DETECTOR rec[-1]
    DETECTOR rec[-1]
"""
CASES = {
    "surface in x, edges": (surface_code(3, 4, "x"), {}, True),
    "surface in z, faulty readout, edges": (
        surface_code(3, 4, "z"),
        {"measurement_error": 0.01, "reset_error": 3e-3},
        True,
    ),
    "surface, whole": (surface_code(3, 3, "z"), {"measurement_error": 0.02}, False),
    "distance 5": (surface_code(5, 2, "z"), {}, True),
    "color": (color_code(3, 3), {"reset_error": 0.01}, False),
    "own circuit": (stim.Circuit(OWN), {"measurement_error": 0.005}, False),
}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    circuit, noise, decompose = CASES[request.param]
    tagged = TaggedCircuit(circuit, **noise)
    return tagged, FaultModel.of(tagged, decompose=decompose), decompose


def faults_of(model):
    """What each fault flips, and its probability, where it flips a detector at all."""
    lines = [line for line in model.flattened() if line.type == "error"]
    lines = [line for line in lines if any(target.is_relative_detector_id() for target in line.targets_copy())]
    return tuple(tuple(line.targets_copy()) for line in lines), np.array([line.args_copy()[0] for line in lines])


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(-10, -1.5))
def test_probabilities_are_those_of_stims_error_model(case, seed, scale):
    tagged, faults, decompose = case
    p = np.minimum(np.exp(np.random.default_rng(seed).normal(scale, 1, tagged.num_gates)), tagged.p_max)
    targets, expected = faults_of(
        tagged.with_noise(p).detector_error_model(decompose_errors=decompose, approximate_disjoint_errors=True)
    )
    assert targets == faults.targets
    np.testing.assert_allclose(faults.probabilities(p), expected, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(
        faults.probabilities(np.stack([p, p / 2])), [faults.probabilities(q) for q in (p, p / 2)]
    )
    again, written = faults_of(faults.error_model(p))
    assert again == targets
    np.testing.assert_array_equal(written, faults.probabilities(p))


def test_error_models_have_all_detectors_and_observables(case):
    tagged, faults, _ = case
    model = faults.error_model(np.full(tagged.num_gates, 0.01))
    assert model.num_detectors == tagged.circuit.num_detectors
    assert model.num_observables == tagged.circuit.num_observables


def test_extremes(case):
    """Perfect gates leave what is fixed; gates that keep nothing make a fair coin of every fault that they cause."""
    tagged, faults, _ = case
    np.testing.assert_allclose(faults.probabilities(np.zeros(tagged.num_gates)), -np.expm1(faults.fixed) / 2)
    caused = np.diff(faults.counts.indptr) > 0
    assert (faults.probabilities(tagged.p_max)[caused] == 0.5).all()
    if not (tagged.measurement_error or tagged.reset_error or "DEPOLARIZE" in str(tagged.circuit)):
        assert not faults.fixed.any()


def test_one_use_by_hand():
    """Each of the three Paulis of DEPOLARIZE1 happens with (1 - sqrt(1 - 4p/3))/2; X and Y flip the one detector."""
    tagged = TaggedCircuit(stim.Circuit("R 0\nX[x{}] 0\nX[x{}] 0\nM 0\nDETECTOR rec[-1]"))
    faults = FaultModel.of(tagged, decompose=False)
    assert faults.num_faults == 1
    assert faults.counts.toarray().tolist() == [[2.0]]
    one = (1 - np.sqrt(1 - 4 * 0.1 / 3)) / 2
    assert faults.probabilities([0.1])[0] == pytest.approx((1 - (1 - 2 * one) ** 4) / 2, rel=1e-14)


def shots_of(tagged, p, shots=2000):
    sampler = tagged.with_noise(p).compile_detector_sampler(seed=5)
    return sampler.sample(shots, separate_observables=True, bit_packed=True)


def priors_of(tagged):
    rng = np.random.default_rng(8)
    return np.stack([np.full(tagged.num_gates, 0.01), *np.exp(rng.normal(-5, 1.5, (3, tagged.num_gates)))])


@pytest.mark.parametrize(("distance", "rounds"), [(3, 1), (3, 5), (5, 3)])
def test_matching_predicts_what_that_of_the_circuit_predicts(distance, rounds):
    tagged = TaggedCircuit(surface_code(distance, rounds, "x"), measurement_error=0.005)
    priors = priors_of(tagged)
    events, _ = shots_of(tagged, priors[1])
    decoder = ReweightedDecoder("pymatching", tagged)
    for prior, predictor in zip(priors, decoder.predictors(priors), strict=True):
        expected = compile_decoder("pymatching", tagged.with_noise(prior))
        np.testing.assert_array_equal(
            predictor.decode_shots_bit_packed(bit_packed_detection_event_data=events),
            expected.decode_shots_bit_packed(bit_packed_detection_event_data=events),
        )


@pytest.mark.parametrize("name", ["bposd", "bplsd", "ml_lookup", "tesseract"])
def test_other_decoders_predict_what_those_of_the_circuit_predict(name):
    tagged = TaggedCircuit(color_code(3, 2))
    priors = priors_of(tagged)[:2]
    events, _ = shots_of(tagged, np.full(tagged.num_gates, 0.01), 200)
    for prior, predictor in zip(priors, ReweightedDecoder(name, tagged).predictors(priors), strict=True):
        expected = compile_decoder(name, tagged.with_noise(prior))
        np.testing.assert_array_equal(
            predictor.decode_shots_bit_packed(bit_packed_detection_event_data=events),
            expected.decode_shots_bit_packed(bit_packed_detection_event_data=events),
        )


@pytest.mark.parametrize("factor", [0.0, 1e-12, 1.0])
def test_matching_takes_extreme_priors(factor):
    """Certain of nothing, and of perfect gates: whatever it predicts, it does so without complaint."""
    tagged = TaggedCircuit(surface_code(3, 2, "z"))
    shots = DistinctShots(*shots_of(tagged, np.full(tagged.num_gates, 0.01)))
    (predictor,) = ReweightedDecoder("pymatching", tagged).predictors(factor * tagged.p_max[None])
    assert 0 <= shots.errors(predictor) < 1000


@pytest.mark.parametrize("rounds", [1, 4, 12])
def test_distinct_shots_have_the_errors_of_all_shots(rounds):
    tagged = TaggedCircuit(surface_code(3, rounds, "z"))
    events, flips = shots_of(tagged, np.full(tagged.num_gates, 0.01))
    distinct = DistinctShots(events, flips)
    assert len(distinct.events) == len(np.unique(events, axis=0)) < len(events)
    decoder = compile_decoder("pymatching", tagged.with_noise(np.full(tagged.num_gates, 0.01)))
    predicted = decoder.decode_shots_bit_packed(bit_packed_detection_event_data=events)
    assert distinct.errors(decoder) == int((predicted != flips).sum()) > 0


def test_faults_that_do_not_split_are_refused():
    with pytest.raises(ConfigurationError, match=r"faults cannot be decomposed .*: choose decoder tesseract"):
        FaultModel.of(TaggedCircuit(stim.Circuit(ONE_FAULT_THREE_DETECTORS)), decompose=True)
    with pytest.raises(DecoderError, match="got 'oracle'"):
        ReweightedDecoder("oracle", TaggedCircuit(color_code(3, 2)))
