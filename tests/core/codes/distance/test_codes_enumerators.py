import pytest
from codes_reference import all_logicals, brute_force_distance, codes, group_weights
from hypothesis import given, settings

from qecforge.codes import StabilizerCode, known_codes
from qecforge.codes.distance._budget import OutOfTime
from qecforge.codes.distance.enumerators import macwilliams, span_weights
from qecforge.errors import CodeError


@settings(deadline=None, max_examples=60)
@given(codes(max_qubits=5))
def test_enumerators_against_all_paulis(code):
    enumerators = code.weight_enumerators()
    stabilizers = group_weights(code)
    assert list(enumerators.A) == stabilizers
    logicals = [0] * (code.n + 1)
    for letters in all_logicals(code) if code.k else ():
        logicals[code.n - letters.count("I")] += 1
    assert list(enumerators.B) == [a + b for a, b in zip(stabilizers, logicals, strict=True)]
    assert enumerators.distance == brute_force_distance(code)


@given(codes(max_qubits=6))
def test_macwilliams(code):
    enumerators = code.weight_enumerators()
    assert sum(enumerators.A) == 2 ** (code.n - code.k)
    assert sum(enumerators.B) == 2 ** (code.n + code.k)
    assert all(b >= a >= 0 for a, b in zip(enumerators.A, enumerators.B, strict=True))
    # The dual of the dual is the code.
    assert macwilliams(enumerators.B, 4) == list(enumerators.A)


@pytest.mark.parametrize(
    ("code", "A", "B"),
    [
        # Shor and Laflamme 1997: the [[5,1,3]] code.
        (known_codes.five_qubit(), (1, 0, 0, 0, 15, 0), (1, 0, 0, 30, 15, 18)),
        (known_codes.steane(), (1, 0, 0, 0, 21, 0, 42, 0), (1, 0, 0, 21, 21, 126, 42, 45)),
    ],
)
def test_goldens(code, A, B):
    enumerators = code.weight_enumerators()
    assert (enumerators.A, enumerators.B) == (A, B)


def test_golay_weights():
    """Binary [23,11,8] code: MacWilliams and Sloane, weights 8, 12, 16 with 506, 1288, 253 words; its dual is the
    perfect Golay code with 253 words of weight 7."""
    hx, _ = known_codes.golay().css
    rows = [int("".join(map(str, row)), 2) for row in hx.tolist()]
    weights = span_weights(rows, 23, paired=False)
    assert {w: count for w, count in enumerate(weights) if count} == {0: 1, 8: 506, 12: 1288, 16: 253}
    assert macwilliams(weights, 2)[7] == 253


def test_more_than_one_word():
    """70 qubits: 35 Bell pairs side by side, whose group has 3^w C(35, w) elements of weight 2w; here the first ten."""
    rows = []
    for pair in range(10):
        for letter in "XZ":
            text = ["I"] * 70
            text[7 * pair], text[7 * pair + 3] = letter, letter
            rows.append("".join(text))
    A = StabilizerCode.from_paulis(rows).weight_enumerators().A
    assert A[:6] == (1, 0, 30, 0, 405, 0)
    assert sum(A) == 2**20


def test_slices_do_not_change_the_count(monkeypatch):
    code = known_codes.eleven_qubit()
    whole = code.weight_enumerators()
    monkeypatch.setattr("qecforge.codes.distance.enumerators._SLICE", 37)
    assert code.weight_enumerators() == whole


def test_too_many_stabilizers_and_a_deadline():
    with pytest.raises(CodeError, match="n - k is 48"):
        known_codes.rotated_surface(7).weight_enumerators()
    with pytest.raises(OutOfTime):
        span_weights([1, 2], 2, paired=False, deadline=0.0)
