from __future__ import annotations

from itertools import combinations

import pytest
import stim
from hypothesis import given, settings
from hypothesis import strategies as st

from qecforge.evaluation import circuit_distance
from qecforge.evaluation.error_rates.circuits._faults import fault_table
from qecforge.evaluation.error_rates.circuits.distance import CircuitDistance, undetectable_sets
from qecforge.evaluation.error_rates.circuits.extraction import extraction_round
from qecforge.evaluation.error_rates.circuits.generators import measured_code
from qecforge.evaluation.error_rates.circuits.memory import memory_experiment
from qecforge.evaluation.error_rates.circuits.schedule import best_round, natural_schedule
from qecforge.evaluation.error_rates.noise import DepolarizingNoise

CHANNELS = DepolarizingNoise.model_validate({}).channels(1e-3)


def brute_force_sets(table, weight):
    """Undetectable logical sets of exactly this many faults, by trying them all."""
    count = 0
    for chosen in combinations(range(len(table)), weight):
        detectors, observables = set(), 0
        for fault in chosen:
            detectors ^= set(table.detectors[fault])
            observables ^= table.observables[fault]
        count += not detectors and observables != 0
    return count


@st.composite
def error_models(draw):
    """A circuit whose detector error model is drawn: each fault flips some of few detectors and observables."""
    detectors, observables = draw(st.integers(2, 5)), draw(st.integers(1, 2))
    faults = draw(st.lists(st.integers(1, 2 ** (detectors + observables) - 1), min_size=1, max_size=9, unique=True))
    qubits = detectors + observables
    lines = [f"R {' '.join(map(str, range(qubits)))}"]
    for fault in faults:
        targets = " ".join(f"X{q}" for q in range(qubits) if fault >> q & 1)
        lines.append(f"CORRELATED_ERROR(0.01) {targets}")
    lines.append(f"M {' '.join(map(str, range(qubits)))}")
    lines += [f"DETECTOR rec[{d - qubits}]" for d in range(detectors)]
    lines += [f"OBSERVABLE_INCLUDE({o}) rec[{detectors + o - qubits}]" for o in range(observables)]
    return stim.Circuit("\n".join(lines))


@settings(deadline=None, max_examples=80)
@given(error_models())
def test_enumeration_agrees_with_brute_force(circuit):
    table = fault_table(circuit.detector_error_model())
    by_weight = {weight: brute_force_sets(table, weight) for weight in range(1, len(table) + 1)}
    least = next((weight for weight, count in by_weight.items() if count), None)
    for weight in (1, 2):
        assert undetectable_sets(table, weight) == by_weight.get(weight, 0)
    if least is None or least >= 3:
        assert undetectable_sets(table, 3) == by_weight.get(3, 0)
    found = circuit_distance(circuit)
    if least is None:
        assert found.kind == "lower_bound"
    elif least <= 5:
        assert found == CircuitDistance(least, least)
    else:
        assert found.lower <= least <= (found.upper or least)


@pytest.mark.parametrize(("kind", "expected"), [("bare", 2), ("flag", 3), ("shor", 3)])
@pytest.mark.parametrize("name", ["steane", "five"])
def test_flags_and_cat_states_restore_distance_three_and_no_order_of_bare_gates_does(name, kind, expected, request):
    code = measured_code(request.getfixturevalue(name))
    extraction = best_round(code, kind, distance=3, tries=8)
    for basis in ("x", "z"):
        circuit = memory_experiment(code, extraction, channels=CHANNELS, rounds=3, basis=basis).circuit
        assert circuit_distance(circuit) == CircuitDistance(expected, expected)


def test_the_search_finds_an_order_without_bad_hooks_for_the_surface_code(surface3):
    code = measured_code(surface3)
    natural = extraction_round(code.stabilizers, natural_schedule(code), "bare", 3)
    best = best_round(code, "bare", distance=3)

    def worst(extraction):
        circuits = [
            memory_experiment(code, extraction, channels=CHANNELS, rounds=3, basis=basis).circuit
            for basis in ("x", "z")
        ]
        return min(circuit_distance(circuit).value for circuit in circuits)

    assert worst(natural) == 2
    assert worst(best) == 3
    best_round.cache_clear()
    assert best_round(code, "bare", distance=3) == best


@pytest.mark.parametrize("distance", [3, 5])
def test_stims_own_surface_code_has_its_distance(distance):
    circuit = stim.Circuit.generated(
        "surface_code:rotated_memory_z", distance=distance, rounds=2, after_clifford_depolarization=1e-3
    )
    assert circuit_distance(circuit) == CircuitDistance(distance, distance)


def test_beyond_the_limit_a_bound_is_called_a_bound():
    circuit = stim.Circuit.generated(
        "surface_code:rotated_memory_z", distance=5, rounds=2, after_clifford_depolarization=1e-3
    )
    bound = circuit_distance(circuit, limit=2)
    assert (bound.value, bound.kind) == (5, "upper_bound")
    assert bound == CircuitDistance(3, 5)
