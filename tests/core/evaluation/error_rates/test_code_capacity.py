from __future__ import annotations

from collections import defaultdict
from itertools import product
from math import comb, prod

import numpy as np
import pytest

from qecforge.codes import StabilizerCode
from qecforge.errors import ConfigurationError
from qecforge.evaluation import LogicalErrorRateConfig, measure_error_rates, wilson_interval
from qecforge.evaluation.error_rates.circuits.generators import measured_code
from qecforge.evaluation.error_rates.code_capacity import (
    code_capacity_experiment,
    coset_probabilities,
    decoder_rate,
    maximum_likelihood_rate,
)
from qecforge.evaluation.error_rates.decoders import compile_decoder
from qecforge.evaluation.error_rates.ml_lookup import joint_distribution
from qecforge.evaluation.error_rates.noise import AmplitudeDampingNoise, BiasedNoise, DepolarizingNoise

CHANNELS = {
    "depolarizing": DepolarizingNoise.model_validate({}).channels(0.1).data,
    "biased": BiasedNoise.model_validate({"eta": 5}).channels(0.1).data,
    "twirled": AmplitudeDampingNoise.model_validate({}).channels(0.1).data,
}


def anticommute(a: str, b: str) -> int:
    return sum("I" not in (p, q) and p != q for p, q in zip(a, b, strict=True)) % 2


def brute_force_cosets(code, channel):
    """{syndrome: {class: probability}} from all 4^n Pauli errors."""
    p = dict(zip("IXYZ", (1 - sum(channel), *channel), strict=True))
    table = defaultdict(lambda: defaultdict(float))
    for letters in product("IXYZ", repeat=code.n):
        error = "".join(letters)
        syndrome = tuple(anticommute(error, s) for s in code.stabilizers)
        logical = tuple(anticommute(error, s) for s in (*code.logical_x, *code.logical_z))
        table[syndrome][logical] += prod(p[letter] for letter in letters)
    return table


@pytest.mark.parametrize("channel", CHANNELS.values(), ids=CHANNELS)
@pytest.mark.parametrize("name", ["steane", "five"])
def test_the_table_is_the_sum_over_all_errors(name, channel, request):
    code = measured_code(request.getfixturevalue(name))
    table = coset_probabilities(code, channel)
    brute = brute_force_cosets(code, channel)
    for syndrome, classes in brute.items():
        for logical, probability in classes.items():
            row = sum(bit << i for i, bit in enumerate(logical))
            column = sum(bit << i for i, bit in enumerate(syndrome))
            assert table[row, column] == pytest.approx(probability, rel=1e-10)
    assert table.sum() == pytest.approx(1.0)
    best = 1 - sum(max(classes.values()) for classes in brute.values())
    assert maximum_likelihood_rate(code, channel) == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize("p", [1e-3, 0.05, 0.1, 0.2])
def test_five_qubit_rate_is_the_exact_formula(five, p):
    """Its 16 correctable cosets hold 1, 15, 60, 135 and 45 errors of weight 0, 1, 3, 4 and 5."""
    counts = {0: 1, 1: 15, 3: 60, 4: 135, 5: 45}
    corrected = sum(count * (p / 3) ** weight * (1 - p) ** (5 - weight) for weight, count in counts.items())
    channel = DepolarizingNoise.model_validate({}).channels(p).data
    assert maximum_likelihood_rate(measured_code(five), channel) == pytest.approx(1 - corrected, rel=1e-9)


@pytest.mark.parametrize("p", [1e-3, 0.05, 0.2])
def test_steane_against_phase_flips_is_the_exact_formula(steane, p):
    """Each Hamming coset is led by a weight <= 1 flip and holds the even half of the code: the rate is that of
    decoding seven independent flips, 1 - sum of A_w over leaders, with A = 1 + 7 x^4 for the dual code."""
    weights = defaultdict(int)
    dual = [np.bitwise_xor.reduce(rows, axis=0) for rows in _subsets(_hamming())]
    for word in dual:
        for flip in [None, *range(7)]:
            weights[int((word ^ (np.arange(7) == flip)).sum())] += 1
    assert dict(weights) == {0: 1, 1: 7, 3: 28, 4: 7, 5: 21}
    corrected = sum(count * p**weight * (1 - p) ** (7 - weight) for weight, count in weights.items())
    assert maximum_likelihood_rate(measured_code(steane), (0.0, 0.0, p)) == pytest.approx(1 - corrected, rel=1e-9)


def _hamming():
    return np.array([[int(q + 1 >> bit & 1) for q in range(7)] for bit in range(3)])


def _subsets(rows):
    for chosen in product((0, 1), repeat=len(rows)):
        yield np.array([row * bit for row, bit in zip(rows, chosen, strict=True)])


def test_small_rates_keep_their_precision(five):
    channel = DepolarizingNoise.model_validate({}).channels(1e-9).data
    # Every weight-2 error is miscorrected: C(5, 2) p^2 to leading order.
    assert maximum_likelihood_rate(measured_code(five), channel) == pytest.approx(comb(5, 2) * 1e-18, rel=1e-6)


def test_the_circuit_has_the_same_distribution(five):
    """Depolarizing faults as stim models them: detectors and observables in the order that the table has."""
    code = measured_code(five)
    channel = CHANNELS["depolarizing"]
    from qecforge.evaluation.error_rates.circuits._faults import fault_table

    model = code_capacity_experiment(code, channel).circuit.detector_error_model()
    assert joint_distribution(fault_table(model)) == pytest.approx(coset_probabilities(code, channel), abs=1e-12)


@pytest.mark.parametrize("decoder", ["tesseract", "bposd", "ml_lookup"])
def test_a_decoder_asked_every_syndrome_matches_its_samples(steane, decoder):
    code, channel = measured_code(steane), CHANNELS["biased"]
    built = code_capacity_experiment(code, channel)
    compiled = compile_decoder(decoder, built.circuit)
    exact = decoder_rate(code, channel, compiled)
    syndromes, observables = built.circuit.compile_detector_sampler(seed=9).sample(
        40_000, separate_observables=True, bit_packed=True
    )
    wrong = compiled.decode_shots_bit_packed(bit_packed_detection_event_data=syndromes) != observables
    interval = wilson_interval(int(wrong.any(axis=1).sum()), 40_000, confidence=0.999)
    assert interval.low < exact < interval.high
    assert exact >= maximum_likelihood_rate(code, channel) - 1e-12


@pytest.mark.parametrize("decoder", ["pymatching", "tesseract", "bposd", "bplsd", "ml_lookup"])
def test_syndromes_that_no_error_has_are_not_asked(decoder):
    """X errors on a repetition code beside a qubit in |+>: the check X never fires, and matching refuses that it
    does. Of three bits at least two flip: 3 p^2 (1 - p) + p^3."""
    code = StabilizerCode.from_paulis(["ZZII", "IZZI", "IIIX"])
    config = {"experiment": "code_capacity", "noise": {"model": "custom", "data": {"X": 1}}, "p": [0.1]}
    ((task, counts),) = measure_error_rates(code, LogicalErrorRateConfig.model_validate(config | {"decoder": decoder}))
    assert task.decoder == decoder
    assert counts.exact_rate == pytest.approx(0.028)


@pytest.mark.parametrize("name", ["FiveQubitCode", "SteaneCode"])
def test_rates_agree_with_qecsim(name):
    """qecsim's sampled rate of its minimum-weight decoder lies where the exact rate of that decoder is, by our table;
    ours is at least as good, and for the five-qubit code the same."""
    from qecsim import app, paulitools
    from qecsim.models import basic, generic

    theirs, p = getattr(basic, name)(), 0.08
    code = StabilizerCode(theirs.stabilizers)
    channel = DepolarizingNoise.model_validate({}).channels(p).data
    measured = measured_code(code)
    best = maximum_likelihood_rate(measured, channel)

    decoder, model = generic.NaiveDecoder(), generic.DepolarizingErrorModel()
    exact = 1.0
    cosets = brute_force_cosets(measured, channel)
    for syndrome_bits in product((0, 1), repeat=len(theirs.stabilizers)):
        recovery = decoder.decode(theirs, np.array(syndrome_bits))
        pauli = paulitools.bsf_to_pauli(recovery)
        key = tuple(anticommute(pauli, s) for s in measured.stabilizers)
        exact -= cosets[key][tuple(anticommute(pauli, s) for s in (*measured.logical_x, *measured.logical_z))]
    run = app.run(theirs, model, decoder, p, max_runs=4000, random_seed=5)
    interval = wilson_interval(run["n_fail"], run["n_run"], confidence=0.999)
    assert interval.low < exact < interval.high
    assert best <= exact + 1e-12
    if name == "FiveQubitCode":
        assert best == pytest.approx(exact, rel=1e-9)


def test_configured_measurement_is_exact_and_needs_no_shots(five):
    config = LogicalErrorRateConfig.model_validate({"experiment": "code_capacity", "p": [0.05, 0.1]})
    recorded = []
    results = measure_error_rates(five, config, record=lambda *row: recorded.append(row))
    for (task, counts), p in zip(results, (0.05, 0.1), strict=True):
        channel = DepolarizingNoise.model_validate({}).channels(p).data
        assert counts.exact_rate == maximum_likelihood_rate(measured_code(five), channel)
        assert (task.decoder, task.sampled, task.extraction, task.rounds) == ("ml_lookup", False, "none", 0)
        assert counts.shots == 0
    known = {task.task_id: {chunk: counts} for task, chunk, counts in recorded}
    again = []
    measure_error_rates(five, config, known=known.__getitem__, record=lambda *row: again.append(row))
    assert (len(recorded), again) == (2, [])


def test_a_code_too_large_for_the_table_is_sampled():
    """The 23-qubit repetition code, which forgives flips."""
    n = 23
    code = StabilizerCode.from_paulis(["I" * i + "ZZ" + "I" * (n - 2 - i) for i in range(n - 1)])
    with pytest.raises(ConfigurationError, match="at most 22"):
        coset_probabilities(measured_code(code), CHANNELS["biased"])
    config = LogicalErrorRateConfig.model_validate({
        "experiment": "code_capacity", "p": [0.1], "shots": 2000, "decoder": "auto",
        "noise": {"model": "custom", "data": {"X": 1}},
    })  # fmt: skip
    ((task, counts),) = measure_error_rates(code, config)
    assert (task.decoder, task.sampled, counts.shots) == ("pymatching", True, 2000)
    assert counts.errors == 0
