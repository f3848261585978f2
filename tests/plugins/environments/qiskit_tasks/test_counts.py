"""Checks of counts: right ones pass nearly always, wrong ones fail; distributions of measured circuits by hand."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from scipy.stats import binom

from qecforge_qiskit_tasks.checks.counts import DOUBT, counts_follow, largest_deviation, measured_probabilities


@pytest.mark.parametrize("shots", [50, 1000, 20_000])
@pytest.mark.parametrize("probability", [1e-4, 0.01, 0.3, 0.5, 0.97, 1.0])
def test_right_counts_are_refused_at_most_so_often(probability, shots):
    bound, mean = largest_deviation(probability, shots), shots * probability
    assert binom.sf(np.floor(mean + bound), shots, probability) <= DOUBT
    assert binom.cdf(np.ceil(mean - bound) - 1, shots, probability) <= DOUBT


def test_samples_pass_and_another_distribution_fails():
    rng = np.random.default_rng(5)
    probabilities = {"00": 0.4, "01": 0.1, "11": 0.5}
    for _ in range(200):
        drawn = rng.multinomial(4000, list(probabilities.values())).tolist()
        counts_follow(dict(zip(probabilities, drawn, strict=True)), probabilities, 4000)
    with pytest.raises(AssertionError, match=r"times 00, expected 1600\.0"):
        counts_follow({"00": 2000, "11": 2000}, probabilities, 4000)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ([500, 500], "counts are a dict"),
        ({"0": 499.5, "1": 500.5}, "whole numbers"),
        ({"0": 1500, "1": -500}, "whole numbers"),
        ({"0": 500, "1": 499}, "999 shots, expected 1000"),
        ({"0": 500, "1": 499, "2": 1}, r"cannot occur: \['2'\]"),
        ({"0": 1000}, r"1000 times 0, expected 500\.0"),
    ],
)
def test_wrong_counts_are_refused(counts, said):
    with pytest.raises(AssertionError, match=said):
        counts_follow(counts, {"0": 0.5, "1": 0.5, "2": 0.0}, 1000)


def test_outcomes_that_did_not_occur_may_be_listed():
    counts_follow({"0": 1000, "1": 0}, {"0": 1.0}, 1000)


def test_distribution_of_a_measured_circuit():
    """RY(2 arcsin sqrt(0.2)) leaves 1 with probability 0.2; bit 0 is never written."""
    circuit = QuantumCircuit(3, 3)
    circuit.ry(2 * np.arcsin(np.sqrt(0.2)), 0)
    circuit.cx(0, 2)
    circuit.x(1)
    circuit.barrier()
    circuit.measure([2, 1], [1, 2])
    found = measured_probabilities(circuit)
    assert found == {"100": pytest.approx(0.8), "110": pytest.approx(0.2)}


def test_a_gate_after_a_measurement_is_refused():
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    circuit.h(0)
    with pytest.raises(AssertionError, match="follows on a measured qubit"):
        measured_probabilities(circuit)
