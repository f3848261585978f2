import math

import numpy as np
import pytest
from codes_reference import all_logicals, codes, is_logical
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qecforge.codes import StabilizerCode, bias_weights, effective_distance, known_codes
from qecforge.errors import ConfigurationError

weight = st.floats(0.25, 4.0)
module = "qecforge.codes.distance.effective"


def cost(letters, weights):
    table = np.broadcast_to(weights, (len(letters), 3))
    return sum(table[q]["XYZ".index(letter)] for q, letter in enumerate(letters) if letter != "I")


@settings(deadline=None, max_examples=50)
@given(codes(max_qubits=4) | codes(max_qubits=5, css=True), st.data())
def test_against_all_paulis(code, data):
    shape = (code.n, 3) if data.draw(st.booleans()) else (3,)
    count = math.prod(shape)
    weights = np.array(data.draw(st.lists(weight, min_size=count, max_size=count))).reshape(shape)
    expected = min(cost(letters, weights) for letters in all_logicals(code))
    found = code.effective_distance(weights)
    assert found.kind == "exact"
    assert found.value == pytest.approx(expected, rel=1e-12)
    assert found.lower == found.upper == found.value
    assert is_logical(code, found.witness)
    assert cost(found.witness, weights) == pytest.approx(found.value)


@settings(deadline=None, max_examples=25)
@example(code=StabilizerCode.from_paulis(["Z"]), weights=[1.0, 0.5, 1.0])  # HiGHS fails to presolve it
@given(codes(max_qubits=4) | codes(max_qubits=4, css=True), st.lists(weight, min_size=3, max_size=3))
def test_integer_programme_against_the_walk(code, weights):
    walked = code.effective_distance(weights)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{module}._walk_seconds", lambda space: math.inf)
        programmed = code.effective_distance(weights)
    assert walked.method.endswith("walk")
    assert programmed.method.endswith(("integer_programme", "distances"))
    assert programmed.kind == "exact"
    assert programmed.value == pytest.approx(walked.value, rel=3e-6)
    assert is_logical(code, programmed.witness)


@given(codes(max_qubits=5))
def test_weights_of_one_give_the_distance(code):
    assert code.effective_distance([1, 1, 1]).value == code.distance().value


@pytest.mark.parametrize(("d", "bias"), [(3, 0.5), (3, 2.0), (9, 0.5), (9, 1.5)])
def test_surface_codes_by_hand(d, bias):
    """The lightest logical operators are strings of d X or d Z; d = 9 has too many operators to walk."""
    found = effective_distance(known_codes.rotated_surface(d), (1.0, max(1.0, bias), bias))
    assert found.kind == "exact"
    assert found.value == pytest.approx(d * min(1.0, bias))
    assert found.method == ("css halves: walk" if d == 3 else "css halves: distances")


def test_a_cheap_y_takes_css_codes_out_of_their_halves():
    """Y on all seven qubits of Steane's code is logical: 7 w_Y below 3 w_X."""
    found = effective_distance(known_codes.steane(), (1.0, 0.1, 1.0))
    assert found.method == "walk"
    assert found.value < 1.0


def test_bias_weights():
    assert bias_weights(0.01, 0.01, 0.1) == (1.0, 1.0, 0.5)
    assert bias_weights(0.1, 0.01, 0.001) == pytest.approx((1.0, 2.0, 3.0))
    with pytest.raises(ConfigurationError, match="strictly between 0 and 1"):
        bias_weights(0.1, 0.0, 0.1)


@pytest.mark.parametrize("weights", [[1, 1], [1, 1, 0], [1, 1, -1], [1, 1, math.inf], np.ones((4, 3))])
def test_weights_that_cannot_be_used(weights):
    with pytest.raises(ConfigurationError, match="expected positive finite numbers"):
        known_codes.five_qubit().effective_distance(weights)


def test_out_of_budget_is_a_bound(monkeypatch):
    monkeypatch.setattr(f"{module}._walk_seconds", lambda space: math.inf)
    found = known_codes.eleven_qubit().effective_distance([1.0, 1.3, 0.7], budget_seconds=1e-6)
    assert found.kind == "upper_bound"
    assert found.lower < found.upper == found.value
    css = known_codes.rotated_surface(5).effective_distance([1, 2, 1.5], budget_seconds=1e-9)
    assert (css.kind, css.lower < css.upper == css.value) == ("upper_bound", True)
    assert is_logical(known_codes.rotated_surface(5), css.witness)
    assert cost(css.witness, [1, 2, 1.5]) == css.value
    with pytest.raises(ConfigurationError, match="budget_seconds is -1"):
        known_codes.five_qubit().effective_distance([1, 1, 1], budget_seconds=-1)
