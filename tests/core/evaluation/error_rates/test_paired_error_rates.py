"""Error rates from the same shots: against enumeration of all faults, independent shots, and their own intervals."""

import itertools
import math

import numpy as np
import pytest
import stim

from qecforge.errors import ConfigurationError, DecoderError
from qecforge.evaluation import PairedRates, effective_share, paired_error_rates
from qecforge.evaluation.error_rates.decoders import make_decoder
from qecforge.evaluation.error_rates.fault_draws import FaultDraws, MatchedModels

SHOTS = 40_000


def repetition(p):
    """Repetition code of three bits."""
    circuit = stim.Circuit.generated("repetition_code:memory", distance=3, rounds=2, before_round_data_depolarization=p)
    return circuit.detector_error_model(decompose_errors=True)


def surface(p, distance=5):
    return stim.Circuit.generated(
        "surface_code:rotated_memory_z",
        distance=distance,
        rounds=distance,
        after_clifford_depolarization=p,
        before_measure_flip_probability=p,
    ).detector_error_model(decompose_errors=True)


def matching(model):
    return make_decoder("pymatching").compile_decoder_for_dem(dem=model)


def exact_rate(model, decoder):
    """The sum over all sets of faults, each with its probability."""
    errors = [each for each in model.flattened() if each.type == "error"]
    assert len(errors) <= 15
    p = np.array([each.args_copy()[0] for each in errors])
    flips = np.zeros((len(errors), model.num_detectors + 1), np.uint8)
    for row, each in zip(flips, errors, strict=True):
        for target in each.targets_copy():
            if not target.is_separator():
                row[-1 if target.is_logical_observable_id() else target.val] ^= 1
    happened = np.array(list(itertools.product((0, 1), repeat=len(errors))), np.uint8)
    outcome = happened @ flips % 2
    predicted = decoder.decode_shots_bit_packed(
        bit_packed_detection_event_data=np.packbits(outcome[:, :-1], axis=1, bitorder="little")
    )
    wrong = (predicted[:, 0] & 1) != outcome[:, -1]
    return float(np.where(happened, p, 1 - p).prod(axis=1)[wrong].sum())


def sampled(model, decoder, shots, seed):
    events, flips, _ = model.compile_sampler(seed=seed).sample(shots, bit_packed=True)
    predicted = decoder.decode_shots_bit_packed(bit_packed_detection_event_data=events)
    return np.count_nonzero((predicted != flips).any(axis=1)) / shots


@pytest.mark.parametrize("options", [{}, {"at": 1}, {"anchors": 1}, {"anchors": 3}, {"scale": 1.3}])
def test_rates_are_those_of_all_faults_enumerated(options):
    models = [repetition(0.10), repetition(0.08), repetition(0.06)]
    decoder = matching(models[0])
    found = paired_error_rates(models, decoder, shots=200_000, seed=5, **options)
    exact = np.array([exact_rate(model, decoder) for model in models])
    assert exact[0] > 1.5 * exact[2]
    deviations = (found.rates - exact) / np.sqrt(np.diag(found.covariance))
    assert np.abs(deviations).max() < 4
    for k in (1, 2):
        interval = found.reduction(k, confidence=0.9999)
        assert interval.low < 1 - exact[k] / exact[0] < interval.high
        assert interval.high - interval.low < 0.08


def test_weights_are_ratios_of_probabilities():
    matched = MatchedModels.of([repetition(0.1), repetition(0.05)])
    p, q = matched.probabilities[1], matched.probabilities[0]
    draws = FaultDraws(matched, matched.probabilities[:1])
    happened = np.random.default_rng(0).integers(0, 2, (50, len(p)), dtype=np.uint8)
    weights = draws.weights(happened @ draws.terms)
    expected = np.where(happened, p / q, (1 - p) / (1 - q)).prod(axis=1)
    assert weights == pytest.approx(np.stack([np.ones(50), expected], axis=1), rel=1e-12)


def test_shots_are_those_of_stim():
    """Means and pairs of detection events and flips; what each fault weighs is that of the fault that was drawn."""
    model = surface(0.02, 3)
    matched = MatchedModels.of([model, surface(0.01, 3)])
    draws = FaultDraws(matched, matched.probabilities[:1])
    events, flips, weights = draws.sample(0, SHOTS, 7)
    theirs = model.compile_sampler(seed=7).sample(SHOTS, bit_packed=True)
    ours, theirs = (
        np.unpackbits(np.hstack(each), axis=1, bitorder="little").astype(float)
        for each in ((events, flips), (theirs[0], theirs[1]))
    )
    assert ours.shape == theirs.shape
    spread = np.sqrt(np.maximum(theirs.T @ theirs, 1) * 2) / SHOTS
    assert np.abs((ours.T @ ours - theirs.T @ theirs) / SHOTS / spread).max() < 5
    assert weights.mean(axis=0) == pytest.approx([1, 1], abs=0.03)
    less = surface(0.01, 3).compile_sampler(seed=7).sample(SHOTS, bit_packed=True)[0]
    rare = np.unpackbits(less, axis=1, bitorder="little").mean()
    weighed = np.average(np.unpackbits(events, axis=1, bitorder="little").mean(axis=1), weights=weights[:, 1])
    assert weighed == pytest.approx(rare, rel=0.03)


def test_certain_and_impossible_faults():
    model = stim.DetectorErrorModel("error(1) D0\nerror(0) D1\nerror(1e-300) D2\nerror(0.5) D9 L1")
    events, flips, _ = FaultDraws(matched := MatchedModels.of([model]), matched.probabilities).sample(0, 1000, 0)
    assert (events[:, 0] == 1).all()
    assert (events[:, 1] == flips[:, 0]).all()
    assert set(flips[:, 0].tolist()) == {0, 2}


@pytest.mark.parametrize("anchors", [1, 2])
def test_weights_of_a_mixture_are_those_of_the_balance_heuristic(anchors):
    matched = MatchedModels.of([repetition(0.1), repetition(0.02)])
    drawn = np.array([matched.probabilities[0], *[matched.probabilities[1] * (1 + a) for a in range(anchors)]])
    happened = np.random.default_rng(1).integers(0, 2, (50, drawn.shape[1]), dtype=np.uint8)
    draws = FaultDraws(matched, drawn)
    weights = draws.weights(happened @ draws.terms)

    def probability(p):
        return np.where(happened, p, 1 - p).prod(axis=1)

    mixture = np.mean([probability(each) for each in drawn], axis=0)
    expected = np.stack([probability(p) / mixture for p in matched.probabilities], axis=1)
    assert weights == pytest.approx(expected, rel=1e-10)


def test_rates_agree_with_independent_shots_and_are_many_times_as_certain_of_their_ratio():
    models = [surface(p) for p in (0.008, 0.0072)]
    decoder = matching(models[0])
    found = paired_error_rates(models, decoder, shots=SHOTS, seed=1)
    for k, model in enumerate(models):
        independent = sampled(model, decoder, SHOTS, seed=10 + k)
        deviation = math.hypot(math.sqrt(found.covariance[k, k]), math.sqrt(independent * (1 - independent) / SHOTS))
        assert abs(found.rates[k] - independent) < 4 * deviation
    alone = sum((1 - rate) / rate / SHOTS for rate in found.rates)
    assert alone / found.log_ratio_error(1) ** 2 > 15
    assert found.effective.min() > 0.8
    assert found.effective[0] == 1
    assert found.failing[0] == round(found.rates[0] * found.shots)


def test_intervals_of_reductions_cover_as_often_as_they_say():
    models = [repetition(0.10), repetition(0.07)]
    decoder = matching(models[0])
    first, second = (exact_rate(model, decoder) for model in models)
    trials = 400
    covered = rates = 0
    for seed in range(trials):
        found = paired_error_rates(models, decoder, shots=2000, seed=seed)
        reduction, rate = found.reduction(1, confidence=0.9), found.rate(1, confidence=0.9)
        covered += reduction.low < 1 - second / first < reduction.high
        rates += rate.low < second < rate.high
    spread = 4 * math.sqrt(0.9 * 0.1 / trials)
    assert abs(covered / trials - 0.9) < spread
    assert abs(rates / trials - 0.9) < spread


def test_rare_rates_need_fewer_shots_when_faults_are_drawn_more_often():
    model = surface(0.0012, distance=3)
    decoder = matching(model)
    plain = paired_error_rates([model], decoder, shots=100_000, seed=2)
    boosted = paired_error_rates([model], decoder, shots=100_000, seed=2, scale=3)
    assert plain.covariance[0, 0] / boosted.covariance[0, 0] > 3
    assert abs(plain.rates[0] - boosted.rates[0]) < 4 * math.sqrt(plain.covariance[0, 0] + boosted.covariance[0, 0])
    assert 0.3 < boosted.effective[0] < 1
    assert boosted.effective_failing[0] < 1


def test_the_effective_share_is_known_before_shots_are_drawn():
    models = [surface(0.008, 3), surface(0.006, 3)]
    exact = effective_share(models)
    assert exact[0] == 1
    found = paired_error_rates(models, matching(models[0]), shots=SHOTS, seed=3)
    assert found.effective == pytest.approx(exact, abs=0.02)
    p, q = MatchedModels.of(models).probabilities[::-1]
    assert exact[1] == pytest.approx(1 / np.prod(p**2 / q + (1 - p) ** 2 / (1 - q)), rel=1e-12)


def test_too_few_effective_shots_are_refused_and_anchors_mend_it():
    models = [surface(0.02), surface(0.005)]
    decoder = matching(models[0])
    share = effective_share(models)[1]
    assert share < 0.3
    with pytest.raises(ConfigurationError, match=rf"models\[1\].*is {share:.2g} of the shots.*set anchors to 1"):
        paired_error_rates(models, decoder, shots=1000, seed=0)
    found = paired_error_rates(models, decoder, shots=SHOTS, seed=0, anchors=2)
    assert found.effective.min() > 0.3
    assert found.shots == 3 * SHOTS
    independent = sampled(models[1], decoder, SHOTS, seed=4)
    assert abs(found.rates[1] - independent) < 4 * math.sqrt(found.covariance[1, 1] + independent / SHOTS)
    automatic = paired_error_rates(models, decoder, shots=2000, seed=0, anchors=None)
    assert np.array_equal(automatic.rates, paired_error_rates(models, decoder, shots=2000, seed=0, anchors=1).rates)
    near = paired_error_rates([models[0]] * 2, decoder, shots=2000, seed=0, anchors=None)
    assert (near.shots, near.log_ratio_error(1)) == (2000, 0)
    with pytest.raises(ConfigurationError, match="give a smaller scale"):
        paired_error_rates(models[:1], decoder, shots=1000, seed=0, scale=3)


def test_each_model_may_have_a_decoder_of_its_own():
    models = [surface(0.008, 3)] * 2
    careless = matching(surface(0.008, 3))

    class Never:
        def decode_shots_bit_packed(self, *, bit_packed_detection_event_data):
            return np.zeros((len(bit_packed_detection_event_data), 1), np.uint8)

    found = paired_error_rates(models, [careless, Never()], shots=5000, seed=0)
    assert found.rates[1] > found.rates[0] > 0
    assert found.reduction(0, reference=1).low > 0


def test_results_of_more_shots_add_up_and_repeat():
    models = [repetition(0.10), repetition(0.07)]

    def once(shots, seed):
        return paired_error_rates(models, "pymatching", shots=shots, seed=seed)

    first, second = once(10_000, 0), once(20_000, 1)
    both = first + second
    assert np.array_equal(once(10_000, 0).rates, first.rates)
    assert (both.shots, both.failing[0]) == (30_000, first.failing[0] + second.failing[0])
    assert both.rates == pytest.approx((first.rates + 2 * second.rates) / 3)
    assert both.rates[0] == both.failing[0] / both.shots
    assert both.covariance[0, 0] == pytest.approx(both.rates[0] * (1 - both.rates[0]) / 30_000, rel=1e-2)
    assert both.effective == pytest.approx(first.effective, rel=0.05)
    mean = PairedRates.mean([first, second])
    assert mean.rates == pytest.approx((first.rates + second.rates) / 2)
    assert mean.covariance == pytest.approx((first.covariance + second.covariance) / 4)


def test_rates_of_a_round():
    found = paired_error_rates([repetition(0.10), repetition(0.07)], "pymatching", shots=10_000, seed=0)
    each = found.per_round(2)
    assert 2 * each.rates * (1 - each.rates) == pytest.approx(found.rates)
    moved = PairedRates(1, found.failing, found.rates + 1e-7, found.covariance, found.effective, found.effective)
    slope = (moved.per_round(2).rates - each.rates) / 1e-7
    assert each.covariance == pytest.approx(np.outer(slope, slope) * found.covariance, rel=1e-5)


def test_mechanisms_of_equal_effect_are_one_and_those_of_none_do_not_matter():
    split = stim.DetectorErrorModel("error(0.1) D0 L0\nerror(0.2) L0 D0\nerror(0.3) D1\nerror(0.4) D0 D0\n")
    matched = MatchedModels.of([split, stim.DetectorErrorModel("error(0.3) D1\nerror(0.1) D0 L0")])
    assert matched.effects == ("D0 L0", "D1")
    assert matched.probabilities == pytest.approx(np.array([[0.26, 0.3], [0.1, 0.3]]))


def test_without_a_failing_shot_nothing_is_claimed():
    model = stim.DetectorErrorModel("error(0.01) D0 L0")
    found = paired_error_rates([model, model], "pymatching", shots=100, seed=0)
    assert found.rates.tolist() == [0, 0]
    assert math.isnan(found.ratio(1).estimate)
    assert math.isnan(found.rate(0).high)
    assert math.isnan(found.effective_failing[0])


def test_what_is_impossible_in_one_model_alone():
    never, seldom = (stim.DetectorErrorModel(f"error({p}) D0 L0\nerror(0.2) D1") for p in (0, 0.1))
    decoder = matching(stim.DetectorErrorModel("error(0.1) D0\nerror(0.1) D1\nlogical_observable L0"))
    found = paired_error_rates([never, seldom], decoder, shots=20_000, seed=0)
    assert found.rates == pytest.approx([0, 0.1], abs=0.01)
    with pytest.raises(ConfigurationError, match=r"'D0 L0' has probability 0 where shots are drawn and 0.1"):
        paired_error_rates([never, seldom], decoder, shots=100, seed=0, at=0)


@pytest.mark.parametrize(
    ("models", "options", "message"),
    [
        ([], {}, "models: got none"),
        (["error(0.1) D0 L0", "error(0.1) D0 L0\nerror(0.1) D0"], {}, r"'D0' is in models\[1\] alone, expected also"),
        (["error(0.1) D0 L0\nerror(0.1) D0", "error(0.1) D0 L0"], {}, r"'D0' is in models\[0\] alone, expected also"),
        (["error(0.1) D0 L0", "error(0.1) D1 L0"], {}, "num_detectors is 2, expected 1"),
        (["error(0.1) D0 L0"], {"shots": 0}, "shots: 0 is too few"),
        (["error(0.1) D0 L0"], {"anchors": -1}, "anchors: -1 is too few"),
        (["error(0.1) D0 L0"], {"seed": -1}, "seed: -1"),
        (["error(0.1) D0 L0"], {"scale": 0.5}, "scale: got 0.5, expected 1 or more"),
        (["error(0.1) D0 L0"], {"scale": math.nan}, "scale: got nan"),
        (["error(0.1) D0 L0"], {"at": 1}, "at: got 1, expected the number of a model, 0 to 0"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(models, options, message):
    with pytest.raises(ConfigurationError, match=message) as refused:
        paired_error_rates(
            [stim.DetectorErrorModel(text) for text in models], "pymatching", **({"shots": 10, "seed": 0} | options)
        )
    assert "\n" not in str(refused.value)


def test_decoders_that_do_not_fit_are_refused():
    wide = stim.DetectorErrorModel("error(0.1) D0 D1 D2 L0")
    with pytest.raises(DecoderError, match="decompose_errors=True"):
        paired_error_rates([wide], "pymatching", shots=10, seed=0)
    for name in ("auto", "best"):
        with pytest.raises(DecoderError, match=f"got '{name}'"):
            paired_error_rates([wide], name, shots=10, seed=0)
    blind = matching(stim.DetectorErrorModel("error(0.1) D0 D1\nerror(0.1) D2"))
    with pytest.raises(DecoderError, match="0 bytes of observables for each shot, expected 1"):
        paired_error_rates([wide], blind, shots=10, seed=0)
    with pytest.raises(ConfigurationError, match="got 1 of them for 2 models"):
        paired_error_rates([wide, wide], [matching(repetition(0.1))], shots=10, seed=0)
