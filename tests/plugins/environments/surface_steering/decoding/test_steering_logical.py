"""Logical error rates: by hand with stim and pymatching, per cycle, per decoder, and what is refused."""

import math

import numpy as np
import pymatching
import pytest
import stim

from qecforge.errors import ConfigurationError, DecoderError
from qecforge.evaluation.error_rates.decoders import compile_decoder
from qecforge.evaluation.statistics import wilson_interval
from qecforge_surface_steering import SurfaceSteering, SurfaceSteeringConfig, TaggedCircuit
from qecforge_surface_steering.decoding.logical import LogicalCounts, LogicalMemory, measure_logical, per_cycle
from qecforge_surface_steering.device.circuits import color_code, surface_code


def bases(distance=3, rounds=4, **noise):
    return [TaggedCircuit(surface_code(distance, rounds, basis), **noise) for basis in "xz"]


def uneven(circuit, seed=3):
    rng = np.random.default_rng(seed)
    return np.where(circuit.arity == 1, 2e-3, 8e-3) * np.exp(rng.standard_normal(circuit.num_gates))


def test_per_cycle_is_the_rate_that_adds_up_to_that_of_a_shot():
    assert per_cycle(0.18, 2) == pytest.approx(0.1, abs=1e-15)
    assert per_cycle(2 * 0.03 * 0.97, 2) == pytest.approx(0.03, abs=1e-15)
    assert per_cycle(0.07, 1) == pytest.approx(0.07, abs=1e-15)
    assert [per_cycle(p, 7) for p in (0.0, 0.5, 0.8)] == [0.0, 0.5, 0.5]


def test_counts_add_up_and_have_wilsons_interval():
    counts = LogicalCounts(300, 20, 5) + LogicalCounts(700, 40, 5)
    assert counts == LogicalCounts(1000, 60, 5)
    assert counts.per_shot == 0.06
    assert counts.per_cycle == pytest.approx((1 - 0.88**0.2) / 2, abs=1e-15)
    wilson = wilson_interval(60, 1000, confidence=0.9)
    found = counts.interval(0.9)
    assert (found.low, found.estimate, found.high) == tuple(
        per_cycle(p, 5) for p in (wilson.low, wilson.estimate, wilson.high)
    )
    assert math.isnan(LogicalCounts(0, 0, 5).per_cycle)
    with pytest.raises(ConfigurationError, match="5 and of 6 cycles"):
        counts + LogicalCounts(1, 0, 6)


@pytest.mark.parametrize("distance", [3, 5])
def test_matching_is_pymatching_on_stims_error_model(distance):
    circuits = bases(distance, 6, measurement_error=2e-3)
    memory = LogicalMemory(circuits, rounds=6, reference=uneven(circuits[0]))
    assert memory.decoder_names == ("pymatching", "pymatching")
    device, prior = uneven(circuits[0], 1), uneven(circuits[0], 2)
    shots = memory.sample(device, shots=4001, seed=5)
    assert [len(events) for events in shots.events] == [2001, 2001]
    wrong = 0
    for circuit, events, flips in zip(circuits, shots.events, shots.observables, strict=True):
        model = circuit.with_noise(prior).detector_error_model(
            decompose_errors=True, approximate_disjoint_errors=True, flatten_loops=True
        )
        detected = np.unpackbits(events, axis=1, count=model.num_detectors, bitorder="little")
        predicted = pymatching.Matching.from_detector_error_model(model).decode_batch(detected)
        wrong += int((predicted[:, 0] != flips[:, 0]).sum())
    counts = memory.decoder(prior).count(shots)
    assert counts == LogicalCounts(4002, wrong, 6)
    assert wrong > 100
    assert measure_logical(memory, device, prior, shots=4001, seed=5) == counts


def test_shots_are_those_of_the_circuits_that_parameters_imply():
    config = SurfaceSteeringConfig(
        distance=3, rounds=4, parameters_per_gate=2, start={"kind": "randomised", "half_width": 2}
    )
    env = SurfaceSteering(config, num_envs=1, seed=4)
    memory = LogicalMemory(env.circuits, rounds=4, reference=env.landscape.floor)
    noisy = env.noisy_circuits(env.initial_parameters)
    errors = env.gate_errors(env.initial_parameters)
    assert memory.noisy(errors) == noisy
    decoder = memory.decoder(errors)
    ours = decoder.count(memory.sample(errors, shots=20_000, seed=1)).interval(0.9999)
    wrong = 0
    for circuit in noisy:
        events, flips = circuit.compile_detector_sampler(seed=7).sample(20_000, separate_observables=True)
        wrong += int(
            (
                pymatching.Matching(circuit.detector_error_model(decompose_errors=True)).decode_batch(events) != flips
            ).sum()
        )
    theirs = LogicalCounts(40_000, wrong, 4).interval(0.9999)
    assert ours.low < theirs.high
    assert theirs.low < ours.high


def test_circuits_may_have_their_gates_in_another_order():
    first = stim.Circuit(
        "R 0 1\nH[b] 0 0\nS[a] 1\nM 0 1\nDETECTOR rec[-1]\nDETECTOR rec[-2]\nOBSERVABLE_INCLUDE(0) rec[-1]"
    )
    second = stim.Circuit(
        "R 0 1\nS[a] 0\nH[b] 1 1\nM 0 1\nDETECTOR rec[-1]\nDETECTOR rec[-2]\nOBSERVABLE_INCLUDE(0) rec[-1]"
    )
    circuits = [TaggedCircuit(first), TaggedCircuit(second)]
    assert [gate.name for gate in circuits[0].gates] != [gate.name for gate in circuits[1].gates]
    memory = LogicalMemory(circuits, rounds=1, reference=[0.1, 0.2])
    noisy = memory.noisy([0.1, 0.2])
    assert "H 0\nDEPOLARIZE1(0.1) 0" in str(noisy[0])
    assert "H 1\nDEPOLARIZE1(0.1) 1" in str(noisy[1])


@pytest.mark.parametrize("name", ["tesseract", "bposd", "bplsd", "ml_lookup"])
def test_other_decoders_decode_each_syndrome_as_the_core_has_them(name):
    circuit = TaggedCircuit(color_code(3, 3))
    prior = uneven(circuit) / 4
    memory = LogicalMemory([circuit], rounds=3, decoder=name, reference=prior)
    shots = memory.sample(prior, shots=400, seed=2)
    predicted = compile_decoder(name, circuit.with_noise(prior)).decode_shots_bit_packed(
        bit_packed_detection_event_data=shots.events[0]
    )
    wrong = int((predicted != shots.observables[0]).any(axis=1).sum())
    assert memory.decoder(prior).count(shots).errors == wrong
    assert memory.decoder_names == (name,)


def test_a_seed_repeats_and_another_does_not():
    circuits = bases()
    memory = LogicalMemory(circuits, rounds=4, reference=uneven(circuits[0]))
    one, same, other = (memory.sample(uneven(circuits[0]), shots=500, seed=seed) for seed in (9, 9, 10))
    for number in (0, 1):
        np.testing.assert_array_equal(one.events[number], same.events[number])
        np.testing.assert_array_equal(one.observables[number], same.observables[number])
        assert (one.events[number] != other.events[number]).any()


def test_what_is_refused():
    circuits = bases()
    reference = uneven(circuits[0])
    with pytest.raises(ConfigurationError, match="rounds: 0"):
        LogicalMemory(circuits, rounds=0, reference=reference)
    with pytest.raises(ConfigurationError, match="shots: 0"):
        LogicalMemory(circuits, rounds=4, reference=reference).sample(reference, shots=0, seed=0)
    with pytest.raises(DecoderError, match="'blossom'"):
        LogicalMemory(circuits, rounds=4, decoder="blossom", reference=reference)
    blind = TaggedCircuit(stim.Circuit("R 0\nH[h] 0 0\nM 0\nDETECTOR rec[-1]"))
    with pytest.raises(ConfigurationError, match="OBSERVABLE_INCLUDE"):
        LogicalMemory([blind], rounds=1, reference=[0.1])
    colour = TaggedCircuit(color_code(3, 3))
    with pytest.raises(DecoderError, match=r"pymatching.*together and does not split.*tesseract"):
        LogicalMemory([colour], rounds=3, decoder="pymatching", reference=uneven(colour))
