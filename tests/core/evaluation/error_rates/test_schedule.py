"""The order of gates: what it must keep, for codes and numberings that nobody chose for it."""

from __future__ import annotations

import numpy as np
import pytest

from qecforge.codes import StabilizerCode
from qecforge.codes.known_codes import rotated_surface, shor
from qecforge.errors import ConfigurationError
from qecforge.evaluation import LogicalErrorRateConfig, circuit_distance, plan_error_rates
from qecforge.evaluation.error_rates.circuits._faults import fault_table
from qecforge.evaluation.error_rates.circuits.distance import CircuitDistance, graphlike_distance
from qecforge.evaluation.error_rates.circuits.generators import in_css_frame, measured_code
from qecforge.evaluation.error_rates.circuits.interleaving import standard_round
from qecforge.evaluation.error_rates.circuits.memory import memory_experiment
from qecforge.evaluation.error_rates.circuits.schedule import best_round, proved_distance
from qecforge.evaluation.error_rates.decoders import lost_by_matching, non_graphlike_error
from qecforge.evaluation.error_rates.noise import DepolarizingNoise

CHANNELS = DepolarizingNoise.model_validate({}).channels(1e-3)


def renumbered(code: StabilizerCode, seed: int) -> StabilizerCode:
    order = np.random.default_rng(seed).permutation(code.n)
    return StabilizerCode.from_paulis(["".join(s.lstrip("+-")[q] for q in order) for s in code.stabilizers])


def planar(d: int) -> StabilizerCode:
    """The unrotated surface code: the hypergraph product of two repetition codes."""
    h = (np.eye(d, dtype=int) + np.eye(d, k=1, dtype=int))[:-1]
    hx = np.hstack([np.kron(h, np.eye(d, dtype=int)), np.kron(np.eye(d - 1, dtype=int), h.T)])
    hz = np.hstack([np.kron(np.eye(d, dtype=int), h), np.kron(h.T, np.eye(d - 1, dtype=int))])
    return StabilizerCode.from_css(hx, hz)


def xzzx(d: int) -> StabilizerCode:
    swapped = {"X": "Z", "Z": "X", "I": "I"}
    return StabilizerCode.from_paulis(
        [
            "".join(swapped[p] if (q // d + q % d) % 2 else p for q, p in enumerate(s.lstrip("+-")))
            for s in rotated_surface(d).stabilizers
        ]
    )


MATCHABLE = {
    "rotated 3": (rotated_surface(3), 3),
    "rotated 4": (rotated_surface(4), 4),
    "rotated 5, renumbered": (renumbered(rotated_surface(5), 1), 5),
    "rotated 7": (rotated_surface(7), 7),
    "planar 3, renumbered": (renumbered(planar(3), 2), 3),
    "xzzx 5": (xzzx(5), 5),
}


@pytest.mark.parametrize("name", MATCHABLE)
def test_the_standard_order_keeps_the_distance_and_can_be_matched(name):
    code, d = MATCHABLE[name]
    measured = measured_code(code, "auto")
    extraction = best_round(measured, "bare", distance=d)
    assert len(extraction.layers) == 6  # reset, four layers of gates, measurement
    assert proved_distance(measured, extraction, "bare", d) == d
    for basis in ("x", "z"):
        circuit = memory_experiment(measured, extraction, channels=CHANNELS, rounds=3, basis=basis).circuit
        model = circuit.detector_error_model(approximate_disjoint_errors=True).flattened()
        assert len(circuit.shortest_graphlike_error(ignore_ungraphlike_errors=True)) == d
        assert non_graphlike_error(model) is None
        assert lost_by_matching(circuit) == 0


def test_interleaved_gates_measure_the_stabilizers():
    """stim refuses detectors that are not deterministic: with every qubit reset, ours are."""
    for code, _ in MATCHABLE.values():
        measured = measured_code(code, "auto")
        extraction = standard_round(measured, 3)
        for basis in ("x", "z"):
            circuit = memory_experiment(measured, extraction, channels=None, rounds=2, basis=basis).circuit
            detectors, observables = circuit.compile_detector_sampler(seed=1).sample(64, separate_observables=True)
            circuit.detector_error_model()
            assert not detectors.any()
            assert not observables.any()


def test_the_standard_order_of_rotated_surface_codes_is_found_for_many_seeds():
    measured = measured_code(renumbered(rotated_surface(5), 4), "auto")
    for seed in range(5):
        extraction = best_round(measured, "bare", distance=5, seed=seed)
        assert proved_distance(measured, extraction, "bare", 5) == 5


def test_only_matchable_codes_have_a_standard_order(steane, five):
    assert standard_round(measured_code(steane), 0) is None
    assert standard_round(measured_code(five), 0) is None


def test_a_css_frame_is_found_where_there_is_one(five):
    framed = in_css_frame(measured_code(xzzx(3), "given"))
    assert framed is not None
    assert framed.is_css
    supports = [{q for q, p in enumerate(s) if p != "I"} for s in measured_code(xzzx(3), "given").stabilizers]
    assert [{q for q, p in enumerate(s) if p != "I"} for s in framed.stabilizers] == supports
    assert in_css_frame(measured_code(five)) is None


EIGHT_THREE_THREE = ["XXXXXXXX", "ZZZZZZZZ", "IXIXYZYZ", "IXZYIXZY", "IYXZXZIY"]
"""[[8,3,3]], Gottesman 1996."""


@pytest.mark.parametrize("kind", ["flag", "shor"])
@pytest.mark.parametrize("name", ["[[8,3,3]]", "[[9,1,3]]", "five"])
def test_flags_and_cats_keep_distance_three(name, kind, five):
    """Ascending orders do not, of [[8,3,3]] with a flag and of [[9,1,3]] with cat states that are not post-selected."""
    code = {"[[8,3,3]]": StabilizerCode.from_paulis(EIGHT_THREE_THREE), "[[9,1,3]]": shor(3), "five": five}[name]
    for seed in (0, 1):
        measured = measured_code(renumbered(code, seed) if seed else code, "auto")
        extraction = best_round(measured, kind, distance=3)
        assert proved_distance(measured, extraction, kind, 3) == 3
        for basis in ("x", "z"):
            circuit = memory_experiment(measured, extraction, channels=CHANNELS, rounds=3, basis=basis).circuit
            assert circuit_distance(circuit, limit=3) == CircuitDistance(3, 3)


@pytest.mark.parametrize("kind", ["bare", "flag", "shor"])
def test_what_an_order_proves_is_never_more_than_the_circuit_distance(any_code, kind):
    measured = measured_code(any_code)
    distance = any_code.distance().value
    extraction = best_round(measured, kind, distance=distance, tries=3)
    proved = proved_distance(measured, extraction, kind, distance)
    for basis in ("x", "z"):
        for rounds in (1, 2):
            circuit = memory_experiment(measured, extraction, channels=CHANNELS, rounds=rounds, basis=basis).circuit
            assert circuit_distance(circuit, limit=3).value >= proved


def test_graphlike_distance_is_that_of_the_graph():
    code = measured_code(rotated_surface(5), "auto")
    experiment = memory_experiment(
        code, best_round(code, "bare", distance=5), channels=CHANNELS, rounds=2, basis="z", boundary="transversal"
    )
    in_one_sector = fault_table(experiment.detector_error_model)
    assert graphlike_distance(in_one_sector) == 5


def configured(**values):
    return LogicalErrorRateConfig.model_validate({"p": [2e-3], "extraction": "bare"} | values)


@pytest.mark.parametrize("d", [3, 5, 7])
def test_surface_codes_are_matched_at_their_own_distance(d):
    (planned,) = plan_error_rates(rotated_surface(d), configured(decoder="pymatching"), distance=d)
    assert planned.task.decoder == "pymatching"
    assert (planned.task.circuit_distance, planned.task.circuit_distance_kind) == (d, "exact")
    assert set(planned.code.stabilizers) == set(rotated_surface(d).stabilizers)


def test_auto_matches_large_surface_codes():
    (planned,) = plan_error_rates(rotated_surface(7), configured(basis="x"), distance=7)
    assert planned.task.decoder == "pymatching"


def test_an_order_can_be_given_and_is_checked(surface3):
    orders = [[q for q, p in enumerate(s.lstrip("+-")) if p != "I"][::-1] for s in surface3.stabilizers]
    (planned,) = plan_error_rates(surface3, configured(generators="given", order=orders), distance=3)
    assert planned.experiments[0].text.count("CX") > 0
    ascending = plan_error_rates(surface3, configured(generators="given", order="ascending"), distance=3)[0]
    again = plan_error_rates(
        surface3, configured(generators="given", order=[order[::-1] for order in orders]), distance=3
    )[0]
    assert again.task == ascending.task
    assert planned.task.task_id != ascending.task.task_id
    with pytest.raises(ConfigurationError, match=r"order: got \[0\] for generator 0, .*; expected \["):
        plan_error_rates(surface3, configured(generators="given", order=[[0], *orders[1:]]), distance=3)
    with pytest.raises(ConfigurationError, match="expected one for each of the code's 8 generators"):
        plan_error_rates(surface3, configured(generators="given", order=orders[1:]), distance=3)


def test_qubits_that_no_fault_can_hit_cost_no_circuit_distance(five):
    wider = StabilizerCode.from_paulis([s.lstrip("+-") + "I" for s in five.stabilizers])
    assert wider.distance().value == 1
    for extraction, expected in (("flag", 3), ("bare", 2), ("shor", 3)):
        noise = {"model": "depolarizing", "idle": 0.0}
        (planned,) = plan_error_rates(wider, configured(noise=noise, extraction=extraction))
        assert (planned.task.circuit_distance, planned.task.circuit_distance_kind) == (expected, "exact")
        (idling,) = plan_error_rates(wider, configured(extraction=extraction))
        assert (idling.task.circuit_distance, idling.task.circuit_distance_kind) == (1, "exact")


def test_a_distance_below_the_codes_is_said_in_one_line(five):
    (planned,) = plan_error_rates(five, configured(), distance=3)
    assert planned.task.lost_distance(3) == (
        "extraction bare: circuit distance 2, below the code's 3; the rate falls as p^1, not p^2"
    )
    (flagged,) = plan_error_rates(five, configured(extraction="flag"), distance=3)
    assert flagged.task.lost_distance(3) is None
    assert flagged.task.lost_distance(4) == (
        "extraction flag: circuit distance 3, below the code's 4; the rate falls as p^2 all the same"
    )
