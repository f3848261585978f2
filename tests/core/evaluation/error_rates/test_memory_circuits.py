from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import stim

from qecforge.codes import StabilizerCode
from qecforge.errors import ConfigurationError
from qecforge.evaluation.error_rates.circuits._layers import NoisyCircuit, Operation, barrier, pack_operations
from qecforge.evaluation.error_rates.circuits.extraction import (
    extraction_round,
    flag_windows,
    locally_commuting_phases,
    verified_pairs,
)
from qecforge.evaluation.error_rates.circuits.generators import measured_code
from qecforge.evaluation.error_rates.circuits.memory import MemoryExperiment, memory_experiment
from qecforge.evaluation.error_rates.circuits.schedule import natural_schedule
from qecforge.evaluation.error_rates.noise import CustomNoise, DepolarizingNoise

DEPOLARIZING = DepolarizingNoise.model_validate({})


def experiment(code: StabilizerCode, kind, *, noise=DEPOLARIZING, p=1e-3, **options) -> MemoryExperiment:
    measured = measured_code(code)
    extraction = extraction_round(measured.stabilizers, natural_schedule(measured), kind, 3)
    channels = None if p is None else noise.channels(p)
    defaults = {"rounds": 2, "basis": "z"}
    return memory_experiment(measured, extraction, channels=channels, **(defaults | options))


@pytest.mark.parametrize(("kind", "basis"), list(product(("bare", "flag", "shor"), "xz")))
def test_without_noise_every_detector_and_observable_is_quiet(any_code, kind, basis):
    for boundary in ("ideal", "transversal") if any_code.css is not None else ("ideal",):
        circuit = experiment(any_code, kind, p=None, basis=basis, boundary=boundary).circuit
        detectors, observables = circuit.compile_detector_sampler(seed=1).sample(64, separate_observables=True)
        assert not detectors.any()
        assert not observables.any()
        assert observables.shape[1] == any_code.k
        circuit.detector_error_model()  # stim proves that detectors and observables are deterministic


@pytest.mark.parametrize("kind", ["bare", "flag", "shor"])
def test_each_round_measures_the_stabilizers(five, kind):
    """A Pauli put between two rounds flips the detectors of the stabilizers it anticommutes with, once."""
    measured = measured_code(five)
    clean = experiment(five, kind, p=None, rounds=2)
    lines = clean.text.splitlines()
    reset = next(i for i, line in enumerate(lines) if line.startswith("DETECTOR")) + sum(
        line.startswith("DETECTOR") and line.split(",")[1].strip() == "0" for line in lines
    )
    coordinates = stim.Circuit(clean.text).get_detector_coordinates()
    for qubit, pauli in product(range(5), "XYZ"):
        circuit = stim.Circuit("\n".join([*lines[:reset], f"{pauli}_ERROR(1) {qubit}", *lines[reset:]]))
        (detectors,) = circuit.compile_detector_sampler(seed=3).sample(1)
        fired = {tuple(coordinates[d][:3]) for d in np.flatnonzero(detectors)}
        expected = {
            (i, 1, 0) for i, s in enumerate(measured.stabilizers) if s[qubit] not in ("I", pauli)
        }  # fmt: skip
        assert fired == expected


def test_logical_errors_flip_their_observable(steane, smolin):
    for code in (steane, smolin):
        measured = measured_code(code)
        for basis, flipping in (("z", measured.logical_x), ("x", measured.logical_z)):
            text = experiment(code, "bare", p=None, basis=basis).text
            head, separator, tail = text.partition("TICK")
            for index, logical in enumerate(flipping):
                errors = "\n".join(f"{p}_ERROR(1) {q}" for q, p in enumerate(logical) if p != "I")
                circuit = stim.Circuit(f"{head}{errors}\n{separator}{tail}")
                detectors, observables = circuit.compile_detector_sampler(seed=2).sample(1, separate_observables=True)
                assert not detectors.any()
                assert np.flatnonzero(observables[0]).tolist() == [index]


def test_layers_use_no_qubit_twice(any_code):
    measured = measured_code(any_code)
    for kind in ("bare", "flag", "shor"):
        built = extraction_round(measured.stabilizers, natural_schedule(measured), kind, 5)
        for layer in built.layers:
            used = [qubit for operation in layer for qubit in operation.qubits]
            assert len(used) == len(set(used))
        gates = [(op.qubits[1], op.name[1]) for layer in built.layers for op in layer if op.qubits[-1] < any_code.n]
        expected = [(q, p) for s in measured.stabilizers for q, p in enumerate(s) if p != "I"]
        assert sorted(gates) == sorted(expected)


def test_cat_states_are_verified_before_they_touch_the_data(steane):
    measured = measured_code(steane)
    built = extraction_round(measured.stabilizers, natural_schedule(measured), "shor", 3)
    for gadget in built.gadgets:
        when = {key: at for at, layer in enumerate(built.layers) for op in layer if (key := op.key) is not None}
        cat = {op.qubits[0] for op in gadget.coupling}
        first = min(at for at, layer in enumerate(built.layers) for op in layer if op in gadget.coupling)
        assert len(cat) == 4
        assert all(when[key] < first for key in gadget.verifications)


def test_flags_and_verifications_by_weight_and_distance():
    assert flag_windows(3, 3) == []
    assert flag_windows(4, 3) == [(1, 3)]
    assert flag_windows(8, 5) == [(1, 7), (4, 7)]
    assert verified_pairs(3, 3) == []
    assert verified_pairs(4, 3) == [(0, 3)]
    assert verified_pairs(4, 5) == [(0, 3), (0, 1), (1, 2), (2, 3)]


def test_phases_of_a_css_code_are_its_two_types(steane, five):
    assert [len(phase) for phase in locally_commuting_phases(measured_code(steane).stabilizers)] == [3, 3]
    phases = locally_commuting_phases(measured_code(five).stabilizers)
    assert sorted(index for phase in phases for index in phase) == [0, 1, 2, 3]
    assert len(phases) == 4


def test_resets_wait_for_their_first_use_and_barriers_hold():
    first, second, last = Operation("CX", (0, 1)), Operation("CZ", (0, 1)), Operation("CX", (2, 3))
    reset = Operation("R", (2,))
    assert pack_operations([[reset, first, second, last]]) == [[reset, first], [second, last]]
    layers = pack_operations([[reset, first, second, barrier((1, 2)), last]])
    assert layers == [[first], [second, reset], [last]]


def test_noise_falls_where_the_model_says():
    noise = CustomNoise.model_validate(
        {"model": "custom", "gate1": {"X": 1}, "gate2": {"ZZ": 2}, "idle": {"Z": 3}, "measurement": 4, "reset": 5}
    )
    circuit = NoisyCircuit(noise.channels(0.01), [0, 1])
    circuit.layer([Operation("R", (2,)), Operation("H", (0,))])
    circuit.layer([Operation("CX", (0, 2))])
    circuit.layer([Operation("M", (2,), ("m",))])
    zz = ", ".join(["0"] * 14 + ["0.02"])
    assert circuit.circuit == stim.Circuit(
        f"""
        R 2
        X_ERROR(0.05) 2
        H 0
        PAULI_CHANNEL_1(0.01, 0, 0) 0
        PAULI_CHANNEL_1(0, 0, 0.03) 1
        TICK
        CX 0 2
        PAULI_CHANNEL_2({zz}) 0 2
        PAULI_CHANNEL_1(0, 0, 0.03) 1
        TICK
        M(0.04) 2
        PAULI_CHANNEL_1(0, 0, 0.03) 0 1
        TICK
        """
    )


def test_verifications_are_marked_for_post_selection(steane):
    shown = experiment(steane, "shor")
    marked = experiment(steane, "shor", postselect=True)
    assert not shown.postselected.any()
    assert marked.postselected.sum() == 2 * 6
    assert marked.digest != shown.digest


def test_transversal_boundary_needs_a_css_code(five):
    with pytest.raises(ConfigurationError, match="expected ideal"):
        experiment(five, "bare", boundary="transversal")
