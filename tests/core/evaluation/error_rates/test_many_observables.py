"""Codes of more logical qubits than a word has bits, codes without stabilizers, and channels that do not enter."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from qecforge.codes import StabilizerCode
from qecforge.errors import ConfigurationError
from qecforge.evaluation import LogicalErrorRateConfig, measure_error_rates
from qecforge.evaluation.error_rates.circuits._faults import fault_table
from qecforge.evaluation.error_rates.circuits.distance import circuit_distance
from qecforge.evaluation.error_rates.circuits.extraction import extraction_round
from qecforge.evaluation.error_rates.circuits.generators import measured_code
from qecforge.evaluation.error_rates.circuits.memory import memory_experiment
from qecforge.evaluation.error_rates.circuits.schedule import natural_schedule
from qecforge.evaluation.error_rates.code_capacity import code_capacity_experiment
from qecforge.evaluation.error_rates.decoders import compile_decoder
from qecforge.evaluation.error_rates.noise import DepolarizingNoise, canonical_noise

CHANNELS = DepolarizingNoise.model_validate({}).channels(1e-3)


@pytest.fixture(scope="module")
def hamming():
    """[[63,51,3]]: X and Z checks are the Hamming code's."""
    checks = np.array([[number >> bit & 1 for number in range(1, 64)] for bit in range(6)])
    return StabilizerCode.from_css(checks, checks)


def even(n):
    """[[n,n-2,2]]."""
    return StabilizerCode.from_paulis(["X" * n, "Z" * n])


def code_capacity(code, decoder="auto", **options):
    config = LogicalErrorRateConfig(experiment="code_capacity", decoder=decoder, **{"p": [1e-3], **options})
    ((_, counts),) = measure_error_rates(code, config)
    return counts


def test_fault_tables_beyond_a_word(hamming):
    experiment = code_capacity_experiment(measured_code(hamming), CHANNELS.data)
    table = fault_table(experiment.detector_error_model)
    assert table.num_observables == 102
    assert table.observable_flips.shape == (len(table), 102)
    for flips, observables in zip(table.observable_flips, table.observables, strict=True):
        assert sum(1 << int(bit) for bit in np.flatnonzero(flips)) == observables
    same = np.array([[one == other for other in table.observables] for one in table.observables])
    words = table.observable_words
    assert np.array_equal(same, words[:, None] == words[None, :])
    assert np.array_equal(words == 0, np.array(table.observables, dtype=object) == 0)


def test_circuit_distance_beyond_a_word(hamming):
    for code, distance in ((hamming, 3), (even(36), 2)):
        found = circuit_distance(code_capacity_experiment(measured_code(code), CHANNELS.data).circuit)
        assert (found.value, found.kind) == (distance, "exact")


@pytest.mark.parametrize("decoder", ["auto", "bposd", "bplsd"])
def test_code_capacity_beyond_64_observables(hamming, decoder):
    # A detected single error of [[36,34,2]] is one of 36: nearly all of the 1 - 0.999^36 = 3.5 % are lost.
    assert 0.02 < code_capacity(even(36), decoder, shots=5000).rate < 0.05
    # [[63,51,3]] fails on two errors, 0.18 %, and the decoders on some single ones, but not on most of their 6.1 %.
    assert 0.0003 < code_capacity(hamming, decoder, shots=5000).rate < 0.02


def test_memory_beyond_64_observables():
    code = measured_code(even(68))
    extraction = extraction_round(code.stabilizers, natural_schedule(code), "bare", 2)
    experiment = memory_experiment(code, extraction, channels=CHANNELS, rounds=1, basis="z")
    assert experiment.circuit.num_observables == 66
    table = fault_table(experiment.detector_error_model)
    decoder = compile_decoder("bposd", experiment.circuit)
    seen = [fault for fault, flipped in enumerate(table.detectors) if flipped]
    syndromes = np.zeros((len(seen), table.num_detectors), dtype=np.uint8)
    for row, fault in enumerate(seen):
        syndromes[row, list(table.detectors[fault])] = 1
    packed = np.packbits(syndromes, axis=1, bitorder="little")
    predicted = decoder.decode_shots_bit_packed(bit_packed_detection_event_data=packed)
    assert predicted.shape == (len(seen), 9)
    known = {
        (table.detectors[fault], np.packbits(table.observable_flips[fault], bitorder="little").tobytes())
        for fault in seen
    }
    # Each prediction is what some fault of that syndrome does.
    assert all((table.detectors[f], row.tobytes()) in known for f, row in zip(seen, predicted, strict=True))


@pytest.mark.parametrize("n", [3, 12, 70])
def test_codes_without_stabilizers(n):
    code = StabilizerCode(np.zeros((0, 2 * n)))
    rate = code_capacity(code, shots=5000).rate
    assert rate == pytest.approx(1 - 0.999**n, rel=1e-9 if n == 3 else 0.5)
    with pytest.raises(ConfigurationError, match=f"n = k = {n}, which has no stabilizers") as caught:
        measure_error_rates(code, LogicalErrorRateConfig(p=[1e-3], shots=1000))
    assert "\n" not in str(caught.value)


def test_channels_that_never_enter_are_not_held_against_a_code_capacity():
    five = StabilizerCode.from_paulis(["XZZXI", "IXZZX", "XIXZZ", "ZXIXZ"])
    strong = code_capacity(five, noise="amplitude_damping", p=[0.25]).rate
    plain = code_capacity(five, noise={"model": "amplitude_damping", "measurement": 0}, p=[0.25]).rate
    assert 0.1 < strong == plain < 0.2
    custom = {"model": "custom", "data": {"X": 0.1}, "measurement": 9, "gate2": {"XX": 9}, "gate1": {"X": 9}}
    assert code_capacity(five, noise=custom, p=[0.5]).rate > 0
    for noise in ("amplitude_damping", custom):
        with pytest.raises((ValidationError, ConfigurationError), match=r"noise\.\w+"):
            LogicalErrorRateConfig(noise=noise, p=[0.5])
    with pytest.raises((ValidationError, ConfigurationError), match=r"noise\.data"):
        LogicalErrorRateConfig(experiment="code_capacity", noise={"model": "custom", "data": {"X": 3}}, p=[0.5])


def test_the_noise_of_a_task_keeps_its_factors():
    config = LogicalErrorRateConfig(experiment="code_capacity", noise="amplitude_damping", p=[0.25])
    assert '"measurement":5.0' in canonical_noise(config.noise)
